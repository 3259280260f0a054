"""What all storms share: cohorts that arrive over time, boxes drawn from a crowd, waiting rooms between tries.

A crowd is an array (tries, cohorts) of counts: how many boxes of each cohort have been turned away how often.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import EDGES_S, Histogram
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Retry, RetryKind
from carousel.release.blocks import IntArray

__all__ = ["Arrivals", "Clock", "Fates", "Load", "Story", "WaitingRoom", "draw_some"]

FloatArray = NDArray[np.float64]
MOST_SUBSTEPS = 24
BACKOFF_STAGES = 12


@dataclass(frozen=True)
class Clock:
    """`STEPS` steps of the horizon, each of `substeps`."""

    horizon_s: float
    substeps: int

    @classmethod
    def of(cls, horizon_s: float, shortest_s: float) -> "Clock":
        """Choose steps as short as a sixth of the shortest time that matters, within reason."""
        return cls(horizon_s, int(np.clip(np.ceil(horizon_s / STEPS / (shortest_s / 6)), 1, MOST_SUBSTEPS)))

    @property
    def step_s(self) -> float:
        """Seconds of a substep."""
        return self.horizon_s / STEPS / self.substeps

    @property
    def count(self) -> int:
        """All substeps."""
        return STEPS * self.substeps


@dataclass(frozen=True)
class Load:
    """What a server or the broadcast carries, by step, beside what it can carry (NaN: no limit of its own)."""

    name: str
    unit: str
    values: FloatArray
    capacity: float


@dataclass
class Story:
    """One strategy's run: its tally, how many boxes are in each phase by step, and the loads."""

    label: str
    seed: int
    tally: Tally
    phases: dict[str, IntArray]
    loads: list[Load]
    wire_bytes_per_box: float | None = None
    counts_from: str = "power-on"


def draw_some(crowd: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Draw so many boxes from a crowd without looking; all, if there are not more."""
    total = int(crowd.sum())
    if count >= total:
        return crowd.copy()
    if count <= 0:
        return np.zeros_like(crowd)
    flat = crowd.ravel()
    seen = np.flatnonzero(flat)
    drawn = np.zeros_like(flat)
    left, rest = count, total
    for cell in seen.tolist():  # numpy's own draw stops at a billion
        here = int(flat[cell])
        rest -= here
        got = int(rng.hypergeometric(here, rest, left)) if total < 1_000_000_000 else _draw_large(here, rest, left, rng)
        drawn[cell], left = got, left - got
        if not left:
            break
    return drawn.reshape(crowd.shape)


def _draw_large(here: int, rest: int, wanted: int, rng: np.random.Generator) -> int:
    """Draw from a crowd of over a billion: with so many, drawing with and without putting back are one."""
    low, high = max(0, wanted - rest), min(here, wanted)
    return int(np.clip(rng.binomial(wanted, here / (here + rest)), low, high))


class Arrivals:
    """Boxes that power up: each cohort evenly over `width_s` around its time."""

    def __init__(self, starts_s: FloatArray, widths_s: FloatArray, counts: IntArray) -> None:
        self._begins_s = starts_s - widths_s / 2
        self._ends_s = starts_s + widths_s / 2
        self.left = counts.copy()

    def until(self, now_s: float, step_s: float, rng: np.random.Generator) -> IntArray:
        """Return who powers up in the step that ends at `now_s`, by cohort."""
        remaining_s = self._ends_s - (now_s - step_s)
        chance = np.where(remaining_s <= step_s, 1.0, step_s / np.maximum(remaining_s, step_s))
        come = np.where(now_s > self._begins_s, rng.binomial(self.left, np.clip(chance, 0.0, 1.0)), 0)
        self.left -= come
        return come


class WaitingRoom:
    """Boxes between two tries. Waits are random about their mean, as a back-off with jitter has them."""

    def __init__(self, retry: Retry, least_s: float, cohorts: int, step_s: float) -> None:
        tries = np.arange(BACKOFF_STAGES if retry.kind is RetryKind.BACKOFF else 1)
        if retry.kind is RetryKind.IMMEDIATE:
            waits_s = np.full(1, least_s)
        elif retry.kind is RetryKind.RANDOM:
            waits_s = np.full(1, least_s + retry.wait_s)
        else:
            waits_s = least_s + np.minimum(retry.wait_s * 2.0**tries, retry.most_s)
        self._leave = -np.expm1(-step_s / waits_s)[:, None]
        self.crowd = np.zeros((len(tries), cohorts), dtype=np.int64)

    @property
    def stages(self) -> int:
        """How many tries are told apart."""
        return len(self.crowd)

    def newcomers(self, counts: IntArray) -> IntArray:
        """Return a crowd of boxes that try for the first time."""
        crowd = np.zeros_like(self.crowd)
        crowd[0] = counts
        return crowd

    def turn_away(self, crowd: IntArray) -> None:
        """Let these boxes wait, each one stage longer than the last time."""
        self.crowd[1:] += crowd[:-1]
        self.crowd[-1] += crowd[-1]

    def leave(self, rng: np.random.Generator) -> IntArray:
        """Return who tries again now."""
        leaving = rng.binomial(self.crowd, self._leave)
        self.crowd -= leaving
        return leaving


class Fates:
    """Keeps a tally for cohorts: who powers up, has the image, falls back, runs.

    Which box of a cohort is done, nobody knows; the one that powered up first is taken to be, so that times are right
    to a step in a queue, and to the width of a cohort in a storm.
    """

    def __init__(self, tally: Tally, regions: list[str], deadline_s: float) -> None:
        self.tally = tally
        self._regions, self._deadline_s = regions, deadline_s
        self._present: list[deque[list[float]]] = [deque() for _ in regions]  # [power-on in s, boxes], oldest first
        self._late = [0] * len(regions)  # how many of these entries are past their deadline
        for region in regions:
            tally.boot.setdefault(region, Histogram())

    def power_up(self, now_s: float, counts: IntArray) -> None:
        """Take in boxes, by cohort."""
        self.tally.count("power", np.array([now_s]), np.array([int(counts.sum())]))
        for cohort in np.flatnonzero(counts).tolist():
            self._present[cohort].append([now_s, int(counts[cohort])])

    def fall_back(self, now_s: float) -> None:
        """Let boxes whose deadline has passed boot their EEPROM; they go on trying."""
        fallen = 0
        for cohort, present in enumerate(self._present):
            while self._late[cohort] < len(present):
                at_s, boxes = present[self._late[cohort]]
                if at_s + self._deadline_s > now_s:
                    break
                self._late[cohort] += 1
                fallen += int(boxes)
        self.tally.events["fallback"][self._step(now_s)] += fallen

    def _step(self, now_s: float) -> int:
        return min(STEPS, int(now_s / self.tally.horizon_s * STEPS))

    def verify(self, now_s: float, counts: IntArray, start_up_s: FloatArray) -> None:
        """Count boxes that have their image now, by cohort; they run `start_up_s` later."""
        for cohort in np.flatnonzero(counts).tolist():
            up_s = now_s + float(start_up_s[cohort])
            histogram, left = self.tally.boot[self._regions[cohort]], int(counts[cohort])
            self.tally.events["verified"][self._step(now_s)] += left
            self.tally.events["up"][self._step(up_s)] += left
            while left:
                entry = self._present[cohort][0]
                some = min(left, int(entry[1]))
                left -= some
                entry[1] -= some
                if self._late[cohort]:
                    self.tally.events["return"][self._step(now_s)] += some
                if not entry[1]:
                    self._present[cohort].popleft()
                    self._late[cohort] = max(0, self._late[cohort] - 1)
                if up_s > self.tally.horizon_s:
                    histogram.unfinished += some
                else:
                    taken_s = max(up_s - entry[0], EDGES_S[0])
                    histogram.counts[int(np.searchsorted(EDGES_S, taken_s, side="right")) - 1] += some

    def close(self, left: IntArray) -> None:
        """Count who never got there, those among them (`left`, by cohort) that never powered up."""
        for cohort, present in enumerate(self._present):
            never = int(sum(boxes for _, boxes in present))
            self.tally.boot[self._regions[cohort]].unfinished += never + int(left[cohort])
            for name in ("verified", "up"):
                self.tally.events[name][-1] += never + int(left[cohort])
            self.tally.events["power"][-1] += int(left[cohort])
