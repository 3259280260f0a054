"""A flasher and the real C loader across a modelled serial line, in virtual time: rate, flash times, faults."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from bench.virtual.stubboard import Board
from settop.flasher.events import Event
from settop.flasher.flasher import Flasher, Job
from settop.flasher.frames import INITIAL_BAUD
from settop.flasher.line import ResetLine

__all__ = ["Faults", "VirtualLine", "Wire"]

CHUNK_BYTES = 64
MIN_STEP_S = 0.0002
TICK_S = 0.05
LONGEST_DELAY_S = 0.05


@dataclass(frozen=True)
class Faults:
    """Chances per chunk of 64 bytes, each way."""

    drop: float = 0.0
    flip: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    delay: float = 0.0


class Wire:
    """One direction: bytes arrive at the line's rate, a chunk at a time, hurt by faults."""

    def __init__(self, faults: Faults, rng: random.Random) -> None:
        self.faults, self._rng = faults, rng
        self.queue: deque[tuple[float, bytes, float]] = deque()
        self._free_s = 0.0
        self._last_s = 0.0

    def send(self, data: bytes, now_s: float, baud: float) -> None:
        """Put bytes onto the wire."""
        start_s = max(now_s, self._free_s)
        self._free_s = start_s + len(data) * 10 / baud
        for first in range(0, len(data), CHUNK_BYTES):
            chunk = data[first : first + CHUNK_BYTES]
            arrives_s = start_s + (first + len(chunk)) * 10 / baud
            for piece in self._hurt(chunk):
                is_late = self._rng.random() < self.faults.delay
                late_s = self._rng.random() * LONGEST_DELAY_S if is_late else 0.0
                self._last_s = max(self._last_s, arrives_s + late_s)
                self.queue.append((self._last_s, piece, baud))

    def _hurt(self, chunk: bytes) -> list[bytes]:
        faults, rng = self.faults, self._rng
        if rng.random() < faults.drop:
            return []
        if rng.random() < faults.truncate:
            chunk = chunk[: rng.randrange(len(chunk))]
        if chunk and rng.random() < faults.flip:
            at = rng.randrange(len(chunk))
            chunk = chunk[:at] + bytes([chunk[at] ^ 1 << rng.randrange(8)]) + chunk[at + 1 :]
        return [chunk, chunk] if rng.random() < faults.duplicate else [chunk]

    def arrived(self, now_s: float) -> Iterator[tuple[bytes, float]]:
        """Take off the wire what has arrived: bytes, and the rate they were sent at."""
        while self.queue and self.queue[0][0] <= now_s:
            _, piece, baud = self.queue.popleft()
            yield piece, baud


def _garbled(piece: bytes) -> bytes:
    return bytes(byte ^ 0xA5 for byte in piece)


class VirtualLine:
    """A board's loader and a flasher. `reset_at_s`: the board is reset then, its loader's memory gone.

    `reset_line`: the board runs an image, and its reset hangs on this line. `broken_baud`: a rate at which the line
    garbles. What exceeds the board's window is lost and counted.
    """

    def __init__(
        self,
        board: Board,
        job: Job,
        faults: Faults | None = None,
        seed: int = 0,
        reset_at_s: tuple[float, ...] = (),
        window_bytes: int = 65536,
        broken_baud: int | None = None,
        reset_line: ResetLine | None = None,
    ) -> None:
        rng = random.Random(seed)
        self.board = board
        self.down, self.up = Wire(faults or Faults(), rng), Wire(faults or Faults(), rng)
        self.flasher = Flasher(job, INITIAL_BAUD, 0.0)
        self.now_s = 0.0
        self.events: list[Event] = []
        self.overflow_bytes = 0
        self.has_booted = False
        self._busy_until_s = 0.0
        self._ring = bytearray()
        self._window_bytes = window_bytes
        self._resets = deque(sorted(reset_at_s))
        self._session = seed * 1000 + 1
        self._broken_baud = broken_baud
        self._host_baud = INITIAL_BAUD
        self._reset_line = reset_line
        self._pulled: ResetLine | None = None
        board.set_window(window_bytes)
        self.start_board()
        self.has_booted = reset_line is not None
        if self.has_booted:
            board.take_output()

    def start_board(self) -> None:
        """Power on, or reset."""
        self._session += 1
        self._ring.clear()
        self.has_booted = False
        self.board.set_now(int(self.now_s * 1000))
        self.board.loader_start(self._session, 1)

    def run(self, limit_s: float = 600.0) -> bool:
        """Run until the flasher is done, or raises; False if time ran out."""
        while not self.flasher.is_done:
            if self.now_s > limit_s:
                return False
            self.step()
        return True

    def _next_s(self) -> float:
        moments = [self.now_s + TICK_S, self.flasher.deadline_s, *list(self._resets)[:1]]
        moments += [wire.queue[0][0] for wire in (self.down, self.up) if wire.queue]
        if self._ring:
            moments.append(self._busy_until_s)
        return min(moments)

    def step(self) -> None:
        """Go on to the next thing that happens."""
        self.now_s = max(self.now_s + MIN_STEP_S, self._next_s())
        if self._resets and self.now_s >= self._resets[0]:
            self._resets.popleft()
            self.start_board()
        self._board_hears()
        self.serve()
        self._host_hears()
        self.events.extend(self.flasher.events)
        self.flasher.events.clear()

    def _board_hears(self) -> None:
        for piece, baud in self.down.arrived(self.now_s):
            is_understood = baud == self.board.baud() != self._broken_baud
            room = self._window_bytes - len(self._ring)
            self.overflow_bytes += max(0, len(piece) - room)
            self._ring += (piece if is_understood else _garbled(piece))[:room]

    def serve(self) -> None:
        """Let the board's loader work on what it has heard, for as long as its flash is not busy."""
        if self.now_s < self._busy_until_s or self.has_booted:
            return
        self.board.set_now(int(self.now_s * 1000))
        baud = self.board.baud()
        while self._ring and self.board.busy_us() == 0:
            piece = bytes(self._ring[:CHUNK_BYTES])
            del self._ring[:CHUNK_BYTES]
            self.board.loader_receive(piece, len(piece))
        self._busy_until_s = self.now_s + self.board.busy_us() / 1e6
        if not self.board.loader_tick():
            self.has_booted = True
        out = self.board.take_output()
        if out:
            self.up.send(out, max(self.now_s, self._busy_until_s), baud)

    def _host_hears(self) -> None:
        line = self.flasher.line
        arrived = self.up.arrived(self.now_s)
        heard = b"".join(piece if baud == line.baud else _garbled(piece) for piece, baud in arrived)
        if heard or self.now_s >= self.flasher.deadline_s:
            self.flasher.advance(heard, self.now_s)
        out = line.take_output()
        if out:
            self.down.send(out, self.now_s, self._host_baud)
        self._host_baud = line.baud
        if self._pulled is not line.pulled:
            is_let_go, self._pulled = self._pulled is self._reset_line, line.pulled
            if is_let_go and self._reset_line is not None:
                self.start_board()
