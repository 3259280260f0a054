"""What `settop flash` and `settop console` do: a bare board on a serial line, the clock and the keyboard."""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from carousel.console.files import load_public_key, open_release
from carousel.errors import OperatorError, UsageError
from settop.flasher.console import FrameFilter, KeyboardReader
from settop.flasher.errors import FlashError
from settop.flasher.flasher import Flasher, Image, Job
from settop.flasher.frames import INITIAL_BAUD, Place
from settop.flasher.port import Port, SerialPort, list_ports
from settop.flasher.report import BoardReporter
from settop.flasher.stubfile import parse_stub
from settop.store.factory import image_of_release

__all__ = ["FlashRequest", "console", "drive", "flash", "print_ports", "run_console"]

LONGEST_READ_S = 0.25
PLACES = {"a": Place.SLOT_A, "b": Place.SLOT_B, "eeprom": Place.EEPROM}
LEAVE_CONSOLE = 0x1D  # Ctrl-]


@dataclass(frozen=True)
class FlashRequest:
    """What `settop flash` is asked for; the arguments of settop/commands/flashing.py by their names."""

    port: str | None
    release: Path | None = None
    stub: Path | None = None
    slot: str | None = None
    trust: Path | None = None
    baud: int = 921600
    initial_baud: int = INITIAL_BAUD
    connect: float = 10.0
    reset: str | None = None
    no_boot: bool = False
    read_state: bool = False
    trace: bool = False
    as_json: bool = False


def flash(request: FlashRequest) -> int:
    """Write a release (or a stub) to a bare board over its serial line."""
    if not request.port:
        raise UsageError("which port? Give --port; `settop flash --list` shows those of this machine")
    if request.release is None and request.stub is None and not request.read_state:
        raise UsageError("nothing to do: give a release file, --stub FILE, or --read-state")
    with _errors_told(request.as_json):
        image = _load_image(request.release, request.slot, request.trust) if request.release is not None else None
        stub = parse_stub(request.stub.read_bytes(), str(request.stub)) if request.stub is not None else None
        boots = not (request.no_boot or (request.read_state and image is None))
        job = Job(image, stub, request.baud, request.connect, boots, request.read_state)
        with (
            SerialPort.open(request.port, request.initial_baud) as line,
            closing(_reporter(request.port, request.as_json)) as reporter,
        ):
            if request.reset:
                line.pulse_reset(request.reset, 0.1, time.sleep)
            drive(job, line, request.initial_baud, reporter, _tracer() if request.trace else None)
    return 0


@contextmanager
def _errors_told(as_json: bool) -> Iterator[None]:
    """Say an error as an event, too."""
    try:
        yield
    except OperatorError as error:
        if as_json:
            kind = error.kind if isinstance(error, FlashError) else "operator"
            print(json.dumps({"event": "error", "kind": kind, "text": str(error)}), flush=True)
        raise


def _reporter(port: str, as_json: bool) -> BoardReporter:
    return BoardReporter(port, as_json, sys.stdout.isatty())


def drive(
    job: Job, port: Port, initial_baud: int, reporter: BoardReporter, trace: Callable[[str, bytes], None] | None
) -> None:
    """Run a flasher over a port until it is done."""
    flasher = Flasher(job, initial_baud, time.monotonic())
    baud = initial_baud
    while True:
        out = flasher.line.take_output()
        if out:
            port.write(out)
            if trace:
                trace("→", out)
        if flasher.line.baud != baud:
            baud = flasher.line.baud
            port.set_baud(baud)
        while flasher.events:
            reporter.tell(flasher.events.popleft())
        if flasher.is_done:
            return
        heard = port.read(min(LONGEST_READ_S, flasher.deadline_s - time.monotonic()))
        if heard and trace:
            trace("←", heard)
        flasher.advance(heard, time.monotonic())


def console(port: str, baud: int) -> int:
    """Show what a board says, and send it what is typed; Ctrl-] leaves."""
    with SerialPort.open(port, baud) as line:
        print(f"{port}: Ctrl-] leaves", file=sys.stderr)
        run_console(line)
    return 0


def run_console(line: Port) -> None:
    """Copy both ways until Ctrl-], the end of the input, or of the line."""
    leave, frames = threading.Event(), FrameFilter()

    def type_to_board() -> None:
        with KeyboardReader() as keyboard:
            while not leave.is_set():
                keys = keyboard.read(0.1)
                if keys is None or LEAVE_CONSOLE in keys:
                    leave.set()
                elif keys:
                    line.write(keys)

    typing = threading.Thread(target=type_to_board, daemon=True)
    typing.start()
    try:
        while not leave.is_set():
            heard = line.read(0.1)
            os.write(1, frames.feed(heard) if heard else frames.give_up())
    finally:
        leave.set()
        typing.join(1.0)


def _load_image(path: Path, slot: str | None, trust: Path | None) -> Image:
    with open_release(path) as release:
        header = release.header
        if trust is not None and not header.is_signed_by(load_public_key(trust)):
            raise FlashError("bad_signature", f"{path} is not signed by {trust}")
        content = b"".join(image_of_release(release))
        if hashlib.sha256(content).digest() != header.image_sha256:
            raise OperatorError(f"{path} is damaged: its image is not what its header says; pack it again")
        return Image(header, content, PLACES.get(slot or "", Place.FREE_SLOT))


def print_ports(as_json: bool) -> int:
    """List the serial ports of this machine."""
    ports = list_ports()
    if as_json:
        print(json.dumps([{"port": port, "description": description} for port, description in ports]))
    elif not ports:
        print("no serial ports here; socket://host:port and rfc2217://host:port work, too")
    for port, description in ports if not as_json else []:
        print(f"{port}  {description}")
    return 0


def _tracer() -> Callable[[str, bytes], None]:
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
