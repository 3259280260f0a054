"""A flasher and the real C loader across a modelled serial line, in virtual time: rate, flash times, faults."""

import random
from collections import deque
from dataclasses import dataclass

from settop.board.flasher import Flasher

MIN_STEP_S = 0.0002
TICK_S = 0.05


@dataclass(frozen=True)
class Faults:
    """Chances per chunk of bytes, each way."""

    drop: float = 0.0
    flip: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    delay: float = 0.0


class Wire:
    """One direction: bytes arrive at the line's rate, a chunk at a time, hurt by faults."""

    def __init__(self, faults, rng):
        self.faults, self.rng = faults, rng
        self.queue = deque()
        self.free_s = 0.0
        self.last_s = 0.0

    def send(self, data, now_s, baud):
        start_s = max(now_s, self.free_s)
        self.free_s = start_s + len(data) * 10 / baud
        for first in range(0, len(data), 64):
            chunk = data[first : first + 64]
            arrives_s = start_s + (first + len(chunk)) * 10 / baud
            for piece in self.hurt(chunk):
                late_s = self.rng.random() * 0.05 if self.rng.random() < self.faults.delay else 0.0
                self.last_s = max(self.last_s, arrives_s + late_s)
                self.queue.append((self.last_s, piece, baud))

    def hurt(self, chunk):
        faults, rng = self.faults, self.rng
        if rng.random() < faults.drop:
            return []
        if rng.random() < faults.truncate:
            chunk = chunk[: rng.randrange(len(chunk))]
        if chunk and rng.random() < faults.flip:
            at = rng.randrange(len(chunk))
            chunk = chunk[:at] + bytes([chunk[at] ^ 1 << rng.randrange(8)]) + chunk[at + 1 :]
        return [chunk, chunk] if rng.random() < faults.duplicate else [chunk]

    def arrived(self, now_s):
        while self.queue and self.queue[0][0] <= now_s:
            _, piece, baud = self.queue.popleft()
            yield piece, baud


def garbled(piece):
    return bytes(byte ^ 0xA5 for byte in piece)


class VirtualLine:
    """`board` is a stubhost.Board. `reset_at_s`: the board is reset then, its loader's memory gone."""

    def __init__(self, board, job, faults=None, seed=0, reset_at_s=(), window_bytes=65536, broken_baud=None):
        self.board = board
        rng = random.Random(seed)
        self.down, self.up = Wire(faults or Faults(), rng), Wire(faults or Faults(), rng)
        self.flasher = Flasher(job, 115200, 0.0)
        self.now_s = 0.0
        self.busy_until_s = 0.0
        self.ring = bytearray()
        self.window_bytes = window_bytes
        self.overflow_bytes = 0
        self.resets = deque(sorted(reset_at_s))
        self.session = seed * 1000 + 1
        self.broken_baud = broken_baud
        self.events = []
        self.has_booted = False
        board.set_window(window_bytes)
        self.start_board()

    def start_board(self):
        self.session += 1
        self.ring.clear()
        self.board.set_now(int(self.now_s * 1000))
        self.board.loader_start(self.session, 1)

    def run(self, limit_s=600.0):
        """Run until the flasher is done, or raises; False if time ran out."""
        while not self.flasher.is_done:
            if self.now_s > limit_s:
                return False
            self.step()
        return True

    def next_s(self):
        """When something happens next."""
        moments = [self.now_s + TICK_S, self.flasher.deadline_s, *list(self.resets)[:1]]
        moments += [wire.queue[0][0] for wire in (self.down, self.up) if wire.queue]
        if self.ring:
            moments.append(self.busy_until_s)
        return min(moments)

    def step(self):
        self.now_s = max(self.now_s + MIN_STEP_S, self.next_s())
        if self.resets and self.now_s >= self.resets[0]:
            self.resets.popleft()
            self.start_board()
        self.hear()
        self.serve()
        heard = b"".join(
            piece if baud == self.flasher.line.baud else garbled(piece) for piece, baud in self.up.arrived(self.now_s)
        )
        if heard or self.now_s >= self.flasher.deadline_s:
            self.flasher.advance(heard, self.now_s)
        baud = self.flasher.line.baud
        out = self.flasher.line.take_output()
        if out:
            self.down.send(out, self.now_s, self.baud_when_sent or baud)
        self.baud_when_sent = baud
        self.events.extend(self.flasher.events)
        self.flasher.events.clear()

    baud_when_sent = None

    def hear(self):
        for piece, baud in self.down.arrived(self.now_s):
            is_understood = baud == self.board.baud() != self.broken_baud
            room = self.window_bytes - len(self.ring)
            self.overflow_bytes += max(0, len(piece) - room)
            self.ring += (piece if is_understood else garbled(piece))[:room]

    def serve(self):
        if self.now_s < self.busy_until_s or self.has_booted:
            return
        self.board.set_now(int(self.now_s * 1000))
        baud = self.board.baud()
        while self.ring and self.board.busy_us() == 0:
            piece = bytes(self.ring[:64])
            del self.ring[:64]
            self.board.loader_receive(piece, len(piece))
        self.busy_until_s = self.now_s + self.board.busy_us() / 1e6
        if not self.board.loader_tick():
            self.has_booted = True
        out = self.board.take_output()
        if out:
            self.up.send(out, max(self.now_s, self.busy_until_s), baud)
