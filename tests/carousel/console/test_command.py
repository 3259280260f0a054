"""How a command ends: in a sentence, in silence where nobody reads on, and with an exit code."""

import os
import subprocess
import sys

import pytest

PRINTS = "import sys; from carousel.console.command import run_command; run_command('program', lambda: "


def run_unread(what):
    """Run a command whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as unread:
        done = subprocess.run(
            [sys.executable, "-c", f"{PRINTS}{what})"], stdout=unread, stderr=subprocess.PIPE, check=False
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("what", ["print('x')", "print('x' * 100_000)", "print('x', flush=True)"])
def test_who_reads_no_further_is_told_nothing(what):
    assert run_unread(what) == (141, b"")


def test_another_broken_pipe_is_told():
    command = [sys.executable, "-c", f"{PRINTS}(_ for _ in ()).throw(BrokenPipeError(32, 'Broken pipe')))"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"program: Broken pipe\n")


def test_output_that_can_not_be_written_is_told():
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-c", f"{PRINTS}print('x'))"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        b"program: the disk is full; make room and start again",
    )
