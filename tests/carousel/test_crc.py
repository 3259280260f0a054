import zlib

import crcmod.predefined
from hypothesis import given
from hypothesis import strategies as st

from carousel.crc import crc32

REFERENCE = crcmod.predefined.mkCrcFun("crc-32")


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_agrees_with_zlib_and_with_the_model(first, second):
    assert crc32(first) == zlib.crc32(first) == REFERENCE(first)
    assert crc32(second, crc32(first)) == REFERENCE(first + second)
