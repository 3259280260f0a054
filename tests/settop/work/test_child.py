"""A task in a child: whatever becomes of the child, its parent goes on in time."""

import faulthandler
import mmap
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from settop.work.child import Beat, ChildLostError, run_in_child


def test_what_the_task_returns(tmp_path):
    assert run_in_child(lambda more_time: 4, 30) == 4


def test_a_task_that_raises_is_a_code():
    assert run_in_child(lambda more_time: 1 // 0, 30) == 70


def test_a_task_that_hangs_is_killed(tmp_path):
    def hang(more_time):
        (tmp_path / "pid").write_text(str(os.getpid()))
        signal.pause()
        return 0

    with pytest.raises(ChildLostError, match="in time"):
        run_in_child(hang, 0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_stopped_task_is_killed():
    def stop(more_time):
        os.kill(os.getpid(), signal.SIGSTOP)
        return 0

    with pytest.raises(ChildLostError, match="in time"):
        run_in_child(stop, 0.5)


@pytest.mark.slow
def test_a_task_may_ask_for_more_time():
    def slow(more_time):
        more_time(60)
        signal.sigtimedwait([], 1.2)
        return 3

    assert run_in_child(slow, 0.6) == 3


@pytest.mark.slow
def test_whoever_waits_can_say_that_he_is_alive_and_the_deadline_holds():
    beats = []

    def slow(more_time):
        signal.sigtimedwait([], 0.5)
        return 3

    assert run_in_child(slow, 60, Beat(0.01, lambda: beats.append(1))) == 3
    assert len(beats) > 1
    with pytest.raises(ChildLostError, match="in time"):
        run_in_child(lambda more_time: signal.pause(), 0.3, Beat(0.01, lambda: beats.append(1)))


def test_a_page_that_the_medium_can_not_give_kills_the_child_alone(tmp_path):
    path = tmp_path / "x.part"
    path.write_bytes(bytes(1 << 16))

    def touch(more_time):
        faulthandler.disable()
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
            os.truncate(path, 0)
            return memory[40_000]

    with pytest.raises(ChildLostError, match="SIGBUS"):
        run_in_child(touch, 30)


def test_a_child_does_not_outlive_its_parent(tmp_path):
    code = f"""
        import os, signal
        from settop.work.child import run_in_child
        def task(more_time):
            open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
            return 0
        run_in_child(task, 60)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    child = int((tmp_path / "pid").read_text())
    for _ in range(500):
        try:
            state = Path(f"/proc/{child}/stat").read_text().split()[2]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        signal.sigtimedwait([], 0.01)
    raise AssertionError("the child lives on")
