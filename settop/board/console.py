"""The keyboard, key by key, for `settop console`."""

import os
import select
import sys
import termios
import tty
from types import TracebackType

__all__ = ["KeyboardReader"]


class KeyboardReader:
    """A terminal in raw mode for the length of a with statement; anything else is read as it comes."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> "KeyboardReader":
        if os.isatty(self._descriptor):
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
            raw = termios.tcgetattr(self._descriptor)
            raw[0] &= ~termios.ICRNL
            termios.tcsetattr(self._descriptor, termios.TCSANOW, raw)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def read(self, timeout_s: float) -> bytes | None:
        """Return keys, nothing in time, or None at the end of the input."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return b""
        return os.read(self._descriptor, 1024) or None
