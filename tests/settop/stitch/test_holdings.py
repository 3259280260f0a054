"""What is held and proven of one object: states of blocks, symbols wherever they lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settop.stitch.holdings import NEWEST_SLOTS, BlockState, Holdings
from tests.settop.stitch.air import Air


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(90_000, symbol_size=256, version="1.6.0")


@pytest.fixture
def air(release):
    return Air(release)


def test_a_busy_block_takes_nothing_and_then_what_it_wanted(air):
    holdings = Holdings(air.landings[0])
    air.hear_block(0, range(10))
    wanted = int(air.landings[0].wanted[0])
    holdings.begin(0)
    assert air.hear_block(0, range(10, 20)) == 0
    assert holdings.state[0] == BlockState.BUSY
    assert air.landings[0].worked[0], "from now on rows may be written that are not held"
    holdings.end(0)
    assert air.landings[0].wanted[0] == wanted
    assert air.hear_block(0, range(10, 20)) == 10


def test_what_is_dropped_of_a_busy_block_is_wanted_when_it_is_open_again(air):
    holdings = Holdings(air.landings[0])
    air.hear_block(0, range(10))
    wanted = int(air.landings[0].wanted[0])
    holdings.begin(0)
    holdings.discard(holdings.held_rows(0)[:3])
    holdings.end(0)
    assert air.landings[0].wanted[0] == wanted + 3


def test_a_block_is_full_when_it_wants_no_more_and_nobody_works_on_it(air):
    holdings = Holdings(air.landings[0])
    assert not holdings.is_full(0)
    air.hear_block(0)
    assert holdings.is_full(0)
    holdings.begin(0)
    assert not holdings.is_full(0)


def test_a_done_block_is_proven_and_gives_its_slots_back(air):
    holdings, size = Holdings(air.landings[0]), int(air.layout.objects[0].block_sizes[0])
    air.hear_block(0, range(5, size + 5))
    holdings.begin(0)
    holdings.finish(0)
    assert holdings.proven[holdings.source_rows(0)].all()
    assert air.landings[0].held[holdings.source_rows(0)].all()
    assert air.landings[0].free_count[0] == len(air.landings[0].repair)
    assert holdings.done_blocks == 1
    assert holdings.useful_symbols == size
    assert air.hear_block(0) == 0


def test_more_is_wanted_as_long_as_there_is_more(air):
    holdings, image = Holdings(air.landings[0]), air.layout.objects[0]
    size = int(image.block_sizes[0])
    air.hear_block(0)
    assert holdings.want_more(0, 3) == 3
    assert air.hear_block(0, range(size, size + 9)) == 3
    assert holdings.want_more(0, 10**6) == image.repair_per_block - 3
    assert holdings.want_more(0, 1) == 0


def test_what_a_slot_held_before_is_not_found_again(air):
    """A forged repair symbol was dropped; the genuine one lies in another slot, and the forged one's is free."""
    holdings, size = Holdings(air.landings[0]), int(air.layout.objects[0].block_sizes[0])
    row, second, third = air.layout.objects[0].row_of(np.zeros(3, np.int64), size + np.arange(3)).tolist()
    air.hear([air.forged(0, 0, size), air.packet(0, 0, size + 1), air.packet(0, 0, size + 2)])
    holdings.discard(np.array([row]))
    holdings.discard(np.array([second]))
    air.hear_block(0, [size])
    holdings.discard(np.array([third]))
    assert holdings.symbols(np.array([row]))[0].tobytes() == air.symbol(0, 0, size)


@pytest.mark.parametrize("newest_slots", [1, 5, NEWEST_SLOTS])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_symbols_are_found_wherever_they_lie(release, newest_slots, data):
    """After any takes and discards, of the newest take or of earlier ones, in any order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("settop.stitch.holdings.NEWEST_SLOTS", newest_slots)
        _find_symbols(release, data)


def _find_symbols(release, data):
    air = Air(release)
    holdings, image = Holdings(air.landings[0]), release.layout.objects[0]
    held: set[int] = set()
    for _ in range(data.draw(st.integers(1, 5))):
        rows = data.draw(st.lists(st.integers(0, image.rows - 1), min_size=1, max_size=20, unique=True))
        sbn, esi = image.symbols_of(np.array(rows))
        air.hear_symbols(0, zip(sbn.tolist(), esi.tolist(), strict=True))
        newest = np.array([row for row in rows if row not in held and air.landings[0].held[row]], dtype=np.int64)
        held |= set(newest.tolist())
        for wanted in (newest, np.array(data.draw(st.permutations(sorted(held))), dtype=np.int64)):
            found = holdings.symbols(wanted)
            for row, symbol in zip(wanted.tolist(), found, strict=True):
                block, one = image.symbols_of(np.array([row]))
                assert symbol.tobytes() == air.symbol(0, int(block[0]), int(one[0]))
        gone = np.array(data.draw(st.lists(st.sampled_from(sorted(held)), max_size=5, unique=True)), dtype=np.int64)
        holdings.discard(gone)
        held -= set(gone.tolist())
        assert set(np.flatnonzero(air.landings[0].held).tolist()) == held


def test_what_can_be_decoded_from(air):
    holdings, size = Holdings(air.landings[0]), int(air.layout.objects[0].block_sizes[0])
    air.hear_block(0, [0, 2, size + 1, size + 4])
    present = holdings.present(0)
    assert present.missing.tolist() == [esi for esi in range(size) if esi not in (0, 2)]
    assert present.esis.tolist() == [size + 1, size + 4]
    rows = air.layout.objects[0].row_of(np.array([0, 0]), np.array([2, size + 4]))
    holdings.proven[rows] = True
    proven = holdings.present(0, proven_only=True)
    assert len(proven.missing) == size - 1
    assert proven.esis.tolist() == [size + 4]
    assert air.landings[0].repair[proven.slots[0]].tobytes() == air.symbol(0, 0, size + 4)
