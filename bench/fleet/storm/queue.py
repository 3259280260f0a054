"""The login server's queue, and what it may do when more come than it can answer.

Requests come evenly within a step, and are answered evenly within one: so who waited longer than its patience is told
apart within a step, and figures do not hang on how long the steps are.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.fleet.scenario.values import Discipline
from bench.fleet.storm.crowd import draw_some, total_of
from carousel.release.blocks import IntArray

__all__ = ["LoginQueue", "Served"]

TOKENS_OF_PATIENCE = 0.9
"""Token admission takes only what can be answered within this part of the clients' patience."""


@dataclass
class _Entry:
    """Requests that came evenly from `begin_s` to `end_s`, in step `index`."""

    begin_s: float
    end_s: float
    index: int
    crowd: IntArray


@dataclass(frozen=True)
class Served:
    """Requests of step `asked_at` that were answered, in time after `waited_s`, or too late."""

    asked_at: int
    in_time: IntArray
    too_late: IntArray
    waited_s: float


class LoginQueue:
    """At most `most` requests; the server answers `rate` a second; clients wait for `patience_s`."""

    def __init__(self, discipline: Discipline, rate: float, most: int, patience_s: float) -> None:
        self._discipline, self._patience_s = discipline, patience_s
        tokens = discipline in (Discipline.TOKENS, Discipline.RETRY_AFTER, Discipline.GATE)
        self._most = min(most, int(rate * patience_s * TOKENS_OF_PATIENCE)) if tokens else most
        self._entries: deque[_Entry] = deque()
        self.total = 0

    def take(
        self, crowd: IntArray, now_s: float, step_s: float, index: int, answers: int, rng: np.random.Generator
    ) -> IntArray:
        """Take requests of the step that ends at `now_s`, while `answers` leave; return who is turned away."""
        if not total_of(crowd):
            return crowd
        taken = draw_some(crowd, max(0, self._most - self.total + answers), rng)
        count = total_of(taken)
        if count:
            self._entries.append(_Entry(now_s - step_s, now_s, index, taken))
            self.total += count
        return crowd - taken

    def serve(self, now_s: float, step_s: float, answers: int, rng: np.random.Generator) -> Iterator[Served]:
        """Answer so many in the step that ends at `now_s`."""
        if self._discipline is Discipline.DEADLINE:
            yield from self._drop_stale(now_s - step_s / 2)
        left, begin_s = answers, now_s - step_s
        newest_first = self._discipline is Discipline.LIFO
        while left and self._entries:
            entry = self._entries.pop() if newest_first else self._entries.popleft()
            waiting = total_of(entry.crowd)
            count = min(waiting, left)
            end_s = begin_s + step_s * count / max(1, answers)
            crowd = draw_some(entry.crowd, count, rng)
            self.total -= count
            left -= count
            share = count / waiting
            first_s, last_s = entry.begin_s, entry.begin_s + share * (entry.end_s - entry.begin_s)
            yield self._judged(entry.index, crowd, max(0.0, begin_s - first_s), max(0.0, end_s - last_s), rng)
            if count < waiting:
                rest = _Entry(last_s, entry.end_s, entry.index, entry.crowd - crowd)
                (self._entries.append if newest_first else self._entries.appendleft)(rest)
            begin_s = end_s

    def _judged(self, index: int, crowd: IntArray, first_s: float, last_s: float, rng: np.random.Generator) -> Served:
        """Tell apart who waited up to its patience, of some whose waits go evenly from `first_s` to `last_s`."""
        low, high = min(first_s, last_s), max(first_s, last_s)
        if self._discipline is Discipline.DEADLINE:  # looks before it answers: who is answered still waits
            return Served(index, crowd, np.zeros_like(crowd), min(self._patience_s, (low + high) / 2))
        if low > self._patience_s or high <= self._patience_s:
            nobody = np.zeros_like(crowd)
            in_time, too_late = (nobody, crowd) if low > self._patience_s else (crowd, nobody)
            return Served(index, in_time, too_late, (low + high) / 2)
        share = (self._patience_s - low) / (high - low)
        in_time = draw_some(crowd, int(rng.binomial(total_of(crowd), share)), rng)
        return Served(index, in_time, crowd - in_time, (low + min(high, self._patience_s)) / 2)

    def _drop_stale(self, now_s: float) -> Iterator[Served]:
        """Drop who has given up, at no cost to the server."""
        while self._entries and now_s - self._entries[0].end_s > self._patience_s:
            entry = self._entries.popleft()
            self.total -= int(entry.crowd.sum())
            yield Served(entry.index, np.zeros_like(entry.crowd), entry.crowd, 0.0)
