"""The log-in gate over a whole fleet: the real pace (headend/rollout/pace.py), and boxes drawn into turns by counts.

    came ──► turn is past already: asks at once          each second: what asked, and what could be taken, is fed back
       └───► waits ──► its tick is told: asks            to the pace, which says how fast ticks come
Boxes that wait are exchangeable: of those, each tick admits one in as many as there are turns left.
"""

import numpy as np

from carousel.gate import LEAST_TICKS
from headend.rollout.pace import Course, Feed, Pace

__all__ = ["SECOND_S", "GateModel"]

SECOND_S = 1.0


class GateModel:
    """One gate, from an untouched chain on."""

    def __init__(self, rng: np.random.Generator, ticks: int = LEAST_TICKS) -> None:
        self._rng = rng
        self._ticks = ticks
        self._pace = Pace(ticks)
        self._tick = 0.0
        self._is_open = False
        self._since_s = 0.0
        self._asked = 0
        self.waiting = 0

    def admit(self, came: int, now_s: float, step_s: float) -> int:
        """Return how many ask in the step that ends at `now_s`: of those who came in it, and of those who wait."""
        if self._is_open:
            asks, self.waiting = came + self.waiting, 0
            return asks
        begin = int(self._tick)
        self._tick = min(self._ticks - 1.0, self._tick + self._pace.ticks_per_s * step_s)
        at_once = int(self._rng.binomial(came, begin / self._ticks))
        self.waiting += came - at_once
        left, passed = self._ticks - 1 - begin, int(self._tick) - begin
        called = int(self._rng.binomial(self.waiting, passed / left)) if passed else 0
        self.waiting -= called
        return at_once + called

    def feed(self, asked: int, capacity_per_s: float, now_s: float) -> None:
        """Tell what asked in the step that ends at `now_s`; each second the pace hears of it."""
        self._asked += asked
        passed_s = now_s - self._since_s
        if passed_s < SECOND_S - 1e-9:
            return
        feed = Feed(self._asked / passed_s, max(capacity_per_s, 1e-3))
        self._since_s, self._asked = now_s, 0
        if self._is_open:
            course = Course.REDRAW if self._pace.must_close(feed) else Course.OPEN
        else:
            course = self._pace.feed(feed, self._tick, now_s)
        self._is_open = course is Course.OPEN
        if course is Course.REDRAW:
            self._pace, self._tick = Pace(self._ticks), 0.0
