"""CRC-32 by the generated table."""

import zlib

import crcmod.predefined
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.firmware_stub.stubhost import library

pytestmark = pytest.mark.stub


@given(st.binary(max_size=300))
def test_crc_is_that_of_zlib_and_crcmod(data):
    assert library().host_crc32(data, len(data)) == zlib.crc32(data) == crcmod.predefined.mkCrcFun("crc-32")(data)
