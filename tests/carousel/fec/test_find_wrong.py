"""One wrong symbol among K + h is found by the equations that are left over, with every codec."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.fec import codec as codec_of
from tests.carousel.fec.test_codec import encoded, random_block
from tests.carousel.native.need import BOTH, IMPLEMENTATIONS

SIZE = 24


@pytest.fixture(params=BOTH)
def codec(request):
    return codec_of(request.param)


def judge(codec, k, missing_count, surplus, wrong, seed=0):
    """Lose symbols, forge those with these places among the ones that are there; return (suspects, forged ESIs)."""
    random = np.random.default_rng([k, missing_count, 100 + surplus, seed])
    block = random_block(k, SIZE)
    missing = np.sort(random.choice(k, missing_count, replace=False))
    esis = k + np.sort(random.choice(3 * k + 30, missing_count + surplus, replace=False))
    repair = encoded(codec, block, esis)
    block[missing] = 0xEE
    there = np.concatenate([np.setdiff1d(np.arange(k), missing), esis])
    forged = [int(there[place % len(there)]) for place in wrong]
    for esi in forged:
        row = block[esi] if esi < k else repair[np.searchsorted(esis, esi)]
        row[random.integers(SIZE, size=5)] ^= np.uint8(1 + random.integers(255))
    return codec.find_wrong(block, SIZE, missing, repair, np.arange(len(esis)), esis), forged


@pytest.mark.parametrize("missing", [0, 3, 60, 100])
@pytest.mark.parametrize("wrong", [0, 50, -1])
def test_four_more_symbols_tell_the_wrong_one(codec, missing, wrong):
    suspects, forged = judge(codec, 100, missing, 4, [wrong])
    assert suspects == forged


@pytest.mark.parametrize("missing", [0, 40, 100])
@pytest.mark.parametrize("surplus", [1, 4, 20])
def test_symbols_that_agree_are_not_suspected(codec, missing, surplus):
    assert judge(codec, 100, missing, surplus, [])[0] == []


def test_one_more_symbol_sees_that_something_is_wrong_but_hardly_what(codec):
    suspects, forged = judge(codec, 60, 30, 1, [10])
    assert suspects is not None
    assert set(forged) <= set(suspects)


def test_more_equations_than_hdpc_rows(codec):
    suspects, forged = judge(codec, 100, 30, 25, [7])
    assert suspects == forged


def test_without_a_surplus_nothing_can_be_told(codec):
    assert judge(codec, 60, 30, 0, [10])[0] is None
    assert judge(codec, 60, 30, -2, [10])[0] is None


def test_two_wrong_symbols_are_no_single_suspect(codec):
    assert judge(codec, 100, 50, 6, [3, 80])[0] is None


def test_two_wrong_symbols_in_one_octet_are_not_taken_for_none(codec):
    """Their syndromes have one direction, but it is no symbol's."""
    block = random_block(50, SIZE)
    esis = np.arange(60, 86)
    repair = encoded(codec, block, esis)
    block[:20] = 0
    block[[30, 40], 5] ^= 1
    assert codec.find_wrong(block, SIZE, np.arange(20), repair, np.arange(26), esis) is None


def test_numbers_that_do_not_fit_are_refused(codec):
    with pytest.raises(ValueError, match="symbol"):
        codec.find_wrong(bytes(80), 8, np.array([10]), bytes(8), np.array([0]), np.array([11]))
    with pytest.raises(ValueError, match="repair"):
        codec.find_wrong(bytes(80), 8, np.array([1]), bytes(8), np.array([0]), np.array([11, 12]))


@given(st.integers(2, 80), st.data())
def test_both_codecs_suspect_the_same(k, data):
    missing = data.draw(st.integers(0, k))
    surplus = data.draw(st.integers(0, 14))
    wrong = data.draw(st.lists(st.integers(0, 200), max_size=2))
    found = [judge(codec_of(name), k, missing, surplus, wrong, seed=1)[0] for name in IMPLEMENTATIONS]
    assert found[0] == found[-1]


@pytest.mark.slow
@pytest.mark.parametrize("missing", [25, 1250, 2500])
def test_a_block_of_a_real_image(codec, missing):
    suspects, forged = judge(codec, 2500, missing, 4, [1000])
    assert suspects == forged
