"""Every taker does exactly the same: one suite over all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.flute.alc import plain_prefix, render_packet
from carousel.release.blocks import FecId, ObjectGeometry
from carousel.take import CAME_AGAIN, HELD, Landing, Piece, Target, Targets, taker
from tests.carousel.native.need import BOTH, IMPLEMENTATIONS

SIZE = 64
STRIDE = SIZE + 28


@pytest.fixture(params=BOTH)
def take(request):
    return taker(request.param).take


def object_of(symbols=20, blocks=3, repair=10, slots=30, surplus=2, toi=1):
    geometry = ObjectGeometry(symbols * SIZE, SIZE, blocks, repair)
    source = np.zeros((symbols, SIZE), dtype=np.uint8)
    landing = Landing(geometry, source, np.zeros((slots, SIZE), dtype=np.uint8), surplus)
    return Target(plain_prefix(77, toi, geometry.fec)[0], landing)


def symbol_of(sbn, esi, toi=1):
    return np.random.default_rng([toi, sbn, esi]).bytes(SIZE)


def packet(sbn, esi, toi=1, fec=FecId.RAPTORQ):
    payload_id = sbn << 24 | esi if fec is FecId.RAPTORQ else sbn << 16 | esi
    return render_packet(77, toi, fec, payload_id, symbol_of(sbn, esi, toi))


def one_piece(packets):
    return [Piece(0, len(packets[0]), sum(map(len, packets)))]


def take_all(take, target, packets):
    return take(Targets([target]), b"".join(packets), one_piece(packets))


def test_symbols_come_to_their_rows_and_are_counted(take):
    target = object_of()
    landing = target.landing
    sent = [(0, 0), (2, 5), (1, 6), (0, 8), (2, 6), (1, 16)]  # K = 7, 7, 6
    taken = take_all(take, target, [packet(*symbol) for symbol in sent])
    rows = landing.geometry.row_of(*np.array(sent).T)
    assert taken.rows[0].tolist() == rows.tolist()
    assert taken.taken == 6
    assert not len(taken.unmatched)
    assert np.flatnonzero(landing.held).tolist() == sorted(rows.tolist())
    assert landing.source_held.tolist() == [1, 1, 1]
    assert landing.repair_held.tolist() == [1, 1, 1]
    assert landing.wanted.tolist() == [7, 7, 6]
    for (sbn, esi), row in zip(sent, rows, strict=True):
        if row < 20:
            assert landing.source[row].tobytes() == symbol_of(sbn, esi)
        else:
            slots, esis = landing.repair_symbols(sbn)
            assert esis.tolist() == [esi]
            assert landing.repair[slots[0]].tobytes() == symbol_of(sbn, esi)
    assert landing.missing(2).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("times", [1, 3])
def test_a_row_tells_that_its_symbol_came_while_it_was_held(take, times):
    target = object_of()
    take_all(take, target, [packet(0, 0), packet(1, 7)])
    take_all(take, target, [packet(0, 0)] * times + [packet(1, 1)])
    marks = {int(row): int(target.landing.held[row]) for row in np.flatnonzero(target.landing.held)}
    rows = target.landing.geometry.row_of(np.array([0, 1, 1]), np.array([0, 7, 1])).tolist()
    assert marks == dict(zip(rows, [HELD | CAME_AGAIN, HELD, HELD], strict=True))


def test_repair_symbols_fill_the_pool_in_the_order_of_arrival_and_slots_are_used_again(take):
    target = object_of(slots=3)
    take_all(take, target, [packet(1, 9), packet(0, 7), packet(2, 8)])
    assert target.landing.slot_sbn.tolist() == [1, 0, 2]
    assert target.landing.slot_esi.tolist() == [9, 7, 8]
    assert take_all(take, target, [packet(1, 10), packet(1, 0)]).no_room == 1
    target.landing.finish(0)
    assert take_all(take, target, [packet(1, 10), packet(0, 8)]).ignored == 1
    assert target.landing.slot_sbn.tolist() == [1, 1, 2]


def test_what_is_held_is_not_taken_again_whatever_it_says(take):
    target = object_of()
    forged = bytearray(packet(0, 3))
    forged[40] ^= 1
    taken = take_all(take, target, [packet(0, 3), packet(0, 3), bytes(forged)])
    assert (taken.taken, taken.duplicates, taken.corrupt) == (1, 2, 0)
    assert target.landing.source[3].tobytes() == symbol_of(0, 3)


@pytest.mark.parametrize("byte", [20, 23, 26, 27, 28, STRIDE - 1])
def test_a_flipped_bit_is_seen_and_nothing_is_marked(take, byte):
    target = object_of()
    flipped = bytearray(packet(0, 2))
    flipped[byte] ^= 1
    taken = take_all(take, target, [bytes(flipped), packet(0, 1)])
    assert taken.corrupt + taken.out_of_range == 1
    assert taken.rows[0].tolist() == [1]
    assert target.landing.held.sum() == 1


@pytest.mark.parametrize(("sbn", "esi"), [(3, 0), (255, 0), (0, 17), (2, 16), (0, (1 << 24) - 1)])
def test_numbers_that_the_object_does_not_have(take, sbn, esi):
    target = object_of()
    taken = take_all(take, target, [packet(sbn, esi), packet(0, 16)])
    assert (taken.out_of_range, taken.taken) == (1, 1)


def test_a_block_takes_what_it_wants_and_then_ignores(take):
    target = object_of(surplus=1)
    taken = take_all(take, target, [packet(2, esi) for esi in range(9)])
    assert (taken.taken, taken.ignored) == (7, 2)
    assert taken.filled == ((0, 2),)
    assert target.landing.wanted.tolist() == [8, 8, 0]


def test_packets_of_several_objects_and_strangers_mix(take):
    first, second = object_of(toi=1), object_of(toi=2, repair=0, slots=0)
    strange = packet(0, 0, toi=3)
    packets = [packet(0, 0), packet(1, 1, 2, FecId.NO_CODE), strange, packet(0, 1), strange[:50]]
    taken = take(Targets([first, second]), b"".join(packets), one_piece(packets))
    assert [rows.tolist() for rows in taken.rows] == [[0, 1], [8]]
    assert taken.unmatched.tolist() == [[2 * STRIDE, STRIDE], [4 * STRIDE, 50]]
    assert second.landing.source[8].tobytes() == symbol_of(1, 1, 2)


def test_pieces_lie_anywhere_in_the_buffer_and_a_last_packet_may_be_shorter(take):
    target = object_of()
    buffer = bytes(5) + packet(0, 0) + packet(0, 1) + bytes(10) + packet(1, 0) + packet(1, 1)[:-1]
    pieces = [Piece(5 + 2 * STRIDE + 10, STRIDE, 2 * STRIDE - 1), Piece(5, STRIDE, 2 * STRIDE)]
    taken = take(Targets([target]), buffer, pieces)
    assert taken.rows[0].tolist() == [7, 0, 1]
    assert taken.unmatched.tolist() == [[5 + 3 * STRIDE + 10, STRIDE - 1]]


@pytest.mark.parametrize("piece", [Piece(-1, 10, 10), Piece(0, 0, 10), Piece(0, 10, 101), Piece(95, 10, 10)])
def test_a_piece_outside_of_the_buffer_is_refused(take, piece):
    with pytest.raises(ValueError, match="piece"):
        take(Targets([object_of()]), bytes(100), [piece])


def test_packets_shorter_than_a_header_go_the_cold_way(take):
    taken = take(Targets([object_of()]), bytes(100), [Piece(0, 10, 100)])
    assert len(taken.unmatched) == 10


def test_pieces_come_as_an_array_too(take):
    target = object_of()
    pieces = np.array([[0, STRIDE, 2 * STRIDE]])
    assert take(Targets([target]), packet(0, 0) + packet(0, 1), pieces).taken == 2


MARKS = ("held", "source_held", "repair_held", "wanted", "slot_sbn", "slot_esi", "free", "free_count")


@st.composite
def packets_of_an_attacker(draw):
    """Packets of two objects: good, twice, out of range, flipped, cut, and noise."""
    packets = []
    for _ in range(draw(st.integers(1, 60))):
        toi = draw(st.sampled_from([1, 2, 3]))
        one = bytearray(packet(draw(st.integers(0, 3)), draw(st.integers(0, 18)), toi))
        if draw(st.integers(0, 4)) == 0:
            one[draw(st.integers(0, STRIDE - 1))] ^= 1 << draw(st.integers(0, 7))
        packets.append(bytes(one))
    return packets


@pytest.mark.slow
@given(packets_of_an_attacker(), st.integers(0, 3), st.integers(0, 12), st.integers(1, 10))
@settings(max_examples=150, deadline=None)
def test_all_takers_do_exactly_the_same(packets, surplus, slots, batch):
    states = []
    for name in IMPLEMENTATIONS:
        table = Targets([object_of(toi=toi, surplus=surplus, slots=slots) for toi in (1, 2)])
        taken = []
        for first in range(0, len(packets), batch):
            part = packets[first : first + batch]
            brought = taker(name).take(table, b"".join(part), one_piece(part))
            counts = (brought.duplicates, brought.ignored, brought.corrupt, brought.out_of_range, brought.no_room)
            rows = [rows.tolist() for rows in brought.rows]
            taken.append(
                (rows, brought.heard, brought.unmatched.tolist(), sorted(brought.filled), counts, brought.taken)
            )
        marks = [[getattr(target.landing, mark).tolist() for mark in MARKS] for target in table]
        memory = [(target.landing.source.tobytes(), target.landing.repair.tobytes()) for target in table]
        states.append((taken, marks, memory))
    assert states[0] == states[-1]
