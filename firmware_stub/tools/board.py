"""`make board`: a board to try, emulated by QEMU: stub, EEPROM image, a serial console, an update to flash.

The board lives in board-out/ and is the same board the next time; remove the folder for a new one.
"""

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from virtboard import VirtBoard

from carousel.errors import BootcastError, OperatorError
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from headend.pack.keys import load_private_key, write_key_pair
from headend.pack.packing import PackRequest, pack
from settop.flasher.cli import run_console
from settop.flasher.frames import INITIAL_BAUD
from settop.flasher.port import SerialPort
from settop.store.factory import image_of_release

STUB = Path(__file__).parents[1]
BUILD = STUB / "build"
HARDWARE = Hardware.parse("00A1B2:7")
HELP = "\n[Enter] console   [r] reset   [q] power off   (meanwhile the port is free for `settop flash`)"


def make_board(folder: Path) -> VirtBoard:
    """Build stub and images; make the board if it is new."""
    if shutil.which("arm-none-eabi-gcc") is None:
        raise OperatorError("arm-none-eabi-gcc is not installed; on Debian: apt install gcc-arm-none-eabi")
    subprocess.run(["make", "-s", "-C", STUB, "qemu"], check=True)
    board = VirtBoard(folder / "flash")
    if not board.is_new:
        return board
    folder.mkdir(parents=True, exist_ok=True)
    write_key_pair(folder / "lab")
    for version, payload in (("0.1.0", "confirms"), ("1.0.0", "confirms"), ("2.0.0", "hangs")):
        request = PackRequest(hardware=HARDWARE, version=Version.parse(version), created_unix_s=0, name=payload)
        release = folder / f"{payload if version != '0.1.0' else 'factory'}.release"
        pack(BUILD / f"payload-{payload}.bin", release, load_private_key(folder / "lab.key"), request)
    board.make((BUILD / "stub.bin").read_bytes())
    factory = Release.parse(memoryview((folder / "factory.release").read_bytes()))
    board.write_image("eeprom", factory.header.raw, b"".join(image_of_release(factory)))
    return board


def attend(board: VirtBoard, url: str) -> None:
    """Console, reset, power off, by what is typed."""
    is_halted = True
    while True:
        print(f"--- {url}: Ctrl-] leaves the console")
        with SerialPort.open(url, INITIAL_BAUD) as line:
            if is_halted:
                board.go()
                is_halted = False
            run_console(line)
        while True:
            print(HELP)
            typed = sys.stdin.readline()
            if typed == "" or typed.startswith("q"):
                return
            if not typed.startswith("r"):
                break
            board.reset()


def main() -> int:
    """Run the board until it is powered off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("board-out"))
    parser.add_argument("--tcp-port", type=int, default=5099)
    options = parser.parse_args()
    for ending in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    url = f"socket://127.0.0.1:{options.tcp_port}"
    try:
        board = make_board(options.output)
        board.power_on(options.tcp_port)
    except (BootcastError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"board: {error}", file=sys.stderr)
        return 1
    print(f"A board at {url}. From another terminal, once this one has left the console:")
    for release, what in (("confirms", "a good update"), ("hangs", "a bad one")):
        print(f"  .venv/bin/settop flash --port {url} {options.output}/{release}.release   # {what}")
    print("Press r here when it waits for the board.")
    try:
        attend(board, url)
    except (BootcastError, KeyboardInterrupt) as error:
        print(f"board: {error or 'interrupted'}", file=sys.stderr)
    finally:
        board.kill()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
