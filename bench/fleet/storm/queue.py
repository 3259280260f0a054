"""The login server's queue, and what it may do when more come than it can answer.

Requests come evenly within a step, and are answered evenly within one: so who waited longer than its patience is told
apart within a step, and figures do not hang on how long the steps are.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.fleet.scenario.values import Discipline
from bench.fleet.storm.crowd import draw_some
from carousel.release.blocks import IntArray

__all__ = ["LoginQueue", "Served"]

TOKENS_OF_PATIENCE = 0.9
"""Token admission takes only what can be answered within this part of the clients' patience."""


@dataclass(slots=True)
class _Entry:
    """`count` requests that came evenly from `begin_s` to `end_s`, in step `index`."""

    begin_s: float
    end_s: float
    index: int
    crowd: IntArray
    count: int


@dataclass(frozen=True, slots=True)
class Served:
    """`count` requests of step `asked_at` that were answered, in time or too late, after `waited_s`."""

    asked_at: int
    crowd: IntArray
    count: int
    is_in_time: bool
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
        self, crowd: IntArray, asked: int, now_s: float, step_s: float, index: int, answers: int,
        rng: np.random.Generator,
    ) -> IntArray | None:  # fmt: skip
        """Take of `asked` requests of the step that ends at `now_s` what there is room for, while `answers` leave;
        return who is turned away.
        """
        room = max(0, self._most - self.total + answers)
        if not asked or not room:
            return crowd if asked else None
        taken = crowd if asked <= room else draw_some(crowd, room, rng)
        count = min(asked, room)
        self._entries.append(_Entry(now_s - step_s, now_s, index, taken, count))
        self.total += count
        return crowd - taken if count < asked else None

    def serve(self, now_s: float, step_s: float, answers: int, rng: np.random.Generator) -> Iterator[Served]:
        """Answer so many in the step that ends at `now_s`."""
        if self._discipline is Discipline.DEADLINE:
            yield from self._drop_stale(now_s - step_s / 2)
        left, begin_s = answers, now_s - step_s
        newest_first = self._discipline is Discipline.LIFO
        while left and self._entries:
            entry = self._entries.pop() if newest_first else self._entries.popleft()
            waiting, count = entry.count, min(entry.count, left)
            end_s = begin_s + step_s * count / max(1, answers)
            crowd = entry.crowd if count == waiting else draw_some(entry.crowd, count, rng)
            self.total -= count
            left -= count
            first_s, last_s = entry.begin_s, entry.begin_s + count / waiting * (entry.end_s - entry.begin_s)
            waited_s = (max(0.0, begin_s - first_s), max(0.0, end_s - last_s))
            yield from self._judged(entry.index, crowd, count, *waited_s, rng)
            if count < waiting:
                rest = _Entry(last_s, entry.end_s, entry.index, entry.crowd - crowd, waiting - count)
                (self._entries.append if newest_first else self._entries.appendleft)(rest)
            begin_s = end_s

    def _judged(
        self, index: int, crowd: IntArray, count: int, first_s: float, last_s: float, rng: np.random.Generator
    ) -> Iterator[Served]:
        """Tell apart who waited up to its patience, of some whose waits go evenly from `first_s` to `last_s`."""
        low_s, high_s = min(first_s, last_s), max(first_s, last_s)
        if self._discipline is Discipline.DEADLINE:  # looks before it answers: who is answered still waits
            yield Served(index, crowd, count, True, min(self._patience_s, (low_s + high_s) / 2))
            return
        if low_s > self._patience_s or high_s <= self._patience_s:
            yield Served(index, crowd, count, low_s <= self._patience_s, (low_s + high_s) / 2)
            return
        in_time = int(rng.binomial(count, (self._patience_s - low_s) / (high_s - low_s)))
        some = draw_some(crowd, in_time, rng)
        yield Served(index, some, in_time, True, (low_s + min(high_s, self._patience_s)) / 2)
        yield Served(index, crowd - some, count - in_time, False, (max(low_s, self._patience_s) + high_s) / 2)

    def _drop_stale(self, now_s: float) -> Iterator[Served]:
        """Drop who has given up, at no cost to the server."""
        while self._entries and now_s - self._entries[0].end_s > self._patience_s:
            entry = self._entries.popleft()
            self.total -= entry.count
            yield Served(entry.index, entry.crowd, entry.count, False, now_s - entry.end_s)
