"""Run something in a forked child, so that whatever becomes of it, its parent goes on in time.

The child may hang in a stopped disk, die of a page that its medium can't give (SIGBUS) or run out of memory: the parent
waits for it with a deadline, kills it, and does not wait for what can't be killed. Fork before any thread is started.
"""

import ctypes
import os
import select
import signal
import traceback
from collections.abc import Callable

from carousel.frozen import Frozen

__all__ = ["CRASHED", "INTERRUPTED", "Beat", "ChildLostError", "MoreTime", "run_in_child"]

PR_SET_PDEATHSIG = 1
CRASHED = 70
"""EX_SOFTWARE: the task raised; its traceback is on stderr."""
INTERRUPTED = 130
REAPING_MS = 500

MoreTime = Callable[[float], None]
"""Ask the parent to wait so many seconds from now on."""


class Beat(Frozen):
    """What to do every so often while a child is waited for."""

    interval_s: float
    act: Callable[[], None]


class ChildLostError(Exception):
    """The child did not come to its end: it was killed, by its parent or by a signal."""


def run_in_child(task: Callable[[MoreTime], int], timeout_s: float, beat: Beat | None = None) -> int:
    """Run a task in a child; return what it returns (0 to 255). `ChildLostError` where it dies or is late."""
    hearing, telling = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(hearing)
        _be_child(task, telling, parent)
    os.close(telling)
    try:
        return _wait(child, hearing, timeout_s, beat)
    finally:
        os.close(hearing)


def _be_child(task: Callable[[MoreTime], int], telling: int, parent: int) -> None:
    code = CRASHED
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            code = task(lambda seconds: _tell(telling, seconds))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _tell(telling: int, seconds: float) -> None:
    os.write(telling, f"{seconds:.1f}\n".encode())


def _wait(child: int, hearing: int, timeout_s: float, beat: Beat | None) -> int:
    """Wait for the child's end, longer where it asks for it."""
    watched = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        poll.register(hearing, select.POLLIN)
        while True:
            wait_s = min(timeout_s, beat.interval_s) if beat else timeout_s
            ready = dict(poll.poll(wait_s * 1000))
            if watched in ready:
                return _end_of(child)
            if beat is not None:
                beat.act()
            if not ready and wait_s < timeout_s:
                timeout_s -= wait_s
            elif not ready:
                signal.pidfd_send_signal(watched, signal.SIGKILL)
                ended = select.poll()
                ended.register(watched, select.POLLIN)
                if ended.poll(REAPING_MS):
                    os.waitpid(child, 0)
                raise ChildLostError("it was not done in time")
            elif asked := os.read(hearing, 4096).split():
                timeout_s = float(asked[-1])
            else:
                poll.unregister(hearing)  # it is about to end
    finally:
        os.close(watched)


def _end_of(child: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        raise ChildLostError(f"it died of {signal.Signals(-code).name}")
    return code
