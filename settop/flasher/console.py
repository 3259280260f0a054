"""The two sides of `settop console`: what the board says, its loader's frames left out; and the keyboard."""

import os
import select
import sys
import termios
import tty
from types import TracebackType

from settop.flasher.frames import MAX_FRAME_BYTES, parse_frame
from settop.flasher.slip import END, SlipDecoder

__all__ = ["FrameFilter", "KeyboardReader"]

LONGEST_FRAME_BYTES = 2 * MAX_FRAME_BYTES + 2


class FrameFilter:
    """Passes text through as it comes; takes whole loader frames out; gives back what only looked like one."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return what to show."""
        shown = bytearray()
        for byte in data:
            if not self._held:
                (self._held if byte == END else shown).append(byte)
                continue
            self._held.append(byte)
            if byte == END and len(self._held) > 2:
                shown += b"" if self._is_frame() else self._held
                self._held.clear()
            elif len(self._held) > LONGEST_FRAME_BYTES:
                shown += self.give_up()
        return bytes(shown)

    def give_up(self) -> bytes:
        """Return what is held: nothing has come that would end a frame."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def _is_frame(self) -> bool:
        return any(parse_frame(piece) for piece in SlipDecoder(MAX_FRAME_BYTES).feed(bytes(self._held)))


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
