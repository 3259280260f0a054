"""The four functions that a freestanding compiler calls: as the C library's, with sanitizers, on this machine."""

import ctypes
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.firmware_stub.stubhost import STUB

pytestmark = pytest.mark.stub

NAMES = ("memcpy", "memmove", "memset", "memcmp", "strlen")
ROOM = 64


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "memory.so"
    flags = ["-std=c11", "-O1", "-fPIC", "-shared", "-fno-builtin", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    renamed = [f"-D{name}=stub_{name}" for name in NAMES]
    subprocess.run(["cc", *flags, *renamed, "-o", path, STUB / "ports" / "qemu" / "memory.c"], check=True)
    library = ctypes.CDLL(str(path))
    library.stub_strlen.restype = ctypes.c_size_t
    for name in ("memcpy", "memmove", "memset"):
        getattr(library, f"stub_{name}").restype = ctypes.c_void_p
    return library


places = st.integers(0, ROOM // 2)
lengths = st.integers(0, ROOM // 2)
contents = st.binary(min_size=ROOM, max_size=ROOM)


def at(buffer, offset):
    return ctypes.c_void_p(ctypes.addressof(buffer) + offset)


@given(contents, contents, places, places, lengths)
def test_copying_at_any_alignment(memory, before, source, to, start, length):
    target, origin = ctypes.create_string_buffer(before, ROOM), ctypes.create_string_buffer(source, ROOM)
    assert memory.stub_memcpy(at(target, to), at(origin, start), length) == at(target, to).value
    assert target.raw == before[:to] + source[start : start + length] + before[to + length :]


@given(contents, places, places, lengths)
def test_moving_over_itself(memory, before, to, start, length):
    buffer = ctypes.create_string_buffer(before, ROOM)
    assert memory.stub_memmove(at(buffer, to), at(buffer, start), length) == at(buffer, to).value
    assert buffer.raw == before[:to] + before[start : start + length] + before[to + length :]


@given(contents, places, lengths, st.integers(0, 255))
def test_filling(memory, before, to, length, value):
    buffer = ctypes.create_string_buffer(before, ROOM)
    memory.stub_memset(at(buffer, to), value, length)
    assert buffer.raw == before[:to] + bytes([value]) * length + before[to + length :]


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_comparing(memory, left, right):
    length = min(len(left), len(right))
    expected = (left[:length] > right[:length]) - (left[:length] < right[:length])
    assert memory.stub_memcmp(left, right, length) == expected
    assert memory.stub_memcmp(left, left, len(left)) == 0


@given(st.binary(max_size=40).filter(lambda text: 0 not in text))
def test_measuring(memory, text):
    assert memory.stub_strlen(text + b"\0behind") == len(text)
