"""What is generated follows from the declarations."""

import importlib.util
import subprocess
import sys

import pytest

from tests.firmware_stub.stubhost import STUB

pytestmark = pytest.mark.stub


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", STUB / "tools" / "generate.py")
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
    outcome = subprocess.run(
        [sys.executable, STUB / "tools" / "generate.py", "--check"], check=False, capture_output=True
    )
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize(
    ("offset", "size", "message"), [(1, 0x40000, "does not begin"), (0x04040000, 0x40000, "overlaps")]
)
def test_a_flash_map_that_can_not_be_is_refused(generate, tmp_path, offset, size, message):
    text = (STUB / "ports" / "qemu" / "board.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("eeprom"))
    (tmp_path / "board.toml").write_text(text.replace(line, f"eeprom = {{ offset = {offset}, size = {size} }}"))
    with pytest.raises(SystemExit, match=message):
        generate.load_board(tmp_path / "board.toml")
