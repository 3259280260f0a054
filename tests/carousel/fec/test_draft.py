"""Drafts: whichever symbols come at the end, they give the bytes that decoding gives; and no wrong number gets in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.fec import MOST_LACKING
from carousel.fec import codec as codec_of
from tests.carousel.fec.test_codec import encoded, random_block
from tests.carousel.native.need import needs_native

pytestmark = needs_native
NOISE = 0xEE


class Drafted:
    """A block of which some source symbols are gone, some may come; and its draft."""

    def __init__(self, k, size, missing, lacking, coming_sources, coming_repairs=40, seed=0):
        self.codec, self.size, self.k = codec_of("native"), size, k
        self.block = random_block(k, size, seed)
        self.missing = np.sort(np.asarray(missing, dtype=np.int64))
        held = len(self.missing) - lacking
        self.esis = np.arange(k, k + held + coming_repairs)
        self.repair = encoded(self.codec, self.block, self.esis)
        self.coming = np.concatenate([np.asarray(coming_sources, dtype=np.int64), self.esis[held:]])
        self.holed = self.block.copy()
        self.holed[self.missing] = NOISE
        self.draft = self.codec.draft(
            self.holed, size, self.missing, self.repair, np.arange(held), self.esis[:held], self.coming
        )

    def finish(self, late):
        """Let these come; return whether the block could be finished."""
        late = np.asarray(late, dtype=np.int64)
        sources = late[late < self.k]
        self.holed[sources] = self.block[sources]
        rows = np.where(late < self.k, -1, late - self.k)
        return self.draft.finish(self.holed, self.repair, rows, late)


@pytest.mark.parametrize("size", [8, 32, 40, 1440])
@pytest.mark.parametrize("lacking", [1, 7, MOST_LACKING])
@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_repair_symbols_finish_a_block(size, lacking, share):
    k = 200
    drafted = Drafted(k, size, range(int(share * k)), lacking, [])
    held = len(drafted.missing) - lacking
    assert drafted.finish(range(k + held, k + held + lacking + 1))
    assert np.array_equal(drafted.holed, drafted.block)


def test_source_symbols_that_come_late_finish_it_too():
    drafted = Drafted(300, 48, range(100), 12, range(90, 100))
    assert drafted.finish([*range(90, 97), *range(390, 396)])
    assert np.array_equal(drafted.holed, drafted.block)


@given(st.integers(2, 150), st.data())
@settings(max_examples=80, deadline=None)
def test_any_losses_and_any_late_symbols(k, data):
    missing = data.draw(st.lists(st.integers(0, k - 1), unique=True, min_size=1, max_size=k))
    lacking = data.draw(st.integers(1, min(len(missing), MOST_LACKING)))
    coming = data.draw(st.lists(st.sampled_from(missing), unique=True))
    drafted = Drafted(k, 24, missing, lacking, coming, seed=data.draw(st.integers(0, 9)))
    if drafted.draft is None:
        assert np.array_equal(np.flatnonzero((drafted.holed == NOISE).all(axis=1)), drafted.missing)
        return
    late = data.draw(st.lists(st.sampled_from(drafted.coming.tolist()), unique=True, min_size=lacking))
    before = drafted.holed.copy()
    before[[esi for esi in late if esi < k]] = drafted.block[[esi for esi in late if esi < k]]
    is_finished = drafted.finish(late)
    assert np.array_equal(drafted.holed, drafted.block if is_finished else before)
    if len(late) >= lacking + 3:
        assert np.array_equal(drafted.holed, drafted.block)


def test_a_draft_leaves_what_may_come_alone_and_no_row_that_looks_written():
    """Who finds the block after a power cut takes no row for written whose first 8 bytes are zeros."""
    drafted = Drafted(300, 48, [*range(99), 299], 12, range(90, 99))
    assert (drafted.holed[90:99] == NOISE).all()
    gone = drafted.holed[[*range(90), 299]]
    assert not gone[:, :8].any()
    assert gone[:, 8:].any(axis=1).all()


def test_more_late_symbols_than_are_looked_at_are_left_as_they_came():
    drafted = Drafted(300, 48, range(200), 12, range(100, 200))
    late = range(100, 200)
    drafted.block[199] ^= 1  # what came is not what the code says: nobody writes over it
    drafted.finish(late)
    assert np.array_equal(drafted.holed[100:200], drafted.block[100:200])


def test_too_few_late_symbols_change_nothing():
    drafted = Drafted(300, 48, range(100), 12, range(90, 100))
    before = drafted.holed.copy()
    assert not drafted.finish(range(388, 399))
    assert not drafted.finish([388] * 20)
    assert np.array_equal(drafted.holed, before)
    assert drafted.finish(range(388, 400)), "a draft can be finished another time"


def test_a_forged_symbol_makes_a_wrong_block_and_decoding_mends_it():
    drafted = Drafted(300, 48, range(100), 12, [])
    drafted.repair[90] ^= 1
    assert drafted.finish(range(388, 400))
    assert not np.array_equal(drafted.holed, drafted.block)
    drafted.repair[90] ^= 1
    codec, count = drafted.codec, 104
    assert codec.decode(drafted.holed, 48, drafted.missing, drafted.repair, np.arange(count), drafted.esis[:count])
    assert np.array_equal(drafted.holed, drafted.block)


@pytest.mark.parametrize(
    "change", ["coming is held", "coming is negative", "coming is too large", "nothing lacks", "too many"]
)
def test_numbers_that_do_not_fit_are_refused(change):
    k, size, codec = 50, 16, codec_of("native")
    block = random_block(k, size)
    before = block.copy()
    missing, held, coming = np.arange(10), 6, np.array([56, 57])
    if change == "coming is held":
        coming = np.array([20])
    elif change == "coming is negative":
        coming = np.array([-1])
    elif change == "coming is too large":
        coming = np.array([(1 << 24) - 1])
    elif change == "nothing lacks":
        held = 10
    else:
        missing, held = np.arange(40), 40 - MOST_LACKING - 1
    repair = encoded(codec, block, range(k, k + 60))
    with pytest.raises(ValueError, match="lack"):
        codec.draft(block, size, missing, repair, np.arange(held), k + np.arange(held), coming)
    assert np.array_equal(block, before)


def test_symbols_that_were_not_to_come_are_refused():
    drafted = Drafted(50, 16, range(10), 4, [9])
    for rows, esis in (([0], [8]), ([46], [46 + 60]), ([1000], [57]), ([-1], [57])):
        with pytest.raises(ValueError, match="not to come"):
            drafted.draft.finish(drafted.holed, drafted.repair, np.array(rows), np.array(esis))
    with pytest.raises(ValueError, match="another size"):
        drafted.draft.finish(drafted.holed[1:], drafted.repair, np.array([7]), np.array([57]))


def test_numpy_makes_no_drafts():
    block = random_block(50, 16)
    numbers = np.arange(10), block, np.arange(6), 50 + np.arange(6), np.arange(56, 60)
    assert codec_of("numpy").draft(block, 16, *numbers) is None
