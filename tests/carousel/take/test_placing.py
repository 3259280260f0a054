"""Placing symbols does to a landing what a take of plain packets does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.flute.alc import join_payload_id, plain_prefix, render_packet
from carousel.release.blocks import ObjectGeometry
from carousel.take import CAME_AGAIN, HELD, Landing
from carousel.take.fallback import NumpyTaker
from carousel.take.landing import Piece, Target, Targets
from carousel.take.placing import place

T = 16
MARKS = ("held", "source_held", "repair_held", "wanted", "slot_sbn", "slot_esi", "free_count", "source")


def landing_of(geometry: ObjectGeometry, slots: int, surplus: int) -> Landing:
    source = np.zeros((geometry.source_symbols, T), dtype=np.uint8)
    return Landing(geometry, source, np.zeros((slots, T), dtype=np.uint8), surplus)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.data(), st.integers(1, 40), st.integers(1, 4), st.integers(0, 6), st.integers(0, 8), st.integers(0, 2))
def test_it_does_what_a_take_does(data, symbols, blocks, repair, slots, surplus):
    geometry = ObjectGeometry(symbols * T, T, min(blocks, symbols), repair)
    places = st.tuples(st.integers(0, geometry.blocks), st.integers(0, geometry.largest_block + repair + 1))
    batches = data.draw(st.lists(st.lists(places, min_size=1, max_size=40), max_size=5))
    by_take, placed = landing_of(geometry, slots, surplus), landing_of(geometry, slots, surplus)
    prefix, _ = plain_prefix(1, 8, geometry.fec)
    targets = Targets([Target(prefix, by_take)])
    for batch in batches:
        sbn, esi = (np.array(column) for column in zip(*batch, strict=True))
        content = (sbn[:, None] * 7 + esi[:, None] + np.arange(T)).astype(np.uint8)
        payload_ids = [join_payload_id(*place_of, geometry.fec) for place_of in batch]
        pairs = zip(payload_ids, content, strict=True)
        packets = b"".join(render_packet(1, 8, geometry.fec, number, symbol.tobytes()) for number, symbol in pairs)
        taken = NumpyTaker().take(targets, packets, [Piece(0, 28 + T, len(packets))])
        done = place(placed, sbn, esi, content)
        assert taken.rows[0].tolist() == done.rows.tolist()
        assert sorted(number for _, number in taken.filled) == sorted(done.filled)
        assert taken.out_of_range == done.out_of_range
        # What a repetition within one batch counts as, and whether it leaves a mark, is the order's affair.
        by_take.held &= HELD
        placed.held &= HELD
        left = taken.duplicates + taken.ignored + taken.no_room
        assert left == done.duplicates + done.ignored + done.no_room
        for mark in MARKS:
            assert (getattr(by_take, mark) == getattr(placed, mark)).all(), mark
        held = by_take.slot_sbn >= 0
        assert (by_take.repair[held] == placed.repair[held]).all()


def test_a_row_tells_that_its_symbol_came_while_it_was_held():
    geometry = ObjectGeometry(4 * T, T, 1, 2)
    landing, symbols = landing_of(geometry, 2, 2), np.zeros((2, T), dtype=np.uint8)
    place(landing, np.zeros(2, dtype=np.int64), np.array([0, 1]), symbols)
    place(landing, np.zeros(2, dtype=np.int64), np.array([1, 2]), symbols)
    assert landing.held.tolist() == [HELD, HELD | CAME_AGAIN, HELD, 0, 0, 0]
