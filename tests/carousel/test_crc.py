import zlib

import crcmod.predefined
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel import crc
from carousel.crc import crc32
from carousel.native import core

REFERENCE = crcmod.predefined.mkCrcFun("crc-32")


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_agrees_with_zlib_and_with_the_model(first, second):
    assert crc32(first) == zlib.crc32(first) == REFERENCE(first)
    assert crc32(second, crc32(first)) == REFERENCE(first + second)


@given(st.integers(0, 1 << 32), st.integers(0, 70), st.integers(0, 3000))
def test_large_buffers_at_any_place(seed, start, size):
    data = seed.to_bytes(5, "big") * 700
    part = memoryview(data)[start : start + size]
    assert crc32(part, seed & 0xFFFFFFFF) == zlib.crc32(part, seed & 0xFFFFFFFF)


@pytest.mark.parametrize("missing", [[], ["core"], ["core", "zlib_ng"]])
def test_every_implementation_counts_the_same(monkeypatch, missing):
    if "core" in missing:
        monkeypatch.setattr(crc, "core", lambda: None)
    if "zlib_ng" in missing:
        monkeypatch.setitem(__import__("sys").modules, "zlib_ng", None)
    crc._large.cache_clear()
    try:
        data = bytes(range(256)) * 20
        assert crc32(data, 77) == zlib.crc32(data, 77)
        expected = ("native" if core() else "zlib_ng", "zlib_ng", "zlib")[len(missing)]
        assert crc.implementation() == expected
    finally:
        crc._large.cache_clear()
