"""`make board`: a board to try, emulated by QEMU: stub, EEPROM image, a serial console, updates to flash.

The board lives in board-out/ and is the same board the next time; remove the folder for a new one.
"""

import argparse
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from lineserver import LineServer
from virtboard import VirtBoard

from carousel.errors import BootcastError, OperatorError
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from headend.pack.keys import load_private_key, write_key_pair
from headend.pack.packing import PackRequest, pack
from settop.flasher.console import FrameFilter, KeyboardReader
from settop.store.factory import image_of_release

STUB = Path(__file__).parents[1]
BUILD = STUB / "build"
HARDWARE = Hardware.parse("00A1B2:7")
TICK_S = 0.01
ESCAPE = b"\x1d"  # Ctrl-]
HELP = "\r\n--- [r] reset   [q] power off   any other key: the console"


@dataclass(frozen=True)
class Sample:
    """A release to flash: a payload, and how large its image is made."""

    name: str
    version: str
    payload: str
    size_bytes: int
    what: str


FACTORY = Sample("factory", "0.1.0", "confirms", 0, "the EEPROM image")
UPDATES = (
    Sample("good", "1.0.0", "confirms", 2_000_000, "a good update, large enough to be interrupted: run it again then"),
    Sample("bad", "2.0.0", "hangs", 0, "a bad one: three tries, then the board goes back"),
)


def pack_sample(folder: Path, sample: Sample) -> Release:
    """Pack a release of the lab's own key; return it."""
    payload = (BUILD / f"payload-{sample.payload}.bin").read_bytes()
    filler = hashlib.shake_128(sample.name.encode()).digest(max(0, sample.size_bytes - len(payload)))
    image, path = folder / f"{sample.name}.image", folder / f"{sample.name}.release"
    image.write_bytes(payload + filler)
    request = PackRequest(
        hardware=HARDWARE, version=Version.parse(sample.version), created_unix_s=0, name=f"{sample.name} image"
    )
    pack(image, path, load_private_key(folder / "lab.key"), request)
    image.unlink()
    return Release.parse(memoryview(path.read_bytes()))


def make_board(folder: Path, most_bytes: int) -> VirtBoard:
    """Build stub and images; make the board if it is new."""
    if shutil.which("arm-none-eabi-gcc") is None:
        raise OperatorError("arm-none-eabi-gcc is not installed; on Debian: apt install gcc-arm-none-eabi")
    subprocess.run(["make", "-s", "-C", STUB, "qemu"], check=True)
    board = VirtBoard(folder / "flash")
    if not board.is_new:
        return board
    folder.mkdir(parents=True, exist_ok=True)
    write_key_pair(folder / "lab")
    for update in UPDATES:
        pack_sample(folder, replace(update, size_bytes=min(update.size_bytes, most_bytes)))
    factory = pack_sample(folder, FACTORY)
    board.make((BUILD / "stub.bin").read_bytes())
    board.write_image("eeprom", factory.header.raw, b"".join(image_of_release(factory)))
    return board


def connect(board: VirtBoard) -> socket.socket:
    """Power the board on, halted; return its line."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        line_port: int = probe.getsockname()[1]
    board.power_on(line_port)
    return socket.create_connection(("127.0.0.1", line_port))


class Desk:
    """The console of the board: keys to it, its words to the screen, and its two buttons behind Ctrl-]."""

    def __init__(self, board: VirtBoard, server: LineServer) -> None:
        self._board, self._server = board, server
        self._frames = FrameFilter()
        self._was_taken = False
        self._is_menu = False
        self.is_done = False

    def attend(self, keyboard: KeyboardReader) -> None:
        """Serve until the board is powered off."""
        self._board.go()
        typing = [sys.stdin.fileno()]
        while not self.is_done:
            ready, _, _ = select.select([*typing, *self._server.sockets], [], [], TICK_S)
            self._show(self._server.serve(ready, time.monotonic()))
            if typing and typing[0] in ready:
                keys = keyboard.read(0)
                typing = [] if keys is None else typing
                self.press(keys or b"")

    def press(self, keys: bytes) -> None:
        """Take keys, one after the other."""
        for key in (keys[at : at + 1] for at in range(len(keys))):
            if self._is_menu:
                self._is_menu = False
                self.is_done = self.is_done or key == b"q"
                if key == b"r":
                    self._board.reset()
            elif key == ESCAPE:
                self._is_menu = True
                print(HELP, flush=True, end="\r\n")
            else:
                self._server.type(key)

    def _show(self, said: bytes) -> None:
        os.write(1, self._frames.feed(said) if said else self._frames.give_up())
        if self._server.is_taken != self._was_taken:
            self._was_taken = self._server.is_taken
            whose = "somebody has the line (`settop flash`?)" if self._was_taken else "the console has the line again"
            print(f"\r\n--- {whose}", flush=True, end="\r\n")


def introduce(server: LineServer, folder: Path) -> None:
    """Say what can be done."""
    print(f"A board at {server.url}. From another terminal, at any time:")
    for sample in UPDATES:
        print(f"  .venv/bin/settop flash --port {server.url} {folder}/{sample.name}.release")
        print(f"      # {sample.what}")
    print("Here is its console; Ctrl-] and then r resets it, Ctrl-] and then q powers it off.", flush=True)


def main() -> int:
    """Run the board until it is powered off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("board-out"))
    parser.add_argument("--tcp-port", type=int, default=5099)
    parser.add_argument("--most-bytes", type=int, default=4_000_000, help="make no update larger than this")
    options = parser.parse_args()
    for ending in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    try:
        board = make_board(options.output, options.most_bytes)
        server = LineServer(connect(board), options.tcp_port, board.reset)
    except (BootcastError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"board: {error}", file=sys.stderr)
        return 1
    introduce(server, options.output)
    try:
        with KeyboardReader() as keyboard:
            Desk(board, server).attend(keyboard)
    except (BootcastError, OSError, KeyboardInterrupt) as error:
        print(f"board: {error or 'interrupted'}", file=sys.stderr)
    finally:
        board.kill()
        server.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
