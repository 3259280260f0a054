"""Talk to a loader, sans I/O: frames in and out of a byte stream, requests that are asked again, text set aside.

The flasher's steps are generators: they yield the moment until which they wait, and get the next frame, or None when
that moment has come. `Flasher.advance` runs them; time and bytes are its arguments.
"""

from collections import deque
from collections.abc import Generator
from enum import Enum
from typing import Any

from construct import Container

from settop.flasher.errors import FlashError, in_words, refusal_of
from settop.flasher.frames import MAX_FRAME_BYTES, Frame, Message, build_frame, parse_frame, parse_payload
from settop.flasher.slip import SlipDecoder, slip_encode

__all__ = ["BoardReset", "Line", "Refused", "ResetLine", "Silence", "Steps"]

Steps = Generator[float, Frame | None, Any]
FIRST_LATENCY_S = 0.1
MIN_LATENCY_S = 0.02
TRIES = 8


class ResetLine(Enum):
    """A modem control line that a board's reset may hang on: pulled, it holds the board in reset or makes it reset."""

    RTS = "rts"
    DTR = "dtr"


class Silence(Exception):  # noqa: N818 - what the line does, not a fault by itself
    """No answer to a request, asked several times."""


class BoardReset(Exception):  # noqa: N818
    """The board announced itself anew in the middle of something."""


class Refused(FlashError):  # noqa: N818
    """The board refused a request."""

    def __init__(self, number: int) -> None:
        self.refusal = refusal_of(number)
        super().__init__(self.refusal.name.lower(), f"the board refuses: {in_words(self.refusal)}")


class Line:
    """One end of a serial line.

    `baud` is what the port shall be set to, `pulled` the line it shall pull; `latency_s` is what an answer takes.
    """

    def __init__(self, baud: int) -> None:
        self.baud = baud
        self.pulled: ResetLine | None = None
        self.now_s = 0.0
        self.latency_s = FIRST_LATENCY_S
        self.session: int | None = None
        self.frames_heard = 0
        self.noise_bytes = 0
        self.text = bytearray()
        self._outgoing = bytearray()
        self._heard: deque[Frame] = deque()
        self._slip = SlipDecoder(MAX_FRAME_BYTES)
        self._seq = 0
        self._measured = False

    # --- bytes -------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the port."""
        for piece in self._slip.feed(data):
            frame = parse_frame(piece)
            if frame is not None:
                self.frames_heard += 1
                self._heard.append(frame)
            else:
                self._set_aside(piece)

    def flush_text(self) -> None:
        """Take what has no END behind it as text: a console after the boot."""
        self._set_aside(self._slip.take_pending())

    def _set_aside(self, piece: bytes) -> None:
        printable = sum(32 <= byte < 127 or byte in b"\r\n\t\x1b" for byte in piece)
        if printable * 10 >= len(piece) * 9:
            self.text += piece
        else:
            self.noise_bytes += len(piece)

    def take_output(self) -> bytes:
        """Return the bytes to write to the port."""
        out = bytes(self._outgoing)
        self._outgoing.clear()
        return out

    def next_frame(self) -> Frame | None:
        """Return the next frame heard, in order."""
        return self._heard.popleft() if self._heard else None

    # --- frames ------------------------------------------------------------------------------------------

    def send(self, message: Message, tail: bytes = b"", **fields: Any) -> tuple[int, int]:
        """Send a frame; return its seq and how many bytes it takes on the wire."""
        self._seq = (self._seq + 1) & 0xFFFF or 1
        wrapped = slip_encode(build_frame(message, self._seq, tail, **fields))
        self._outgoing += wrapped
        return self._seq, len(wrapped)

    def wire_s(self, size_bytes: float) -> float:
        """Return how long bytes take on the wire: ten bits each."""
        return size_bytes * 10 / self.baud

    def check_session(self, frame: Frame) -> None:
        """Raise `BoardReset` on an announcement of another session than before."""
        parsed = parse_payload(frame)
        if frame.type is not Message.ANNOUNCE or parsed is None:
            return
        session = parsed[0].session
        if self.session is not None and session != self.session:
            self.session = session
            raise BoardReset

    def ask(
        self, message: Message, answer: Message, extra_s: float = 0.0, tries: int = TRIES, **fields: Any
    ) -> Generator[float, Frame | None, tuple[Container, bytes]]:
        """Ask until answered; `extra_s` is what the board may take to answer. Raises `Refused` or `Silence`."""
        for _ in range(tries):
            asked_s = self.now_s
            seq, size = self.send(message, **fields)
            patience_s = self.wire_s(size + MAX_FRAME_BYTES) + 4 * self.latency_s + extra_s
            deadline_s = self.now_s + patience_s
            while (frame := (yield deadline_s)) is not None:
                self.check_session(frame)
                if frame.type is Message.BUSY:
                    deadline_s = self.now_s + patience_s
                if frame.seq != seq:
                    continue
                parsed = parse_payload(frame)
                if parsed is not None and frame.type is Message.REFUSED:
                    raise Refused(parsed[0].refusal)
                if parsed is not None and frame.type is answer:
                    self.learn_latency(self.now_s - asked_s - extra_s, size)
                    return parsed
        raise Silence

    def learn_latency(self, took_s: float, size_bytes: int) -> None:
        """Keep the slowest answer lately: a USB adapter's 16 ms, a network's more."""
        own_s = max(MIN_LATENCY_S / 4, took_s - self.wire_s(size_bytes))
        self.latency_s = max(own_s, 0.9 * self.latency_s if self._measured else own_s)
        self._measured = True
