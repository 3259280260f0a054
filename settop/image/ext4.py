"""The store's file system inside of a card's file, by mke2fs: empty, since copied files would carry their ctimes."""

import uuid
from pathlib import Path

from settop.image.tools import run

__all__ = ["make_ext4"]

_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def make_ext4(card: Path, offset_bytes: int, size_bytes: int, label: str) -> None:
    """Make an empty ext4 file system at an offset; UUID and hash seed come from the label."""
    name = str(uuid.uuid5(_NAMESPACE, label))
    extended = f"offset={offset_bytes},hash_seed={name},lazy_itable_init=1,nodiscard"
    run(
        [
            "mke2fs",
            "-F",
            "-q",
            "-t",
            "ext4",
            "-m",
            "1",
            "-L",
            label,
            "-U",
            name,
            "-E",
            extended,
            card,
            f"{size_bytes >> 10}k",
        ]
    )
