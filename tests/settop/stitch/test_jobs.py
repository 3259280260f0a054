"""Jobs on blocks: pure functions of what lies in a landing."""

import numpy as np
import pytest
from blake3 import blake3

from carousel.fec import codec
from carousel.release.digests import symbol_digests
from settop.stitch.holdings import Holdings
from settop.stitch.jobs import DecodeJob, Finding, HashJob, LeaveOutJob, SortJob, run_job
from tests.settop.stitch.air import Air


@pytest.fixture
def air(make_release):
    return Air(make_release(50_000, symbol_size=256, version="1.6.0"))


@pytest.fixture
def size(air):
    return int(air.layout.objects[0].block_sizes[0])


@pytest.fixture
def expected(air, size):
    return blake3(b"".join(air.symbol(0, 0, esi) for esi in range(size))).digest()


def where(air):
    return air.release.header.release_id, 0, 0, air.landings[0]


def test_a_hash_is_right_or_wrong(air, expected):
    air.hear_block(0)
    assert run_job(HashJob(*where(air), expected), codec()).finding is Finding.GOOD
    air.landings[0].source[3, 5] ^= 1
    assert run_job(HashJob(*where(air), expected), codec()).finding is Finding.MISMATCH


@pytest.mark.parametrize("missing", [1, 20, 150, 190])
def test_a_decode_fills_in_what_is_missing(air, size, expected, missing):
    air.hear_block(0, range(missing, size + missing))
    Holdings(air.landings[0]).want_more(0, 4)
    air.hear_block(0, range(size + missing, min(size + missing + 4, 2 * size)))
    job = DecodeJob(*where(air), expected, Holdings(air.landings[0]).present(0))
    assert run_job(job, codec()).finding is Finding.GOOD
    assert blake3(air.landings[0].block(0).tobytes()).digest() == expected


def test_too_few_symbols_touch_nothing(air, size, expected):
    air.hear_block(0, range(5, size))
    before = air.landings[0].source.copy()
    job = DecodeJob(*where(air), expected, Holdings(air.landings[0]).present(0))
    result = run_job(job, codec())
    assert (result.job, result.finding) == (job, Finding.TOO_FEW)
    assert (air.landings[0].source == before).all()


def test_a_forged_symbol_makes_a_decode_wrong(air, size, expected):
    air.hear([air.forged(0, 0, size + 2)])
    air.hear_block(0, range(1, size))
    job = DecodeJob(*where(air), expected, Holdings(air.landings[0]).present(0))
    assert run_job(job, codec()).finding in (Finding.MISMATCH, Finding.TOO_FEW)


class Blind:
    """A codec that can't tell which symbols are wrong."""

    name = "blind"
    decode = staticmethod(codec().decode)

    @staticmethod
    def find_wrong(*_):
        return None


@pytest.mark.parametrize("esi", [7, 200])
def test_left_out_is_the_part_with_the_forged_symbol(air, size, expected, esi):
    air.hear([air.forged(0, 0, esi)])
    Holdings(air.landings[0]).want_more(0, 12)
    air.hear_block(0, range(size + 12))
    present = Holdings(air.landings[0]).present(0)
    none = np.empty(0, dtype=np.int64)
    is_source = esi < size
    part = (np.array([esi]), none) if is_source else (none, np.flatnonzero(present.esis == esi))
    parts = ((np.arange(20), none), (np.array([1, 2]), none), part)  # the first one leaves too few
    result = run_job(LeaveOutJob(*where(air), expected, present, parts), Blind())
    assert result.finding is Finding.GOOD
    assert result.bad_esis.tolist() == ([esi] if is_source else [])
    assert blake3(air.landings[0].block(0).tobytes()).digest() == expected


@pytest.mark.parametrize("esi", [7, 195, 196, 200])
def test_one_forged_symbol_is_found_by_the_code_without_a_hint(air, size, expected, esi):
    """The last source symbol, the first repair symbol; the digest is right, and what was forged is put right there."""
    assert size == 196
    air.hear([air.forged(0, 0, esi)])
    Holdings(air.landings[0]).want_more(0, 12)
    air.hear_block(0, range(3, size + 12))
    present = Holdings(air.landings[0]).present(0)
    result = run_job(LeaveOutJob(*where(air), expected, present, ()), codec())
    assert result.finding is Finding.GOOD
    assert result.bad_esis.tolist() == ([esi] if esi < size else [])
    assert blake3(air.landings[0].block(0).tobytes()).digest() == expected


def test_a_sort_tells_good_from_bad(air):
    esis = np.array([0, 3, 9])
    rows = np.frombuffer(b"".join(air.symbol(0, 0, esi) for esi in esis.tolist()), np.uint8).reshape(3, 256).copy()
    digests = symbol_digests(0, np.zeros(3, dtype=np.int64), esis, rows)
    for bad in ([], [3]):
        rows[1, 0] ^= bool(bad)
        result = run_job(SortJob(*where(air), esis, rows, digests), codec())
        assert result.finding is Finding.GOOD, "it is done, whatever was bad"
        assert result.bad_esis.tolist() == bad
