"""One suite over every codec: the bytes of RFC 6330, any share of missing symbols, and no wrong number let in."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.fec import codec as codec_of
from tests.carousel.fec.oracle import repair_symbols
from tests.carousel.native.need import BOTH, needs_native

CORNERS = [1, 2, 9, 10, 11, 26, 100, 101, 257, 1000, 1002]
LARGE_CORNERS = [1001, 2000, 2500, 3499, 4999, 5000, 6999, 7000]


@pytest.fixture(params=BOTH)
def codec(request):
    return codec_of(request.param)


def random_block(k, size, seed=0):
    return np.random.default_rng([k, size, seed]).integers(0, 256, (k, size), dtype=np.uint8)


def encoded(codec, block, esis):
    esis = np.asarray(esis, dtype=np.int64)
    out = np.zeros((len(esis), block.shape[1]), dtype=np.uint8)
    codec.encode(block, block.shape[1], esis, out)
    return out


def check_decoding(codec, block, missing, repair_esis):
    """Lose these symbols and decode; return whether it could, having judged the bytes."""
    size = block.shape[1]
    missing, esis = np.asarray(missing, dtype=np.int64), np.asarray(repair_esis, dtype=np.int64)
    repair = np.zeros((len(esis) + 2, size), dtype=np.uint8)
    rows = np.arange(len(esis))[::-1] + 1
    repair[rows] = encoded(codec, block, esis)
    holed = block.copy()
    holed[missing] = 0xEE
    before = holed.copy()
    decoded = codec.decode(holed, size, missing, repair, rows, esis)
    assert np.array_equal(holed, block if decoded else before)
    return decoded


@pytest.mark.parametrize("k", CORNERS)
@pytest.mark.oracle
def test_repair_symbols_are_those_of_the_oracle(codec, k):
    block = random_block(k, 64)
    count = min(k + 5, 300)
    assert np.array_equal(encoded(codec, block, range(k, k + count)), repair_symbols(block.tobytes(), 64, count))


@pytest.mark.slow
@pytest.mark.parametrize("k", LARGE_CORNERS)
@pytest.mark.oracle
def test_repair_symbols_of_large_blocks_are_those_of_the_oracle(codec, k):
    block = random_block(k, 32)
    assert np.array_equal(encoded(codec, block, range(k, 2 * k)), repair_symbols(block.tobytes(), 32, k))


@needs_native
@pytest.mark.parametrize("k", [5, 120])
def test_native_and_numpy_give_the_same_bytes(k):
    block, esis = random_block(k, 72), range(k, 3 * k)
    assert np.array_equal(encoded(codec_of("native"), block, esis), encoded(codec_of("numpy"), block, esis))


@pytest.mark.parametrize("size", [8, 16, 24, 40, 256, 264, 1000, 1440])
@pytest.mark.oracle
def test_every_symbol_size_of_eights(codec, size):
    block = random_block(30, size)
    assert np.array_equal(encoded(codec, block, range(30, 40)), repair_symbols(block.tobytes(), size, 10))
    assert check_decoding(codec, block, range(0, 30, 2), range(30, 50))


@pytest.mark.oracle
def test_source_symbols_are_encoded_to_themselves_in_any_order(codec):
    block = random_block(12, 40)
    out = encoded(codec, block, [3, 13, 0, 3])
    assert np.array_equal(out[[0, 2, 3]], block[[3, 0, 3]])
    assert np.array_equal(out[1], repair_symbols(block.tobytes(), 40, 2)[1])


def test_the_largest_esi(codec):
    block = random_block(20, 16)
    assert check_decoding(codec, block, range(20), range((1 << 24) - 22, 1 << 24))


@pytest.mark.slow
@given(st.integers(1, 120), st.data())
@settings(max_examples=80, deadline=None)
@pytest.mark.parametrize("name", BOTH)
def test_any_losses_are_mended_by_as_many_repair_symbols_and_two(name, k, data):
    codec = codec_of(name)
    block = random_block(k, 16)
    missing = data.draw(st.lists(st.integers(0, k - 1), unique=True, max_size=k))
    count = len(missing) + 2
    esis = data.draw(st.lists(st.integers(k, k + 4 * count), unique=True, min_size=count, max_size=count))
    check_decoding(codec, block, missing, esis)


@pytest.mark.parametrize("k", [101, 400, 1000])
@pytest.mark.parametrize("share", [0.01, 0.06, 0.07, 0.2, 0.49, 0.9, 1.0])
def test_each_share_of_missing_symbols(codec, k, share):
    random = np.random.default_rng([k, int(100 * share)])
    missing = random.choice(k, max(1, int(k * share)), replace=False)
    esis = k + random.choice(2 * k, len(missing) + 3, replace=False)
    assert check_decoding(codec, random_block(k, 32), missing, esis)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2500, 5000, 7000])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.49, 1.0])
def test_each_share_of_large_blocks(codec, k, share):
    test_each_share_of_missing_symbols(codec, k, share)


@pytest.mark.slow
def test_failure_is_as_rare_as_the_code_promises(codec):
    """Two more symbols than needed fail with probability 256^-3: not once in 200 tries."""
    block = random_block(60, 8)
    for seed in range(200):
        random = np.random.default_rng(seed)
        count = random.integers(1, 61)
        missing = random.choice(60, count, replace=False)
        esis = 60 + random.choice(5000, count + 2, replace=False)
        assert check_decoding(codec, block, missing, esis), seed


def test_too_few_symbols_are_no_block_and_change_nothing(codec):
    block = random_block(50, 16)
    assert not check_decoding(codec, block, range(10), range(50, 59))
    assert not check_decoding(codec, block, range(10), [])
    assert not check_decoding(codec, block, range(50), [50] * 60)


def test_dependent_symbols_are_told_and_more_of_them_help(codec):
    """The same ESI many times over is one symbol."""
    block = random_block(200, 16)
    assert not check_decoding(codec, block, range(100), [200] * 50 + list(range(201, 251)))
    assert check_decoding(codec, block, range(100), [200] * 50 + list(range(201, 310)))
    assert not check_decoding(codec, block, range(5), [200] * 9)
    assert check_decoding(codec, block, range(5), [200] * 9 + list(range(201, 210)))


def test_one_codec_serves_many_threads_from_their_first_block(codec):
    """They meet where nothing has been made yet for blocks of this size."""
    block, missing, esis, threads = random_block(317, 24), np.arange(0, 317, 7), np.arange(317, 367), 4
    repair, start = encoded(codec_of("numpy"), block, esis), threading.Barrier(threads, timeout=60)

    def decode(count):
        holed = block.copy()
        holed[missing[:count]] = 0xEE
        start.wait()
        assert codec.decode(holed, 24, missing[:count], repair, np.arange(50), esis)
        return holed

    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(decode, [46, 3, 46, 3]):
            assert np.array_equal(found, block)


def test_who_is_made_ready_gives_the_same_bytes_for_blocks_of_any_size(codec):
    for k in (300, 40, 500):
        codec.make_ready(300)
        assert check_decoding(codec, random_block(k, 40), range(k // 2), range(k, 2 * k))


@needs_native
@pytest.mark.parametrize("symbols", [0, 1 << 20])
def test_nobody_is_made_ready_for_blocks_that_can_not_be(symbols):
    with pytest.raises(ValueError, match=f"a block of {symbols} symbols"):
        codec_of("native").make_ready(symbols)


def test_nothing_missing_is_done_at_once(codec):
    assert check_decoding(codec, random_block(10, 8), [], [10, 11])


def test_a_flipped_bit_decodes_to_wrong_bytes(codec):
    """Why digests are checked after decoding: the decoder can't tell."""
    block = random_block(20, 64)
    repair = encoded(codec, block, range(20, 40))
    repair[3, 7] ^= 1
    decoded = np.zeros_like(block)
    assert codec.decode(decoded, 64, np.arange(20), repair, np.arange(20), np.arange(20, 40))
    assert not np.array_equal(decoded, block)


GOOD = {"size": 16, "missing": [1, 2], "repair": 4, "rows": [0, 1, 2], "esis": [10, 11, 12]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": -8},
        {"size": 12},
        {"size": 24},
        {"missing": [1, 1]},
        {"missing": [-1]},
        {"missing": [10]},
        {"missing": [1 << 40]},
        {"missing": list(range(11))},
        {"rows": [0, 1, 4]},
        {"rows": [0, -1, 2]},
        {"rows": [0, 1 << 60, 2]},
        {"rows": [0, 1]},
        {"esis": [10, 9, 12]},
        {"esis": [10, -1, 12]},
        {"esis": [10, 1 << 24, 12]},
    ],
)
def test_numbers_that_do_not_fit_are_refused_before_they_index_anything(codec, wrong):
    case = {**GOOD, **wrong}
    block = np.zeros((10, 16), dtype=np.uint8)
    repair = np.ones((case["repair"], 16), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"block|symbol|repair"):
        codec.decode(
            block, case["size"], *(np.array(case["missing"]), repair, np.array(case["rows"])), np.array(case["esis"])
        )
    assert not block.any()


@pytest.mark.parametrize(
    ("block_bytes", "size", "esis", "out_bytes"),
    [(0, 8, [1], 8), (81, 8, [1], 8), (80, 8, [-1], 8), (80, 8, [1 << 24], 8), (80, 8, [1], 16), (80, 8, [1, 2], 8)],
)
def test_an_encoding_that_does_not_fit_is_refused(codec, block_bytes, size, esis, out_bytes):
    with pytest.raises(ValueError, match=r"block"):
        codec.encode(bytes(block_bytes), size, np.array(esis), bytearray(out_bytes))


def test_more_symbols_than_a_plan_numbers_are_refused(codec):
    with pytest.raises(ValueError, match="block"):
        codec.encode(bytes(8 * 32001), 8, np.array([0]), bytearray(8))


def test_a_read_only_place_is_refused(codec):
    with pytest.raises(ValueError, match=r"read-only|writ"):
        codec.encode(bytes(80), 8, np.array([10]), memoryview(bytes(8)))


def test_an_unknown_codec_is_refused():
    with pytest.raises(ValueError, match="no codec"):
        codec_of("turbo")
