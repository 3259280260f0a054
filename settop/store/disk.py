"""The store's disk: a few operations on named files in one folder, each of which a power cut may interrupt.

`Disk` is the whole interface that the store writes through; the tests' fake tears every operation apart.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

__all__ = ["Disk", "FolderDisk"]

_CHUNK_BYTES = 1 << 20


class Disk(Protocol):
    """Named files. Nothing is on the medium before `sync` of the file and, for names, `sync_names`.

    All may raise `OSError`: the medium is at fault, or what has the name is no file.
    """

    def read(self, name: str) -> bytes | None:
        """Return a small file's content, or None if there is none."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a large file's content piece by piece; nothing if there is none."""

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write into a file, which is made if there is none."""

    def truncate(self, name: str, size_bytes: int) -> None:
        """Cut a file to size."""

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, replacing what had it: at once or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""

    def sync(self, name: str) -> None:
        """Bring a file's content to the medium."""

    def sync_names(self) -> None:
        """Bring names (made, removed, changed) to the medium."""

    def names(self) -> list[str]:
        """Return the names of all files."""


class FolderDisk:
    """Files in a folder of a Linux file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """Return a small file's content, or None if there is none."""
        try:
            return b"".join(self.chunks(name, missing_ok=False))
        except FileNotFoundError:
            return None

    def chunks(self, name: str, missing_ok: bool = True) -> Iterator[bytes]:
        """Yield a large file's content piece by piece; nothing if there is none. Never by a memory map: no SIGBUS."""
        try:
            descriptor = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            if missing_ok:
                return
            raise
        with os.fdopen(descriptor, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write into a file, which is made if there is none."""
        with os.fdopen(self._open(name, os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.seek(offset)
            file.write(data)

    def _open(self, name: str, flags: int) -> int:
        """Open a regular file: whatever else has its name must not make a box wait (a FIFO would)."""
        path = self.path(name)
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "this is no regular file", str(path))
        return descriptor

    def truncate(self, name: str, size_bytes: int) -> None:
        """Cut a file to size."""
        os.truncate(self.path(name), size_bytes)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, replacing what had it."""
        self.path(name).replace(self.path(to))

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        self.path(name).unlink(missing_ok=True)

    def sync(self, name: str) -> None:
        """Bring a file's content to the medium."""
        self._sync(self.path(name))

    def sync_names(self) -> None:
        """Bring names to the medium."""
        self._sync(self._folder)

    def names(self) -> list[str]:
        """Return the names of all files."""
        return sorted(path.name for path in self._folder.iterdir())

    def path(self, name: str) -> Path:
        """Return where a file lies."""
        return self._folder / name

    def _sync(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
