"""Loss as gaps in the transmit order tell it: packets by hand, in the order in which a carousel sends them."""

import numpy as np
import pytest

from carousel.flute.alc import PLAIN_HEADER_BYTES, join_payload_id, plain_prefix
from carousel.flute.interleave import transmit_places
from carousel.release.blocks import FecId, ObjectGeometry
from carousel.take import Piece
from settop.wire.gaps import LONGEST_DELAY, LONGEST_GAP, MOST_REST_PACKETS, REST_SHARE, SAMPLE_PACKETS, LossEstimate

GEOMETRY = ObjectGeometry(16 * 100 * 3, 16, 3, 100)
PREFIX = plain_prefix(1, 8, FecId.RAPTORQ)[0]
OTHER_PREFIX = plain_prefix(1, 16, FecId.RAPTORQ)[0]
STRIDE = PLAIN_HEADER_BYTES + GEOMETRY.symbol_size


def _heads():
    """The packets of the object in transmit order, without what stands in them."""
    sbn, esi = GEOMETRY.symbols_of(np.arange(GEOMETRY.rows))
    order = np.argsort(transmit_places(GEOMETRY, sbn, esi))
    ids = [join_payload_id(int(sbn[row]), int(esi[row]), FecId.RAPTORQ) for row in order]
    return [PREFIX.ljust(24, b"\0") + number.to_bytes(4, "big") + bytes(GEOMETRY.symbol_size) for number in ids]


HEADS = _heads()


@pytest.fixture
def estimate():
    return LossEstimate(GEOMETRY, PREFIX)


def look(estimate, packets, together=10_000):
    for first in range(0, len(packets), together):
        some = packets[first : first + together]
        size = len(some[0])
        flat = np.frombuffer(b"".join(some), dtype=np.uint8)
        estimate.look(flat, [Piece(0, size, len(flat))], len(some))


def said(estimate):
    return estimate.lost, estimate.expected


def test_of_packets_in_a_row_none_is_lost(estimate):
    assert said(estimate) == (0, 0)
    look(estimate, HEADS[:50])
    assert said(estimate) == (0, 49)
    assert said(estimate) == (0, 49), "asked twice, it is the same"
    look(estimate, HEADS[50:60])
    assert said(estimate) == (0, 59), "wake-ups hang together"


def test_a_gap_counts_what_is_missing_within_a_wake_up_and_between_two(estimate):
    look(estimate, [*HEADS[:10], *HEADS[13:20]])
    assert said(estimate) == (3, 19)
    look(estimate, HEADS[24:30])
    assert said(estimate) == (7, 29)


def test_a_long_step_and_a_step_back_are_jumps_of_the_carousel(estimate):
    look(estimate, [HEADS[0], HEADS[LONGEST_GAP]])
    assert said(estimate) == (LONGEST_GAP - 1, LONGEST_GAP)
    look(estimate, [HEADS[2 * LONGEST_GAP + 1], HEADS[5], HEADS[5]])
    assert said(estimate) == (LONGEST_GAP - 1, LONGEST_GAP)


def test_packets_that_are_overtaken_by_so_many_are_no_jump_and_by_more_they_are(estimate):
    look(estimate, [HEADS[LONGEST_DELAY], HEADS[0], HEADS[LONGEST_DELAY + 1]])
    assert said(estimate) == (LONGEST_DELAY - 1, LONGEST_DELAY + 1)
    look(estimate, [HEADS[300], HEADS[300 - LONGEST_DELAY - 1], HEADS[301]])
    assert said(estimate) == (2 * LONGEST_DELAY, 2 * LONGEST_DELAY + 3), "the run before has come to its end"


def test_packets_of_others_and_beyond_the_object_tell_nothing(estimate):
    strangers = [OTHER_PREFIX + packet[20:] for packet in HEADS[200:240]]
    beyond = [
        PREFIX.ljust(24, b"\0") + number.to_bytes(4, "big") + bytes(16) for number in (3 << 24, 200, 1 << 24 | 200)
    ]
    last = PREFIX.ljust(24, b"\0") + (199).to_bytes(4, "big") + bytes(16)
    look(estimate, [HEADS[0], *strangers, *beyond, HEADS[2]])
    assert said(estimate) == (1, 2)
    assert last in HEADS, "the last symbol of a block is one of the object's"
    look(estimate, [packet + b"longer" for packet in HEADS[3:40]])
    assert said(estimate) == (1, 2)


def test_a_smaller_block_ends_sooner():
    geometry = ObjectGeometry(16 * 199, 16, 2, 10)
    sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
    last = int(np.argmax(transmit_places(geometry, sbn, esi)))
    places = [(int(sbn[last]), int(esi[last])), (1, 99 + 10)]
    ids = [join_payload_id(*place, FecId.RAPTORQ).to_bytes(4, "big") for place in places]
    estimate = LossEstimate(geometry, PREFIX)
    look(estimate, [PREFIX.ljust(24, b"\0") + number + bytes(16) for number in ids])
    assert said(estimate) == (0, 0)


def rest(estimate):
    """How many packets pass unseen after a sample."""
    return min(int(REST_SHARE * estimate.expected), MOST_REST_PACKETS)


def test_after_a_sample_it_rests(estimate):
    assert len(HEADS) > 2 * SAMPLE_PACKETS
    look(estimate, HEADS[:SAMPLE_PACKETS])
    assert said(estimate) == (0, SAMPLE_PACKETS - 1)
    look(estimate, HEADS[::3][: rest(estimate) - 1], together=16)
    look(estimate, [HEADS[SAMPLE_PACKETS], HEADS[SAMPLE_PACKETS + 5]])  # one of which it would have rested for
    assert said(estimate) == (0, SAMPLE_PACKETS - 1), "it rests"
    look(estimate, HEADS[:SAMPLE_PACKETS:2])
    half = len(HEADS[:SAMPLE_PACKETS:2]) - 1
    assert said(estimate) == (half, SAMPLE_PACKETS - 1 + 2 * half)


def test_a_sample_may_be_of_several_wake_ups(estimate):
    look(estimate, HEADS[: SAMPLE_PACKETS - 1], together=100)
    assert said(estimate) == (0, SAMPLE_PACKETS - 2)
    look(estimate, HEADS[SAMPLE_PACKETS - 1 : SAMPLE_PACKETS + 5])
    assert said(estimate) == (0, SAMPLE_PACKETS - 1), "of the last one as much as is lacking"
    look(estimate, HEADS[SAMPLE_PACKETS : SAMPLE_PACKETS + 10])
    assert said(estimate) == (0, SAMPLE_PACKETS - 1), "it rests"


def test_each_sample_is_as_large_as_the_first(estimate):
    for sample in range(20):
        look(estimate, HEADS[:SAMPLE_PACKETS])
        assert said(estimate) == (0, (sample + 1) * (SAMPLE_PACKETS - 1))
        look(estimate, (HEADS * 9)[: rest(estimate)], together=MOST_REST_PACKETS)
    assert rest(estimate) == MOST_REST_PACKETS, "the rests have grown, and grow no more"


def test_a_large_wake_up_is_looked_at_in_part(estimate):
    look(estimate, [*HEADS[:SAMPLE_PACKETS], *HEADS[SAMPLE_PACKETS::2]])
    assert said(estimate) == (0, SAMPLE_PACKETS - 1)
    look(estimate, HEADS[:10])
    assert said(estimate) == (0, SAMPLE_PACKETS - 1), "it rests"
