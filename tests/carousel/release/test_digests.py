"""The digest of a symbol: of where it belongs and what it is."""

import hashlib

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


@given(st.lists(st.tuples(st.integers(0, 2**24 - 1), symbols), max_size=5))
def test_many_stand_one_behind_the_other(numbered):
    assert symbol_digests(1, 2, numbered) == b"".join(symbol_digest(1, 2, esi, symbol) for esi, symbol in numbered)
