"""One image onto a board: what it holds already is skipped, the rest is sent with acknowledgements in flight.

The board's offset drives: every OFFSET says what it wants next. A frame that was lost shows as a gap, and sending goes
back to there; what was sent before that is not taken for another gap.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from construct import Container

from carousel.crc import crc32
from carousel.frozen import Frozen
from settop.flasher.frames import MAX_SUMS, Frame, Message, parse_payload
from settop.flasher.line import TRIES, Line, Refused, Silence

__all__ = ["Span", "hash_s", "held_until", "send_body", "spans_to_send"]

MIN_SPAN_BYTES = 4096
FINE_SPANS = 128
MIN_BLOCK_BYTES = 128
GOOD_FRAMES = 16
"""After so many frames without a loss, larger ones are tried again."""


class Span(Frozen):
    """A piece of the image that is sent, or that the flash holds already."""

    begin: int
    end: int
    is_held: bool


def held_until(spans: list[Span], end: int) -> int:
    """Return how many bytes before `end` the flash holds already."""
    return sum(max(0, min(span.end, end) - span.begin) for span in spans if span.is_held)


def hash_s(board: Container, size_bytes: int) -> float:
    """Return how long a board may take to read and hash so much, twice over."""
    hash_kib_per_s: int = max(1, board.hash_kib_per_s)
    return 2 * size_bytes / 1024 / hash_kib_per_s


def _equal_spans(
    line: Line, board: Container, image: bytes, begin: int, end: int, span_bytes: int
) -> Generator[float, Frame | None, list[bool]]:
    """Ask for CRCs of what the flash holds; say of each span whether it is the image's."""
    equal: list[bool] = []
    for first in range(begin, end, span_bytes * MAX_SUMS):
        count = min(MAX_SUMS, -(-(end - first) // span_bytes))
        work_s = hash_s(board, count * span_bytes) + line.wire_s(4 * MAX_SUMS)
        _, sums = yield from line.ask(
            Message.SUMS, Message.SUMS_ARE, work_s, offset=first, span_bytes=span_bytes, count=count
        )
        for index in range(count):
            place = first + index * span_bytes
            piece = image[place : min(end, place + span_bytes)]
            equal.append(int.from_bytes(sums[4 * index : 4 * index + 4], "little") == crc32(piece))
    return equal


def spans_to_send(line: Line, board: Container, image: bytes) -> Generator[float, Frame | None, list[Span]]:
    """Plan a transfer: spans of whole sectors, held or to be sent; the first to be sent is looked at more closely."""
    span_bytes = board.sector_bytes * -(-MIN_SPAN_BYTES // board.sector_bytes)
    equal = yield from _equal_spans(line, board, image, 0, len(image), span_bytes)
    spans = [
        Span(index * span_bytes, min(len(image), (index + 1) * span_bytes), is_held)
        for index, is_held in enumerate(equal)
    ]
    cut = next((index for index, span in enumerate(spans) if not span.is_held), None)
    if cut is not None:
        spans[cut : cut + 1] = yield from _split(line, board, image, spans[cut])
    return spans


def _split(line: Line, board: Container, image: bytes, span: Span) -> Generator[float, Frame | None, list[Span]]:
    """Find how far a transfer that was cut off in this span had come."""
    fine_bytes = max(board.block_bytes, (span.end - span.begin) // FINE_SPANS // 4 * 4)
    equal = yield from _equal_spans(line, board, image, span.begin, span.end, fine_bytes)
    held = next((index for index, is_equal in enumerate(equal) if not is_equal), len(equal)) * fine_bytes
    middle = min(span.end, span.begin + held)
    return [each for each in (Span(span.begin, middle, True), Span(middle, span.end, False)) if each.end > each.begin]


class _Window:
    """Frames under way: as many as keep the line busy while the board erases and answers, not more.

    On a bad line fewer and smaller ones, so that less is lost with each; then slowly more.
    """

    def __init__(self, line: Line, board: Container) -> None:
        busy_s = 1.25 * board.erase_ms / 1e3 + 4 * line.latency_s
        enough_bytes = int(busy_s * line.baud / 10) + 4 * board.block_bytes
        self._most_bytes: int = min(board.window_bytes, enough_bytes)
        self._limit_bytes: int = self._most_bytes
        self._most_block_bytes: int = board.block_bytes
        self.block_bytes: int = board.block_bytes
        self._frames: deque[tuple[int, int]] = deque()
        self.under_way_bytes = 0
        self._stale: set[int] = set()
        self._good = 0

    @property
    def has_room(self) -> bool:
        """Say whether one more frame, escaped at worst, fits into the board's buffer and what the line bears."""
        return self.under_way_bytes + 2 * self.block_bytes + 32 <= self._limit_bytes

    def add(self, seq: int, size_bytes: int) -> None:
        """A frame was sent."""
        self._frames.append((seq, size_bytes))
        self.under_way_bytes += size_bytes

    def answered(self, seq: int) -> bool:
        """An answer came: it and all before it are no longer under way. False: it says nothing new of a gap."""
        if all(seq != each for each, _ in self._frames):
            return False
        is_news = seq not in self._stale
        done = None
        while done != seq:
            done, size_bytes = self._frames.popleft()
            self.under_way_bytes -= size_bytes
            self._stale.discard(done)
            self._grow(size_bytes)
        return is_news

    def _grow(self, size_bytes: int) -> None:
        self._limit_bytes = min(self._most_bytes, self._limit_bytes + size_bytes)
        self._good += 1
        if self._good % GOOD_FRAMES == 0:
            self.block_bytes = min(self._most_block_bytes, 2 * self.block_bytes)

    def _shrink(self) -> None:
        self._good = 0
        self.block_bytes = max(min(MIN_BLOCK_BYTES, self._most_block_bytes), self.block_bytes // 2 // 4 * 4)
        self._limit_bytes = max(4 * self.block_bytes + 64, self._limit_bytes // 2)

    def go_back(self) -> None:
        """One was lost: all that is under way now comes too early for the board."""
        self._stale = {seq for seq, _ in self._frames}
        self._shrink()

    def forget(self) -> None:
        """Nothing comes back: take all that is under way for lost."""
        self._frames.clear()
        self._stale.clear()
        self.under_way_bytes = 0
        self._shrink()


def send_body(
    line: Line, board: Container, image: bytes, spans: list[Span], progress: Callable[[int], None]
) -> Generator[float, Frame | None, Any]:
    """Send and skip until the board wants nothing more. Raises `Silence`, `Refused`, `BoardReset`."""
    window, acked, cursor, silences = _Window(line, board), 0, 0, 0
    deadline_s = 0.0
    while acked < len(image):
        while cursor < len(image) and window.has_room:
            cursor = _send_next(line, image, spans, cursor, window)
            deadline_s = 0.0
        patience_s = _patience_s(line, board, window, acked, cursor)
        deadline_s = deadline_s or line.now_s + patience_s
        frame = yield deadline_s
        if frame is None:
            silences += 1
            if silences > TRIES:
                raise Silence
            window.forget()
            cursor, deadline_s = acked, 0.0
            continue
        wanted, is_gap = _offset_in(line, frame, window)
        if wanted is None:
            continue
        if is_gap:
            window.go_back()
            spans = _without_erased(spans, wanted) if wanted < acked else spans
            acked = cursor = wanted
        elif wanted > acked:
            acked, silences = wanted, 0
            cursor = max(cursor, acked)
        deadline_s = 0.0
        progress(acked)


def _without_erased(spans: list[Span], wanted: int) -> list[Span]:
    """The board went back: it had to erase the sector at `wanted`, so what was held from there on is to be sent."""
    kept = []
    for span in spans:
        if span.is_held and span.begin < wanted < span.end:
            kept += [Span(span.begin, wanted, True), Span(wanted, span.end, False)]
        else:
            is_erased = span.begin == wanted
            kept.append(Span(span.begin, span.end, span.is_held and not is_erased))
    return kept


def _patience_s(line: Line, board: Container, window: _Window, acked: int, cursor: int) -> float:
    """Return how long the next answer may take: what is under way, and an erase where a sector begins."""
    begins_sector = acked % board.sector_bytes == 0 or cursor // board.sector_bytes > acked // board.sector_bytes
    erase_s = 2 * board.erase_ms / 1e3 if begins_sector else 0.0
    return 1.5 * line.wire_s(window.under_way_bytes) + erase_s + 4 * line.latency_s


def _send_next(line: Line, image: bytes, spans: list[Span], cursor: int, window: _Window) -> int:
    """Send the frame for what stands at the cursor; return where the next one begins."""
    span = next(each for each in spans if each.begin <= cursor < each.end)
    if span.is_held:
        window.add(*line.send(Message.SKIP, offset=cursor, to=span.end))
        return span.end
    end = min(span.end, cursor + window.block_bytes)
    window.add(*line.send(Message.DATA, image[cursor:end], offset=cursor))
    return end


def _offset_in(line: Line, frame: Frame, window: _Window) -> tuple[int | None, bool]:
    """Read an answer: the offset that the board wants, and whether it is a gap that we did not know of."""
    line.check_session(frame)
    parsed = parse_payload(frame)
    if parsed is None:
        return None, False
    if frame.type is Message.REFUSED and window.answered(frame.seq):
        raise Refused(parsed[0].refusal)
    if frame.type is not Message.OFFSET:
        return None, False
    is_news = window.answered(frame.seq)
    if parsed[0].is_gap and not is_news:
        return None, False
    return parsed[0].offset, bool(parsed[0].is_gap)
