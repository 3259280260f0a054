"""The first chapter of `make vm` on each run of the suite: from a card through the air into a confirmed image."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.vm
def test_a_board_boots_its_card_installs_from_the_air_and_confirms(tmp_path):
    words = [sys.executable, "-m", "tests.vm.story", "--chapters", "1", "--folder", tmp_path / "vm"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "confirmed slot-a" in done.stdout
