"""`settop receive --memory`: what the process has of anonymous memory, as the kernel counts it, while it receives."""

import json
from pathlib import Path

import pytest

from tests.conftest import noise
from tests.e2e.lab import Lab, free_port

pytestmark = pytest.mark.processes
IMAGE_BYTES = 48_000_000
LIMIT_BYTES = 48_000_000


def anonymous_bytes(pid):
    """Who has said all and ended has none."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def test_memory_holds(tmp_path):
    """Looked at with every line that the box says, through a whole reception of an image as large as the limit."""
    lab = Lab(tmp_path, free_port())
    release, box = lab.pack(noise(1_000_000) * (IMAGE_BYTES // 1_000_000), "1.0.0", "image"), lab.box("box")
    with lab.cast(release, rate="150M"):
        seen, told = [], []
        with lab.start_receive(box, "--memory", "48M", "--drop", "5%", timeout=200) as receiving:
            for line in receiving.stdout:
                told.append(json.loads(line)["event"])
                seen.append(anonymous_bytes(receiving.pid))
    assert receiving.returncode == 0
    assert "installed" in told
    assert told.count("progress") > 3
    assert max(seen) > LIMIT_BYTES / 4, "what is looked at is the box"
    assert max(seen) <= LIMIT_BYTES, f"{max(seen):,} bytes at one time"
