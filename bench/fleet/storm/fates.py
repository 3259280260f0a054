"""What became of the boxes of a storm, worked out once it is over.

While it runs, only counts are noted: how many boxes of a group powered up in a step, how many were let in that got what
they asked for, and how long that took. Boxes of one group that wait are alike; so whoever is let in is any of them, and
the time that a box waited follows from the share that was let in, step by step:

    P(still waiting at t | powered up at a) = product over the steps from a to t of (1 - let in / waiting)
"""

from dataclasses import dataclass
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


class Fates:
    """Notes by step and group: `came`, `let_in` (of those who got there), and `took_s`, box-seconds from there on."""

    def __init__(self, clock: Clock, groups: tuple[Group, ...], came: IntArray, regions: list[str]) -> None:
        self._clock, self._groups, self._regions = clock, groups, regions
        self.came = came
        self.let_in = np.zeros_like(came)
        self.took_s = np.zeros(came.shape)
        self.done = np.zeros((STEPS + 1, came.shape[1]), dtype=np.int64)

    def finish(self, counts: IntArray, asked_at: int, took_s: float | FloatArray, at_s: float) -> None:
        """Count boxes (groups,) that were let in at step `asked_at`, and have it `took_s` later, at `at_s`."""
        self.let_in[asked_at] += counts
        self.took_s[asked_at] += counts * took_s
        self.done[min(STEPS, int(at_s / self._clock.bin_s))] += counts

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
            histogram = self._times(number, group.boxes, float(start_up_s[number]))
            tally.boot.setdefault(self._regions[number], Histogram()).add(histogram)
            if np.isfinite(deadline_s):
                self._count_fallen(tally, number, deadline_s)
        return tally

    def _binned(self, counts: IntArray) -> IntArray:
        binned: IntArray = counts.reshape(STEPS, -1).sum(axis=1)
        return binned

    def _waits(self, number: int) -> "_Waits":
        came, let_in = self.came[:, number].astype(np.float64), self.let_in[:, number].astype(np.float64)
        waiting = np.cumsum(came) - np.cumsum(let_in) + let_in
        share = np.divide(let_in, waiting, out=np.zeros_like(waiting), where=waiting > 0)
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log1p(-np.minimum(share, 1.0)), -60.0)
        took_s = np.divide(self.took_s[:, number], let_in, out=np.zeros_like(let_in), where=let_in > 0)
        starts = np.flatnonzero(came)
        parts = [each for each in np.array_split(starts, min(STARTS, len(starts)) or 1) if len(each)]
        rng = np.random.default_rng([len(starts), number])
        picked = np.array([rng.choice(each) for each in parts], dtype=np.int64)
        weights = np.array([came[each].sum() for each in parts])
        return _Waits(np.concatenate([[0.0], np.cumsum(logs)]), took_s, picked, weights)

    def _times(self, number: int, boxes: int, start_up_s: float) -> Histogram:
        """Return how long boxes took from power-on to running, as the shares let in make it likely."""
        waits, step_s, count = self._waits(number), self._clock.step_s, self._clock.count
        steps = np.concatenate([[0], np.unique(np.geomspace(1, count, EDGES).astype(np.int64))])
        starts = waits.starts[:, None]
        ends = np.minimum(starts + steps[None], count)
        share = waits.weights[:, None] * -np.diff(np.exp(waits.log_left[ends] - waits.log_left[starts]), axis=1)
        weights = np.zeros(BINS)
        for part in (0.25, 0.75):
            # The last step of a wait counts: who is let in at once waited nothing.
            waited = ends[:, :-1] + part * (ends[:, 1:] - 1 - ends[:, :-1]) - starts
            let_in = np.minimum(starts + waited.astype(np.int64), count - 1)
            found_s = waited * step_s + waits.took_s[let_in] + start_up_s
            seen = (share > 0) & ((starts + 0.5) * step_s + found_s <= self._clock.horizon_s)
            weights += np.bincount(bins_of(np.maximum(found_s[seen], 1e-3)), share[seen] / 2, BINS)
        return _whole(weights, boxes)

    def _count_fallen(self, tally: Tally, number: int, deadline_s: float) -> None:
        """Count who was not done at its deadline, and when it was after all."""
        waits, step_s, count = self._waits(number), self._clock.step_s, self._clock.count
        let_in = self.let_in[:, number]
        took_s = float(waits.took_s @ let_in / max(1, let_in.sum()))
        falls_s = (waits.starts + 0.5) * step_s + deadline_s
        at = np.clip(((falls_s - took_s) / step_s).astype(np.int64), waits.starts, count)
        fallen = waits.weights * np.exp(waits.log_left[at] - waits.log_left[waits.starts])
        bins = np.minimum(falls_s / self._clock.bin_s, STEPS).astype(np.int64)
        fell = _rounded_up_to(np.bincount(bins, fallen, STEPS + 1))
        ends = np.clip(((np.arange(1, STEPS + 1) * self._clock.bin_s - took_s) / step_s).astype(np.int64), 0, count)
        still = np.zeros(STEPS + 1)
        for edge, end in enumerate(ends.tolist()):
            mine = bins <= edge
            left = np.minimum(0.0, waits.log_left[end] - waits.log_left[waits.starts[mine]])
            still[edge] = waits.weights[mine] @ np.exp(left)
        present = np.cumsum(self._binned(self.came[:, number])) - np.cumsum(self.done[:-1, number])
        on_eeprom = np.clip(np.floor(still[:-1] + 0.5).astype(np.int64), 0, present)
        change = np.diff(on_eeprom, prepend=0)
        falls = np.maximum(np.diff(fell, prepend=0)[:-1], change)
        tally.events["fallback"][:-1] += falls
        tally.events["return"][:-1] += falls - change


@dataclass(frozen=True)
class _Waits:
    """`log_left` (steps + 1,) of the chance to be waiting; `took_s` (steps,) from being let in; power-on steps picked
    to stand for all, and how many boxes each stands for.
    """

    log_left: FloatArray
    took_s: FloatArray
    starts: IntArray
    weights: FloatArray


def _rounded_up_to(weights: NDArray[Any]) -> IntArray:
    """Return sums from the begin in whole numbers."""
    return np.floor(np.cumsum(weights) + 0.5).astype(np.int64)


def _whole(weights: FloatArray, boxes: int) -> Histogram:
    """Return weights as whole boxes; who is not among them never got there."""
    reached = np.minimum(_rounded_up_to(weights), boxes)
    return Histogram(np.diff(reached, prepend=0), boxes - int(reached[-1]))
