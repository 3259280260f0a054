"""The systemd units in examples/: whole, and shut in as far as their work allows."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.lab import BIN

pytestmark = pytest.mark.systemd
UNITS = Path(__file__).parents[2] / "examples" / "systemd"
MOST_EXPOSED = 30
"""Of 100; `systemd-analyze security` shows a tenth of it."""


@pytest.fixture
def unit(tmp_path):
    """A unit with the programs of this checkout, which are not in /usr/bin."""

    def write(name: str) -> Path:
        text = re.sub(r"/usr/bin/(headend|settop)\b", rf"{BIN}/\1", (UNITS / name).read_text())
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def analyze(*arguments: object) -> subprocess.CompletedProcess:
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.service")))
def test_systemd_has_nothing_to_say(unit, name):
    done = analyze("verify", unit(name))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["headend.service", "settop.service"])
def test_what_listens_is_shut_in(unit, name):
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED - 1}", "--no-pager", unit(name))
    assert done.returncode == 0, done.stdout
