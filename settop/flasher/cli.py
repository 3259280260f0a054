"""What `settop flash` and `settop console` do: a bare board on a serial line, the clock and the keyboard."""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from carousel.console.files import load_public_key, open_release
from carousel.errors import OperatorError, UsageError
from carousel.frozen import Frozen
from settop.flasher.driver import claimed, drive, run_console, tracer
from settop.flasher.errors import FlashError
from settop.flasher.events import Note
from settop.flasher.flasher import Image, Job
from settop.flasher.frames import INITIAL_BAUD, Place
from settop.flasher.line import ResetLine
from settop.flasher.port import SerialPort, list_ports
from settop.flasher.report import BoardReporter
from settop.flasher.stubfile import parse_stub
from settop.store.factory import image_of_release

__all__ = ["RESETS", "FlashRequest", "console", "flash", "print_ports"]

PLACES = {"a": Place.SLOT_A, "b": Place.SLOT_B, "eeprom": Place.EEPROM}
RESETS = {
    "auto": (ResetLine.RTS, ResetLine.DTR),
    "rts": (ResetLine.RTS,),
    "dtr": (ResetLine.DTR,),
    "none": (),
}
"""What --reset names: the lines that are pulled, in turn."""


class FlashRequest(Frozen):
    """What `settop flash` is asked for; the arguments of settop/commands/flashing.py by their names."""

    port: str | None
    release: Path | None = None
    stub: Path | None = None
    slot: str | None = None
    trust: Path | None = None
    baud: int = 921600
    initial_baud: int = INITIAL_BAUD
    connect: float = 10.0
    reset: str = "auto"
    no_boot: bool = False
    then_console: bool = False
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
        with SerialPort.open(request.port, request.initial_baud, raise_lines=request.reset == "none") as line:
            job = job.but(resets=_reset_lines(request.reset, line))
            with claimed(line), closing(_reporter(request.port, request.as_json)) as reporter:
                _drive(job, line, request, reporter)
            if request.then_console:
                print(f"{request.port}: Ctrl-] leaves", file=sys.stderr)
                run_console(line, request.initial_baud)
    return 0


def _drive(job: Job, line: SerialPort, request: FlashRequest, reporter: BoardReporter) -> None:
    try:
        drive(job, line, request.initial_baud, reporter, tracer() if request.trace else None)
    except KeyboardInterrupt:
        reporter.tell(Note("interrupted; what the flash holds stays there: run it again to go on"))
        raise


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


def console(port: str, baud: int, raise_lines: bool) -> int:
    """Show what a board says, and send it what is typed, until Ctrl-]; give way while `settop flash` works."""
    with SerialPort.open(port, baud, raise_lines) as line:
        print(f"{port}: Ctrl-] leaves", file=sys.stderr)
        run_console(line, baud)
    return 0


def _reset_lines(name: str, port: SerialPort) -> tuple[ResetLine, ...]:
    """Return which control lines may be pulled, in turn."""
    if not RESETS[name] or port.has_control_lines:
        return RESETS[name]
    if name != "auto":
        raise OperatorError(f"{port.url} has no {name.upper()} line; leave --reset out, and reset the board by hand")
    return ()


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
