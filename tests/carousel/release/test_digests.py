"""The digest of a symbol: of where it belongs and what it is."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carousel.release.digests import symbol_digest, symbol_digests

symbols = st.binary(max_size=40)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**24 - 1), symbols)
def test_it_is_the_designs(level, sbn, esi, symbol):
    place = bytes([level, sbn, esi >> 16, esi >> 8 & 0xFF, esi & 0xFF])
    digest = symbol_digest(level, sbn, esi, symbol)
    assert digest == hashlib.sha256(place + symbol).digest()[:16]
    assert symbol_digest(level, sbn, esi, memoryview(symbol)) == digest


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**24 - 1), st.binary(min_size=8, max_size=8)), max_size=5)
)
def test_many_have_the_digests_of_each(many):
    sbn, esi = (np.array([one[at] for one in many], dtype=np.int64) for at in (0, 1))
    symbols = np.frombuffer(b"".join(symbol for _, _, symbol in many), dtype=np.uint8).reshape(-1, 8)
    found = symbol_digests(3, sbn, esi, symbols)
    assert [row.tobytes() for row in found] == [symbol_digest(3, *one) for one in many]
