"""Who has a serial line, among our own commands: a console gives way to the flasher, and takes the line back after it.

Two bytes of the device file are locked (open file description locks, which end with the process): byte 0 by who uses
the line, byte 1 by who waits for it. Other programs don't look at these locks, and are not kept out.
"""

import fcntl
import struct

__all__ = ["LineClaim"]

IN_USE, WANTED = 0, 1
_FLOCK = "hhqqi4x"
"""struct flock: type, whence, start, length, process."""


class LineClaim:
    """The claim on one open port, by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def try_take(self) -> bool:
        """Take the line, if nobody has it."""
        return self._lock(IN_USE, fcntl.F_WRLCK)

    def give_up(self) -> None:
        """Let the line go."""
        self._lock(IN_USE, fcntl.F_UNLCK)

    def say_wanted(self) -> bool:
        """Ask who has the line for it; False if another asks already."""
        return self._lock(WANTED, fcntl.F_WRLCK)

    def say_no_longer_wanted(self) -> None:
        """Take the question back."""
        self._lock(WANTED, fcntl.F_UNLCK)

    @property
    def is_wanted(self) -> bool:
        """Say whether somebody else waits for the line."""
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, WANTED, 1, 0)
        found: bytes = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, asked)
        kind: int = struct.unpack(_FLOCK, found)[0]
        return kind != fcntl.F_UNLCK

    def _lock(self, byte: int, kind: int) -> bool:
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, 0, byte, 1, 0))
        except BlockingIOError:
            return False
        return True
