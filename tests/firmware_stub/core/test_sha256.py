"""SHA-256 in pieces of many sizes."""

import ctypes
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.firmware_stub.stubhost import library

pytestmark = pytest.mark.stub


@settings(max_examples=200)
@given(st.binary(max_size=500))
def test_sha256_is_that_of_hashlib(data):
    digest = ctypes.create_string_buffer(32)
    library().host_sha256(data, len(data), digest)
    assert digest.raw == hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [0, 55, 56, 63, 64, 65, 119, 120, 100_000])
def test_sha256_around_its_block_bounds(size):
    digest = ctypes.create_string_buffer(32)
    data = bytes(index % 251 for index in range(size))
    library().host_sha256(data, size, digest)
    assert digest.raw == hashlib.sha256(data).digest()
