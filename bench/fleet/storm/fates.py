"""What became of the boxes of a storm, worked out once it is over.

While it runs, only counts are noted: how many boxes of a group powered up in a step, how many asked, how many were let
in that got what they asked for, and how long that took. Who asks in one step is let in with one chance, newcomers and
those that waited alike. Boxes of one group that wait are alike; so whoever of them is let in is any of them:

    P(waits | powered up at a)              = 1 - let in / asking, at a
    P(still waiting at t | waits since a)   = exp(-integral from a to t of the hazard)

The hazard of a step is what leads, at one rate all through it, from who waits at its begin to who waits at its end. So
times do not hang on how long the steps are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import BINS, Histogram, bins_of
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Group
from bench.fleet.storm.crowd import Clock
from carousel.release.blocks import IntArray

__all__ = ["Fates"]

FloatArray = NDArray[np.float64]
EDGES = 600
"""Waits are told apart at this many times, logarithmically: 2 % apart over five decades, and halved."""
STARTS = 1024
"""So many steps of power-on, one in each part of them, stand for all."""
MOST_HAZARD, MOST_TURNS, EXACT = 60.0, 80, 1e-6


class Fates:
    """Notes by step and group: `came`, `asking` (newcomers among them, if they ask at once), `let_in` (of those who got
    there), `elsewhere` (of these, who had not asked), and `took_s`, box-seconds from there on.
    """

    def __init__(self, clock: Clock, groups: tuple[Group, ...], came: IntArray, regions: list[str]) -> None:
        self._clock, self._groups, self._regions = clock, groups, regions
        self.came = came
        self.asking, self.elsewhere = np.zeros_like(came), np.zeros_like(came)
        self.let_in = np.zeros_like(came)
        self.took_s = np.zeros(came.shape)
        self.done = np.zeros((STEPS + 1, came.shape[1]), dtype=np.int64)

    def ask(self, counts: IntArray | int, index: int) -> None:
        """Count boxes (groups,), or of the only group, that ask in a step; newcomers that do not ask in the step in
        which they come wait.
        """
        self.asking[index] = counts

    def leave(self, counts: IntArray, index: int, at_s: float) -> None:
        """Count boxes (groups,) that wait, and have it from elsewhere in step `index`, at `at_s`."""
        self.elsewhere[index] += counts
        self.finish(counts, index, 0.0, at_s)

    def finish(self, counts: IntArray | int, asked_at: int, took_s: float, at_s: float) -> None:
        """Count boxes (groups,), or of the only group, that were let in at step `asked_at`, and have it `took_s` later,
        at `at_s`.
        """
        self.let_in[asked_at] += counts
        self.took_s[asked_at] += counts * took_s
        self.done[min(STEPS, int(at_s / self._clock.bin_s))] += counts

    def finish_each(self, counts: IntArray, asked_at: int, took_s: FloatArray, at_s: FloatArray) -> None:
        """Count boxes (groups,) that were let in at step `asked_at`, and have it each group at a time of its own."""
        self.let_in[asked_at] += counts
        self.took_s[asked_at] += counts * took_s
        bins = np.minimum(STEPS, at_s / self._clock.bin_s).astype(np.int64)
        self.done[bins, np.arange(len(bins))] += counts

    def tally(self, deadline_s: float, start_up_s: FloatArray) -> Tally:
        """Return what happened; `start_up_s` (groups,) follows on what they asked for."""
        tally = Tally(self._clock.horizon_s)
        bins_s: FloatArray = (np.arange(STEPS, dtype=np.float64) + 0.5) * self._clock.bin_s
        never = np.array([np.inf])
        for number, group in enumerate(self._groups):
            left = np.array([group.boxes - int(self.done[:-1, number].sum())])
            tally.count("power", bins_s, self._binned(self.came[:, number]))
            tally.count("power", never, np.array([group.boxes - int(self.came[:, number].sum())]))
            tally.count("verified", bins_s, self.done[:-1, number])
            tally.count("verified", never, left)
            tally.count("up", bins_s + start_up_s[number], self.done[:-1, number])
            tally.count("up", never, left)
            waits = self._waits(number)
            histogram = self._times(waits, group.boxes, float(start_up_s[number]))
            tally.boot.setdefault(self._regions[number], Histogram()).add(histogram)
            if np.isfinite(deadline_s):
                self._count_fallen(tally, number, waits, deadline_s)
        return tally

    def _binned(self, counts: IntArray) -> IntArray:
        binned: IntArray = counts.reshape(STEPS, -1).sum(axis=1)
        return binned

    def _waits(self, number: int) -> "_Waits":
        came, asking, let_in = (each[:, number].astype(np.float64) for each in (self.came, self.asking, self.let_in))
        newcomers = np.divide(came, asking, out=np.zeros_like(came), where=asking > 0)
        asked = let_in - self.elsewhere[:, number]
        at_once = np.minimum(came, asked * np.minimum(1.0, newcomers))
        hazard = _hazards(came - at_once, let_in - at_once)
        took_s = np.divide(self.took_s[:, number], let_in, out=np.zeros_like(let_in), where=let_in > 0)
        starts = np.flatnonzero(came)
        bounds = np.linspace(0, len(starts), min(STARTS, len(starts)) + 1).astype(np.int64)
        rng = np.random.default_rng([len(starts), number])
        picked = starts[rng.integers(bounds[:-1], bounds[1:])]
        weights, not_waiting, took_at_once_s = (
            np.add.reduceat(each[starts], bounds[:-1]) for each in (came, at_once, at_once * took_s)
        )
        took_at_once_s /= np.maximum(not_waiting, 1e-9)
        sum_h, sum_took = (np.concatenate([[0.0], np.cumsum(each)]) for each in (hazard, hazard * took_s))
        return _Waits(sum_h, sum_took, picked, weights, 1 - not_waiting / weights, took_at_once_s)

    def _times(self, waits: "_Waits", boxes: int, start_up_s: float) -> Histogram:
        """Return how long boxes took from power-on to running, as the shares let in make it likely."""
        step_s, count = self._clock.step_s, self._clock.count
        some = np.flatnonzero(waits.waiting > 0)
        begins = waits.begins[some, None]
        ends: FloatArray = np.minimum(begins + np.append(0.0, np.geomspace(0.05, count, EDGES)), count)
        share, took_s = waits.let_in_between(some, ends)
        weights = np.zeros(BINS)

        def count_in(begin: FloatArray, took_s: FloatArray, share: FloatArray) -> None:
            """Count shares of boxes that power up at `begin`, in steps, and have what they asked for `took_s` later."""
            found_s = took_s + start_up_s
            seen = (share > 0) & (begin * step_s + found_s <= self._clock.horizon_s)
            weights[:] += np.bincount(bins_of(np.maximum(found_s[seen], 1e-3)), share[seen], BINS)

        count_in(waits.begins, waits.took_at_once_s, waits.weights * (1 - waits.waiting))
        for part in (0.25, 0.75):
            waited_s = (ends[:, :-1] + part * np.diff(ends, axis=1) - begins) * step_s
            count_in(begins, waited_s + took_s, share / 2)
        return _whole(weights, boxes)

    def _count_fallen(self, tally: Tally, number: int, waits: "_Waits", deadline_s: float) -> None:
        """Count who was not done at its deadline, and when it was after all."""
        step_s = self._clock.step_s
        took_s = float(self.took_s[:, number].sum() / max(1, self.let_in[:, number].sum()))
        falls_s = waits.begins * step_s + deadline_s
        fallen = waits.weights * waits.left((falls_s - took_s) / step_s)
        bins = np.minimum(falls_s / self._clock.bin_s, STEPS).astype(np.int64)
        fell = _rounded_up_to(np.bincount(bins, fallen, STEPS + 1))
        ends: FloatArray = (np.arange(1, STEPS + 1, dtype=np.float64) * self._clock.bin_s - took_s) / step_s
        has_fallen = bins <= np.arange(STEPS)[:, None]
        still = (waits.left(ends[:, None]) * has_fallen * waits.weights).sum(axis=1)
        present = np.cumsum(self._binned(self.came[:, number])) - np.cumsum(self.done[:-1, number])
        on_eeprom = np.clip(np.floor(still + 0.5).astype(np.int64), 0, present)
        change = np.diff(on_eeprom, prepend=0)
        falls = np.maximum(np.diff(fell, prepend=0)[:-1], change)
        tally.events["fallback"][:-1] += falls
        tally.events["return"][:-1] += falls - change


@dataclass(frozen=True)
class _Waits:
    """`hazard` (steps + 1,) is the sum of the hazards before each step, `hazard_took_s` that of hazards times what was
    taken from being let in. Steps of power-on picked to stand for all (`starts`), how many boxes each stands for
    (`weights`), which share of these was not let in at once (`waiting`), and what the others took (`took_at_once_s`).
    """

    hazard: FloatArray
    hazard_took_s: FloatArray
    starts: IntArray
    weights: FloatArray
    waiting: FloatArray
    took_at_once_s: FloatArray

    @cached_property
    def begins(self) -> FloatArray:
        """Where in their steps they power up, on average: in the middle."""
        return self.starts.astype(np.float64) + 0.5

    def let_in_between(self, some: IntArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how many of those that wait were let in between one end and the next, in steps, and what these took
        from there on: (some of the starts, ends - 1).
        """
        reached, reached_s = _at(self.hazard, ends), _at(self.hazard_took_s, ends)
        still = np.exp(self._at_begins[some, None] - reached)
        let_in = (self.weights * self.waiting)[some, None] * -np.diff(still, axis=1)
        hazard, took_s = np.diff(reached, axis=1), np.diff(reached_s, axis=1)
        return let_in, np.divide(took_s, hazard, out=np.zeros_like(took_s), where=hazard > 0)

    def left(self, end: FloatArray | float) -> FloatArray:
        """Return the chance not to have been let in by `end`, in steps, of who powered up at each of `starts`."""
        reached = _at(self.hazard, np.clip(np.asarray(end, dtype=np.float64), 0.0, len(self.hazard) - 1.0))
        later = self.waiting * np.exp(np.minimum(0.0, self._at_begins - reached))
        return np.where(end < self.begins, 1.0, later)

    @cached_property
    def _at_begins(self) -> FloatArray:
        return _at(self.hazard, self.begins)


def _at(sums: FloatArray, at: FloatArray) -> FloatArray:
    """Return what sums before each step are at these places, in steps."""
    whole = np.minimum(at.astype(np.int64), len(sums) - 2)
    found: FloatArray = sums[whole] + (at - whole) * (sums[whole + 1] - sums[whole])
    return found


def _hazards(begin_to_wait: FloatArray, let_in: FloatArray) -> FloatArray:
    """Return the hazard of each step, if so many begin to wait in it, evenly, and so many are let in that wait.

    What is looked for is h in: waiting at the end = e^-h x waiting at the begin + (1 - e^-h)/h x begin to wait.
    """
    at_end = np.cumsum(begin_to_wait - let_in)
    some = np.flatnonzero(let_in > 0)
    come, end = begin_to_wait[some], np.maximum(at_end[some], 1e-9)
    begin = np.maximum(at_end[some] - come + let_in[some], 0.0)
    hazard = np.zeros(len(some))
    for _ in range(MOST_TURNS):  # Newton's way: the curve is convex, and comes down to its zero from the left
        gone = np.divide(-np.expm1(-hazard), hazard, out=np.ones_like(hazard), where=hazard > 0)
        slope = np.divide(gone - np.exp(-hazard), hazard, out=np.full_like(hazard, 0.5), where=hazard > 0)
        rest = begin * np.exp(-hazard) + come * gone - end
        step = rest / np.maximum(begin * np.exp(-hazard) + come * slope, 1e-12)
        hazard = np.clip(hazard + step, 0.0, MOST_HAZARD)
        if np.abs(step).max(initial=0.0) < EXACT:
            break
    found = np.zeros(len(let_in))
    found[some] = hazard
    return found


def _rounded_up_to(weights: NDArray[Any]) -> IntArray:
    """Return sums from the begin in whole numbers."""
    return np.floor(np.cumsum(weights) + 0.5).astype(np.int64)


def _whole(weights: FloatArray, boxes: int) -> Histogram:
    """Return weights as whole boxes; who is not among them never got there."""
    reached = np.minimum(_rounded_up_to(weights), boxes)
    return Histogram(np.diff(reached, prepend=0), boxes - int(reached[-1]))
