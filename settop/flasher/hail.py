"""Find a board's loader on the line: HELLO ten times a second, and a reset where the board runs something else.

A loader listens for 300 ms after power-on, so that is how often HELLO must come, whatever the line's latency; and what
announces itself is answered at once. An image may heed HELLO and reset itself. One that does not is reset by the lines
that a board's reset may hang on, once HELLO alone does not help: each in turn is pulled for 0.1 s and let go.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence

from construct import Container

from settop.flasher.errors import FlashError
from settop.flasher.events import Event, Resetting
from settop.flasher.frames import PROTOCOL, Frame, Message, parse_payload
from settop.flasher.line import Line, ResetLine

__all__ = ["hail"]

HELLO_EVERY_S = 0.1
ANNOUNCE_BYTES = 400
"""About what an announcement takes on the wire: HELLO must not come faster than that."""
PULL_AFTER_S = 0.6
"""So long HELLO alone is said, before a reset line is pulled, and between one and the next."""
PULL_S = 0.1

Tell = Callable[[Event], None]
Hailing = Generator[float, Frame | None, Container]


def hail(line: Line, patience_s: float, resets: Sequence[ResetLine], tell: Tell) -> Hailing:
    """Say HELLO until the board announces itself; return its announcement, and set the line's session.

    `tell` hears of each reset line that is pulled. Raises `FlashError` if nobody answers.
    """
    give_up_s = line.now_s + patience_s
    heard_before = line.frames_heard, line.noise_bytes, len(line.text)
    pulls, asked = _Pulls(line, resets, tell), dict[int, float]()
    hello_s = line.now_s
    try:
        while line.now_s < give_up_s:
            pulls.go_on()
            if line.now_s >= hello_s:
                seq, size = line.send(Message.HELLO, protocol=PROTOCOL)
                asked[seq] = line.now_s
                hello_s = line.now_s + max(HELLO_EVERY_S, line.wire_s(ANNOUNCE_BYTES))
            frame = yield min(hello_s, give_up_s)
            parsed = parse_payload(frame) if frame is not None and frame.type is Message.ANNOUNCE else None
            if frame is None or parsed is None:
                continue
            if frame.seq not in asked:
                hello_s = line.now_s  # announced by itself: it listens now, and not for long
                continue
            line.learn_latency(line.now_s - asked[frame.seq], size)
            return _accepted(line, parsed[0])
    finally:
        line.pulled = None
    raise _no_connection(line, heard_before)


class _Pulls:
    """The reset lines, one after the other."""

    def __init__(self, line: Line, resets: Sequence[ResetLine], tell: Tell) -> None:
        self._line, self._resets, self._tell = line, deque(resets), tell
        self._next_s = line.now_s + PULL_AFTER_S

    def go_on(self) -> None:
        """Pull a line or let it go, if it is time to."""
        if self._line.now_s < self._next_s:
            return
        if self._line.pulled is not None:
            self._line.pulled = None
            self._next_s = self._line.now_s + PULL_AFTER_S
        elif self._resets:
            self._line.pulled = self._resets.popleft()
            self._next_s = self._line.now_s + PULL_S
            self._tell(Resetting(self._line.pulled.value))


def _accepted(line: Line, board: Container) -> Container:
    if board.protocol != PROTOCOL:
        raise FlashError("protocol", f"the board speaks loader protocol {board.protocol}, this tool {PROTOCOL}")
    line.session = board.session
    return board


def _no_connection(line: Line, before: tuple[int, int, int]) -> FlashError:
    frames, noise, text = before
    line.flush_text()
    if len(line.text) > text:
        return FlashError(
            "not_in_loader", "the board talks, but not its loader: it has booted already; reset it and try again"
        )
    if line.noise_bytes > noise or line.frames_heard > frames:
        return FlashError(
            "noise", "only noise comes from the board: check baud rate, ground and cable, or who else uses the port"
        )
    return FlashError(
        "no_answer", "no answer: is the board powered, the cable crossed (TX to RX), the port right? then reset it"
    )
