"""The commands for a bare board on a serial line: `settop flash`, `settop console`."""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from carousel.console.files import load_public_key, open_release
from carousel.errors import OperatorError
from settop.flasher.console import FrameFilter, KeyboardReader
from settop.flasher.errors import FlashError
from settop.flasher.flasher import Flasher, Image, Job
from settop.flasher.frames import INITIAL_BAUD, Place
from settop.flasher.port import Port, SerialPort, list_ports
from settop.flasher.report import BoardReporter
from settop.flasher.stubfile import parse_stub
from settop.store.factory import image_of_release

__all__ = ["add_to", "drive"]

LONGEST_READ_S = 0.25
PLACES = {"a": Place.SLOT_A, "b": Place.SLOT_B, "eeprom": Place.EEPROM}
LEAVE_CONSOLE = 0x1D  # Ctrl-]

PortOption = Annotated[
    str, typer.Option("--port", help="/dev/ttyUSB0, socket://host:port, rfc2217://host:port, a pty.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def flash(
    release: Annotated[Path | None, typer.Argument(help="The release to write.", show_default=False)] = None,
    port: Annotated[str, typer.Option(help="/dev/ttyUSB0, socket://host:port, rfc2217://host:port, a pty.")] = "",
    baud: Annotated[
        int, typer.Option(min=300, max=4000000, help="The rate to change to, if board and line can.")
    ] = 921600,
    initial_baud: Annotated[int, typer.Option(min=300, help="The rate at which the loader starts.")] = INITIAL_BAUD,
    slot: Annotated[str, typer.Option(help="a, b or eeprom; left out, the board takes the free slot.")] = "",
    stub: Annotated[Path | None, typer.Option(help="Replace the stub itself by this binary, first.")] = None,
    trust: Annotated[
        Path | None,
        typer.Option(help="Refuse releases that this public key has not signed, whatever the board trusts."),
    ] = None,
    connect: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the board.")] = 10.0,
    reset: Annotated[
        str, typer.Option(help="dtr or rts: pull this line first, where the board's reset hangs on it.")
    ] = "",
    no_boot: Annotated[bool, typer.Option("--no-boot", help="Stay in the loader afterwards.")] = False,
    read_state: Annotated[bool, typer.Option("--read-state", help="Show what the board holds; write nothing.")] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show every byte, with the time since the one before.")
    ] = False,
    show_ports: Annotated[bool, typer.Option("--list", help="List the serial ports.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a release (or a stub) to a bare board over its serial line."""
    if show_ports:
        _print_ports(as_json)
        return
    if not port:
        raise OperatorError("which port? Give --port; `settop flash --list` shows those of this machine")
    if release is None and stub is None and not read_state:
        raise OperatorError("nothing to do: give a release file, --stub FILE, or --read-state")
    with _errors_told(as_json):
        image = _load_image(release, slot, trust) if release is not None else None
        stub_image = parse_stub(stub.read_bytes(), str(stub)) if stub is not None else None
        job = Job(image, stub_image, baud, connect, not (no_boot or (read_state and image is None)), read_state)
        with SerialPort.open(port, initial_baud) as line, closing(_reporter(port, as_json)) as reporter:
            if reset:
                line.pulse_reset(_reset_line(reset), 0.1, time.sleep)
            drive(job, line, initial_baud, reporter, _tracer() if trace else None)


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


def console(port: PortOption, baud: Annotated[int, typer.Option(min=300)] = INITIAL_BAUD) -> None:
    """Show what a board says, and send it what is typed; Ctrl-] leaves."""
    with SerialPort.open(port, baud) as line:
        print(f"{port}: Ctrl-] leaves", file=sys.stderr)
        run_console(line)


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


def _load_image(path: Path, slot: str, trust: Path | None) -> Image:
    if slot and slot not in PLACES:
        raise OperatorError(f"--slot {slot!r} is none of a, b, eeprom")
    with open_release(path) as release:
        header = release.header
        if trust is not None and not header.is_signed_by(load_public_key(trust)):
            raise FlashError("bad_signature", f"{path} is not signed by {trust}")
        content = b"".join(image_of_release(release))
        if hashlib.sha256(content).digest() != header.image_sha256:
            raise OperatorError(f"{path} is damaged: its image is not what its header says; pack it again")
        return Image(header, content, PLACES.get(slot, Place.FREE_SLOT))


def _reset_line(name: str) -> str:
    if name not in ("dtr", "rts"):
        raise OperatorError(f"--reset {name!r} is none of dtr, rts")
    return name


def _print_ports(as_json: bool) -> None:
    ports = list_ports()
    if as_json:
        print(json.dumps([{"port": port, "description": description} for port, description in ports]))
    elif not ports:
        print("no serial ports here; socket://host:port and rfc2217://host:port work, too")
    for port, description in ports if not as_json else []:
        print(f"{port}  {description}")


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


def add_to(app: typer.Typer) -> None:
    """Add the commands to `settop`."""
    app.command()(flash)
    app.command()(console)
