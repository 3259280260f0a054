"""Move bytes and time between a port and the flasher, or between a port and a person."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from carousel.errors import OperatorError
from settop.flasher.console import FrameFilter, KeyboardReader
from settop.flasher.flasher import Flasher, Job
from settop.flasher.port import Port, SerialPort
from settop.flasher.report import BoardReporter

__all__ = ["claimed", "drive", "run_console", "tracer"]

LONGEST_READ_S = 0.25
LOOK_EVERY_S = 0.05
GIVE_WAY_S = 2.0
"""So long a console may take to give way to the flasher."""
LEAVE_CONSOLE = 0x1D  # Ctrl-]

Trace = Callable[[str, bytes], None]


@contextmanager
def claimed(port: SerialPort) -> Iterator[None]:
    """Take the line over from a console for the length of a with statement; `OperatorError` if it is not given."""
    claim = port.claim
    if claim is None:
        yield
        return
    claim.say_wanted()
    give_up_s = time.monotonic() + GIVE_WAY_S
    while not claim.try_take():
        if time.monotonic() > give_up_s:
            raise OperatorError(f"another `settop flash` has {port.url}; wait for it, or end it")
        time.sleep(LOOK_EVERY_S)
    claim.say_no_longer_wanted()
    try:
        yield
    finally:
        claim.give_up()


def drive(job: Job, port: Port, initial_baud: int, reporter: BoardReporter, trace: Trace | None) -> None:
    """Run a flasher over a port until it is done."""
    flasher = Flasher(job, initial_baud, time.monotonic())
    baud, pulled = initial_baud, flasher.line.pulled
    while True:
        out = flasher.line.take_output()
        if out:
            port.write(out)
            if trace:
                trace("→", out)
        if flasher.line.baud != baud:
            baud = flasher.line.baud
            port.set_baud(baud)
        if flasher.line.pulled is not pulled:
            pulled = flasher.line.pulled
            port.pull(pulled)
        while flasher.events:
            reporter.tell(flasher.events.popleft())
        if flasher.is_done:
            return
        heard = port.read(min(LONGEST_READ_S, flasher.deadline_s - time.monotonic()))
        if heard and trace:
            trace("←", heard)
        flasher.advance(heard, time.monotonic())


def run_console(port: SerialPort, baud: int) -> None:
    """Copy both ways until Ctrl-], the end of the input, or of the line; give way while `settop flash` works."""
    leave, frames = threading.Event(), FrameFilter()
    _take_line(port, leave)

    def type_to_board() -> None:
        with KeyboardReader() as keyboard:
            while not leave.is_set():
                keys = keyboard.read(0.1)
                if keys is None or LEAVE_CONSOLE in keys:
                    leave.set()
                elif keys:
                    port.write(keys)

    typing = threading.Thread(target=type_to_board, daemon=True)
    typing.start()
    try:
        while not leave.is_set():
            if port.claim is not None and port.claim.is_wanted:
                _give_way(port, baud, leave)
                continue
            heard = port.read(0.1)
            os.write(1, frames.feed(heard) if heard else frames.give_up())
    finally:
        leave.set()
        typing.join(1.0)


def _take_line(port: SerialPort, leave: threading.Event) -> None:
    while port.claim is not None and not leave.is_set() and not port.claim.try_take():
        leave.wait(LOOK_EVERY_S)


def _give_way(port: SerialPort, baud: int, leave: threading.Event) -> None:
    """Let the flasher have the line, and take it back when it is done."""
    assert port.claim is not None
    port.claim.give_up()
    print("\r\n[settop flash has the line]\r", file=sys.stderr)
    while port.claim.is_wanted and not leave.is_set():
        leave.wait(LOOK_EVERY_S)
    _take_line(port, leave)
    port.set_baud(baud)
    print("[the console has it again; Ctrl-] leaves]\r", file=sys.stderr)


def tracer() -> Trace:
    """Return what prints every byte with the time since the one before."""
    last_s = time.monotonic()

    def trace(arrow: str, data: bytes) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        for first in range(0, len(data), 32):
            piece = data[first : first + 32]
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
            print(f"{now_s - last_s:+9.4f} {arrow} {piece.hex(' '):95}  {text}", file=sys.stderr)
            last_s = now_s

    return trace
