"""What all storms share: the clock, who powers up when, boxes drawn from a crowd, and waiting rooms between tries.

A crowd is an array (tries, groups) of counts: how many boxes of each group have been turned away how often.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.starts import share_up_by
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Group, Retry, RetryKind
from carousel.console.quantities import format_duration_s
from carousel.errors import OperatorError
from carousel.release.blocks import IntArray

__all__ = [
    "LOGIN_START",
    "ROLLOUT_START",
    "STEPS_A_TIME",
    "Clock",
    "Load",
    "Story",
    "WaitingRoom",
    "arrivals_of",
    "by_group",
    "draw_some",
    "format_price",
    "thinned",
    "total_of",
]

FloatArray = NDArray[np.float64]
STEPS_A_TIME = 4
"""A step is this part of the shortest time that matters; halved until no figure changes (engine.py)."""
MOST_STEPS = 800_000
BACKOFF_STAGES = 13
LOGIN_START = "start of the system"
"""What the times of a log-in count from (`Story.counts_from`)."""

ROLLOUT_START = "begin of the roll-out"


@dataclass(frozen=True)
class Clock:
    """`count` steps of `step_s`; `STEPS` bins of the horizon, in which phases and loads are shown."""

    horizon_s: float
    count: int

    @classmethod
    def of(cls, horizon_s: float, shortest_s: float, finer: int = 1) -> "Clock":
        """Choose steps by the shortest time that matters, whatever the horizon; `OperatorError` for too many."""
        step_s = min(horizon_s / STEPS, shortest_s / STEPS_A_TIME) / finer
        count = STEPS * int(np.ceil(horizon_s / STEPS / step_s - 1e-9))
        if count > MOST_STEPS:
            raise OperatorError(
                f"a horizon of {format_duration_s(horizon_s)} takes {count:,} steps of {format_duration_s(step_s)}, as "
                f"a time-out of {format_duration_s(shortest_s)} asks for; {MOST_STEPS:,} are the most: look at a "
                "shorter horizon"
            )
        return cls(horizon_s, count)

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        return self.horizon_s / self.count

    def bin_of(self, index: int) -> int:
        """Return the bin of a step."""
        return index * STEPS // self.count

    @property
    def bin_s(self) -> float:
        """Seconds of a bin."""
        return self.horizon_s / STEPS


@dataclass(frozen=True)
class Load:
    """What a server or the broadcast carries, by bin, beside what it can carry then."""

    name: str
    unit: str
    values: FloatArray
    capacity: float | FloatArray


@dataclass
class Story:
    """One strategy's run: its tally, how many boxes are in each phase by bin, and the loads.

    `step_error` is how much a reported figure changed when the steps were halved last; `notes` name what is
    approximated, with its measured error. `price` is in dollars, where the scenario has prices.
    """

    label: str
    seed: int
    tally: Tally
    phases: dict[str, IntArray]
    loads: list[Load]
    wire_bytes_per_box: float | None = None
    counts_from: str = "power-on"
    step_s: float | None = None
    step_error: float | None = None
    notes: tuple[str, ...] = field(default=())
    price: float | None = None
    ended: str = ""
    """Of a roll-out, how it ended."""


def format_price(dollars: float) -> str:
    """Write a price in three digits."""
    return f"${float(f'{dollars:.3g}'):,.12g}"


def total_of(crowd: IntArray) -> int:
    """Return how many boxes a crowd has: many have one cell, which NumPy takes its time to add up."""
    return int(crowd.item() if crowd.size == 1 else np.add.reduce(crowd, axis=None))


def by_group(crowd: IntArray) -> IntArray:
    """Return how many boxes of each group a crowd has: (groups,)."""
    found: IntArray = crowd[0] if len(crowd) == 1 else np.add.reduce(crowd, axis=0)
    return found


def thinned(crowd: IntArray, share: float, rng: np.random.Generator) -> IntArray:
    """Draw each box of a crowd with this chance."""
    if crowd.size > 1:
        return rng.binomial(crowd, share)
    return _alone(crowd, rng.binomial(crowd.item(), share))


def _alone(crowd: IntArray, count: int) -> IntArray:
    """Return a crowd of one cell with so many boxes."""
    found = np.empty_like(crowd)
    found.fill(count)
    return found


def draw_some(crowd: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Draw so many boxes from a crowd without looking; all, if there are not more."""
    if crowd.size == 1:
        return _alone(crowd, min(crowd.item(), max(0, count)))
    total = int(crowd.sum())
    if count >= total:
        return crowd.copy()
    if count <= 0:
        return np.zeros_like(crowd)
    flat = crowd.ravel()
    if total < 1_000_000_000:  # numpy's own draw stops there
        drawn = rng.multivariate_hypergeometric(flat, count, method="marginals")
        return drawn.reshape(crowd.shape)
    drawn, left, rest = np.zeros_like(flat), count, total
    for cell in np.flatnonzero(flat).tolist():
        here = int(flat[cell])
        rest -= here
        low, high = max(0, left - rest), min(here, left)
        # With so many, drawing with and without putting back are one.
        drawn[cell] = int(np.clip(rng.binomial(left, here / (here + rest)), low, high))
        left -= int(drawn[cell])
    return drawn.reshape(crowd.shape)


def arrivals_of(groups: tuple[Group, ...], clock: Clock, rng: np.random.Generator) -> IntArray:
    """Draw how many boxes of each group power up in each step: (steps, groups). Later ones are left out."""
    edges_s: FloatArray = np.arange(clock.count + 1, dtype=np.float64) * clock.step_s
    found = np.zeros((clock.count, len(groups)), dtype=np.int64)
    for index, group in enumerate(groups):
        shares = np.diff(share_up_by(group.region, edges_s), prepend=0.0)[1:]
        shares[0] += share_up_by(group.region, edges_s[:1])[0]
        later = max(0.0, 1.0 - float(shares.sum()))
        found[:, index] = rng.multinomial(group.boxes, np.append(shares, later))[:-1]
    return found


class WaitingRoom:
    """Boxes between two tries. Waits are random about their mean, as a back-off with jitter has them."""

    def __init__(self, retry: Retry, least_s: float, groups: int, step_s: float) -> None:
        turned_away = np.arange(BACKOFF_STAGES if retry.kind is RetryKind.BACKOFF else 1)
        if retry.kind is RetryKind.IMMEDIATE:
            waits_s = np.full(1, least_s)
        elif retry.kind is RetryKind.RANDOM:
            waits_s = np.full(1, least_s + retry.wait_s)
        else:
            waits_s = least_s + np.minimum(retry.wait_s * 2.0 ** np.maximum(0, turned_away - 1), retry.most_s)
        # Tries come anywhere within a step: from one to the next is a whole number of steps, on average 1/chance. So
        # one that mostly fails comes round as often as its wait says, whatever the step.
        self._leave = np.minimum(1.0, step_s / waits_s)[:, None]
        self._least = float(self._leave[-1, 0])
        self.crowd = np.zeros((len(turned_away), groups), dtype=np.int64)
        self.total = 0

    @property
    def stages(self) -> int:
        """How many tries are told apart."""
        return len(self.crowd)

    def newcomers(self, counts: IntArray) -> IntArray:
        """Return a crowd of boxes that try for the first time."""
        if len(self.crowd) == 1:
            return counts[None]
        crowd = np.zeros(self.crowd.shape, dtype=np.int64)
        crowd[0] = counts
        return crowd

    def turn_away(self, crowd: IntArray, count: int | None = None) -> None:
        """Let these boxes wait, each one stage longer than the last time; `count` is how many they are, where known."""
        count = total_of(crowd) if count is None else count
        if not count:
            return
        if len(crowd) > 1:
            self.crowd[1:] += crowd[:-1]
        self.crowd[-1] += crowd[-1]
        self.total += count

    def leave(self, rng: np.random.Generator) -> IntArray:
        """Return who tries again now: a crowd of its own."""
        if not self.total:
            return np.zeros_like(self.crowd)
        leaving = (
            rng.binomial(self.crowd, self._leave) if self.crowd.size > 1 else thinned(self.crowd, self._least, rng)
        )
        self.crowd -= leaving
        self.total -= total_of(leaving)
        return leaving

    def callers(self, newcomers: IntArray | int, come: int, rng: np.random.Generator) -> tuple[IntArray, int]:
        """Return who asks now, and how many: who tries again, and `come` newcomers (groups,)."""
        waiting = self.total
        asking = self.leave(rng)
        if come:
            asking[0] += newcomers
        return asking, waiting - self.total + come

    def drop_some(self, shares: FloatArray, rng: np.random.Generator) -> IntArray:
        """Let a share of each group (groups,) go for good; return how many went: (groups,)."""
        gone = rng.binomial(self.crowd, shares)
        self.crowd -= gone
        self.total -= total_of(gone)
        return by_group(gone)

    def leave_some(self, count: int, rng: np.random.Generator) -> IntArray:
        """Return so many who were told to come now, whatever their policy."""
        leaving = draw_some(self.crowd, count, rng)
        self.crowd -= leaving
        self.total -= total_of(leaving)
        return leaving
