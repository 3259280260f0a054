"""What a box loads on its way to an image: each module costs its start, whether it is of use or not."""

import os
import re
import subprocess

import pytest

from tests.conftest import noise
from tests.e2e.lab import Lab, command, free_port

pytestmark = pytest.mark.processes

UNWANTED = {
    "asyncio",
    "carousel.bulletin",
    "construct",
    "cryptography.hazmat.primitives.serialization",
    "dataclasses",
    "logging",
    "lzma",
    "multiprocessing",
    "numpy.fft",
    "numpy.ma",
    "numpy.polynomial",
    "numpy.random",
    "rich",
    "serial",
    "settop.boot",
    "settop.metrics",
    "settop.rollout.board",
    "settop.store.bulletins",
    "settop.wire.ssu",
    "shutil",
    "subprocess",
    "tempfile",
    "typer",
}


def test_a_reception_loads_what_it_needs_and_before_it_listens(tmp_path):
    lab = Lab(tmp_path, free_port())
    box = lab.box("box")
    arguments = ["--store", box, "--group", lab.group, "--interface", "lo", "--timeout", "30"]
    with lab.cast(lab.pack(noise(200_000), "1.4.0", "kernel")):
        done = subprocess.run(
            command("settop", "receive", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        )
    assert "installed 1.4.0" in done.stdout
    before, after = (
        set(re.findall(r"^import time:.*\| +(\S+)$", part, re.MULTILINE))
        for part in done.stdout.split("listening to", 1)
    )
    assert "numpy" in before
    assert not UNWANTED & before
    assert after <= {"cryptography.exceptions"}, "which the first signature wants"
