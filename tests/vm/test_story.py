"""The whole of `make vm`: from a card through the air into a confirmed image, and back from all that goes wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PATIENCE = "120s"
"""How long the boards listen before they start what they have: enough for a busy machine."""


@pytest.mark.vm
def test_the_story_of_make_vm(tmp_path):
    words = [sys.executable, "-m", "tests.vm.story", "--timeout", PATIENCE, "--folder", tmp_path / "vm"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "That was all of it" in done.stdout
