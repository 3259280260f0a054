"""FAT file systems inside of a card's file, by mtools: no root, no loop device, the same bytes each time."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from settop.image.tools import EPOCH_S, run

__all__ = ["make_fat"]


def make_fat(card: Path, offset_bytes: int, size_bytes: int, label: str, files: Mapping[str, bytes]) -> None:
    """Make a FAT32 file system (or FAT16, where it is small) at an offset, with these files in it."""
    place = f"{card}@@{offset_bytes}"
    serial = f"{sum(label.encode()):08x}"
    words = ["mformat", "-i", place, "-v", label, "-N", serial, "-T", str(size_bytes // 512), "-h", "255", "-s", "63"]
    run([*words, "-F", "::"] if size_bytes >= 64 << 20 else [*words, "::"])
    with tempfile.TemporaryDirectory(prefix="card-") as scratch:
        folder = Path(scratch)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for path in sorted(folder.rglob("*"), reverse=True):
            os.utime(path, (EPOCH_S, EPOCH_S))
        tops = sorted(folder.iterdir())
        if tops:
            run(["mcopy", "-i", place, "-s", "-m", "-Q", *tops, "::"])
