"""The bare board's figures for `make bench`: flashing against the line's rate, the stub's size.

Flashing runs the real flasher and the real C loader over a modelled line of 921600 baud and a modelled NOR chip
(256 KiB sectors, 0.4 s to erase one, 1 ms a KiB to program), in virtual time: these figures hang on no machine.
"""

import hashlib
import re
import shutil
import subprocess

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from bench.virtual.serialline import Faults, VirtualLine
from bench.virtual.stubboard import STUB, Board, Geometry
from carousel.release.header import ReleaseHeader
from carousel.release.identity import Hardware, Version
from settop.flasher.events import Flashed
from settop.flasher.flasher import Image, Job

__all__ = ["flash_rate_bytes_per_s", "main"]

BAUD = 921600
IMAGE_BYTES = 4_000_000
HARDWARE = Hardware(0x00A1B2, 7, 1)
ERASE_US, PROGRAM_US_PER_KIB = 400_000, 1_000


def make_image(size_bytes: int) -> Image:
    """Return an image without pattern, signed by a key of the moment."""
    content = hashlib.shake_128(b"bench").digest(size_bytes)
    digest = hashlib.sha256(content).digest()
    header = ReleaseHeader(HARDWARE, 0, Version(1, 0, 0), 0, size_bytes, 1440, 2, 0, digest, bytes(32), "bench")
    return Image(header.sign(Ed25519PrivateKey.generate()), content)


def flash_rate_bytes_per_s(size_bytes: int, faults: Faults) -> float:
    """Return the bytes of image that get across a second, erasing, programming and acknowledgements included."""
    board = Board(Geometry(1 << 18, 2 + size_bytes // (1 << 18)), HARDWARE)
    board.set_flash_speed(ERASE_US, PROGRAM_US_PER_KIB)
    line = VirtualLine(board, Job(make_image(size_bytes), baud=BAUD, boot=False), faults, seed=1)
    if not line.run() or line.overflow_bytes:
        raise RuntimeError("the transfer did not end, or overran the board")
    return float(next(event.sent.bytes_per_s for event in line.events if isinstance(event, Flashed)))


def main() -> int:
    """Measure and print."""
    table = Table("what", "figure", "goal", title="the bare board", title_justify="left")
    for name, faults, goal in (
        ("flashing 4 MB at 921600 baud, clean line", Faults(), ">= 90 %"),
        ("flashing, 1 chunk of 64 bytes in 1000 hurt", Faults(0.0005, 0.0005), ""),
    ):
        rate = flash_rate_bytes_per_s(IMAGE_BYTES, faults)
        table.add_row(name, f"{rate / 1e3:.1f} kB/s, {rate * 10 / BAUD:.1%} of the line", goal)
    if shutil.which("arm-none-eabi-gcc"):
        printed = subprocess.run(
            ["make", "-B", "-C", STUB, "build/stub.bin"], check=True, capture_output=True, text=True
        ).stdout
        for name, size, limit in re.findall(r"(\d+) bytes of (\w+) \(at most (\d+)\)", printed):
            table.add_row(f"stub, bytes of {size}", name, f"<= {limit}")
    else:
        table.add_row("stub size", "arm-none-eabi-gcc is not installed", "")
    Console(width=118).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
