"""Open by name what commands are given: releases and keys. What is wrong with a file is told in a sentence."""

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from carousel.errors import FormatError, OperatorError
from carousel.release.trust import parse_public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from carousel.flute.releasefile import Release

__all__ = ["beside", "load_public_key", "map_release", "open_release", "read_small_file"]

WRONG = {
    "release_truncated": "it is too short or too long",
    "release_preamble": "it begins as none does",
}
"""What is wrong with a release file, by the reason of its `FormatError`."""


def map_release(path: Path, descriptor: int) -> "Release":
    """Map an open release file, which the caller keeps open; `OperatorError` if it is none."""
    from carousel.flute.releasefile import Release  # noqa: PLC0415  who only wants a key needs no NumPy

    try:
        mapped = mmap.mmap(descriptor, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        return Release.parse(memoryview(mapped), descriptor, lambda at, size: os.pread(descriptor, size, at))
    except ValueError:
        raise OperatorError(f"{path} is no whole release file: it is empty; `headend pack` makes one") from None
    except FormatError as error:
        wrong = WRONG.get(error.reason, "its header is damaged")
        raise OperatorError(f"{path} is no whole release file: {wrong}; `headend pack` makes one") from None


def beside(output: Path) -> Path:
    """Return the file that is written until it is whole, and then named `output`; `OperatorError` without a folder."""
    if not output.parent.is_dir():
        raise OperatorError(f"{output}: there is no folder {output.parent} to write it to; make it, or take another")
    return output.with_name(output.name + ".part")


@contextmanager
def open_release(path: Path) -> "Iterator[Release]":
    """Map a release file for the length of a with statement; `OperatorError` if it is none."""
    with path.open("rb") as file:
        yield map_release(path, file.fileno())


def read_small_file(path: Path, largest: int = 1 << 16) -> bytes:
    """Read a regular file of at most so many bytes; `OSError` for anything else, at once (a FIFO would wait)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "this is no regular file", str(path))
        if found.st_size > largest:
            raise OSError(errno.EFBIG, f"this is larger than {largest} bytes", str(path))
        return file.read(largest)


def load_public_key(path: Path) -> "Ed25519PublicKey":
    """Read PREFIX.pub."""
    try:
        return parse_public_key(read_small_file(path))
    except FormatError:
        pass
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
    raise OperatorError(f"{path} is no Ed25519 public key in PEM; `headend keygen` makes one")
