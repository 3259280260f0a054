"""What is generated follows from the declarations, and the C that uses it computes what Python does."""

import ctypes
import hashlib
import importlib.util
import subprocess
import sys
import zlib

import crcmod.predefined
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.firmware_stub.stubhost import STUB, library

pytestmark = pytest.mark.stub


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", STUB / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_files_have_not_drifted(generate):
    for path, text in generate.outputs().items():
        assert path.read_text() == text, f"{path.name} has drifted: run `make wire`"


def test_drift_is_noticed(generate, monkeypatch):
    monkeypatch.setitem(generate.NUMBERS, "TRIES", 4)
    assert any(path.read_text() != text for path, text in generate.outputs().items())


def test_the_check_command_says_so():
    outcome = subprocess.run([sys.executable, STUB / "generate.py", "--check"], check=False, capture_output=True)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize(
    ("offset", "size", "message"), [(1, 0x40000, "does not begin"), (0x04040000, 0x40000, "overlaps")]
)
def test_a_flash_map_that_can_not_be_is_refused(generate, tmp_path, offset, size, message):
    text = (STUB / "qemu" / "board.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("eeprom"))
    (tmp_path / "board.toml").write_text(text.replace(line, f"eeprom = {{ offset = {offset}, size = {size} }}"))
    with pytest.raises(SystemExit, match=message):
        generate.load_board(tmp_path / "board.toml")


@given(st.binary(max_size=300))
def test_crc_is_that_of_zlib_and_crcmod(data):
    assert library().host_crc32(data, len(data)) == zlib.crc32(data) == crcmod.predefined.mkCrcFun("crc-32")(data)


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
