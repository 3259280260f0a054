"""Impairments: one small class each, one method over a batch. A link is a chain of them (bench/link/chain.py)."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bench.link.loss import LossModel
from bench.link.traffic import Counts, FloatMatrix, Traffic
from headend.link.sender import IP_UDP_BYTES

__all__ = ["Corrupt", "Delay", "Duplicate", "Impairment", "Lose", "Outage", "RateLimit", "Reorder", "TraceRate"]

TRACE_BYTES = 1500
"""What one line of a Mahimahi trace lets through."""
FOREVER_S = 1e18


class Impairment(Protocol):
    """Changes traffic; returns of how many packets on each link, to be counted under `name`."""

    name: str

    def apply(self, traffic: Traffic) -> Counts:
        """Change a batch in place; shape of the result (links,)."""


def _kill(traffic: Traffic, doomed: np.ndarray) -> Counts:
    doomed = doomed & (traffic.copies > 0)
    traffic.copies[doomed] = 0
    killed: Counts = doomed.sum(axis=0)
    return killed


@dataclass
class Lose:
    """Drop what a loss model says."""

    model: LossModel
    name: str = "lost"

    def apply(self, traffic: Traffic) -> Counts:
        """Drop."""
        return _kill(traffic, self.model.lost(len(traffic.arrival_s)))


@dataclass
class Outage:
    """The link is down at `begin_s` for `length_s`, by the time of arrival."""

    spans: tuple[tuple[float, float], ...]
    name: str = "outage"

    def apply(self, traffic: Traffic) -> Counts:
        """Drop what arrives while it is down."""
        down = np.zeros(len(traffic.arrival_s), dtype=np.bool_)
        for begin_s, length_s in self.spans:
            down |= (traffic.arrival_s >= begin_s) & (traffic.arrival_s < begin_s + length_s)
        return _kill(traffic, np.repeat(down[:, None], traffic.links, axis=1))


@dataclass
class Duplicate:
    """Send a packet twice."""

    probability: float
    rng: np.random.Generator
    name: str = "duplicated"

    def apply(self, traffic: Traffic) -> Counts:
        """Double."""
        chosen = (self.rng.random(traffic.copies.shape) < self.probability) & (traffic.copies > 0)
        traffic.copies[chosen] = 2
        doubled: Counts = chosen.sum(axis=0)
        return doubled


@dataclass
class Corrupt:
    """Flip one bit of a packet's UDP payload."""

    probability: float
    rng: np.random.Generator
    name: str = "corrupted"

    def apply(self, traffic: Traffic) -> Counts:
        """Choose packets and bits."""
        draws = self.rng.random((*traffic.copies.shape, 2))
        chosen = (draws[:, :, 0] < self.probability) & (traffic.copies > 0)
        bits = (draws[:, :, 1] * traffic.size_bytes[:, None] * 8).astype(np.int64)
        traffic.corrupt_bit[chosen] = bits[chosen]
        flipped: Counts = chosen.sum(axis=0)
        return flipped


@dataclass
class Delay:
    """Add a delay, and jitter evenly spread around it; jitter may change the order, as in netem."""

    delay_s: float
    jitter_s: float
    rng: np.random.Generator
    name: str = "jittered"

    def apply(self, traffic: Traffic) -> Counts:
        """Delay all."""
        traffic.due_s += self.delay_s
        if not self.jitter_s:
            return np.zeros(traffic.links, dtype=np.int64)
        traffic.due_s += self.jitter_s * (2 * self.rng.random(traffic.due_s.shape) - 1)
        np.maximum(traffic.due_s, traffic.arrival_s[:, None], out=traffic.due_s)
        late: Counts = (traffic.copies > 0).sum(axis=0)
        return late


@dataclass
class Reorder:
    """Let a packet skip the delay, and so overtake others: netem's reorder."""

    probability: float
    delay_s: float
    rng: np.random.Generator
    name: str = "reordered"

    def apply(self, traffic: Traffic) -> Counts:
        """Pull packets forward."""
        chosen = (self.rng.random(traffic.copies.shape) < self.probability) & (traffic.copies > 0)
        traffic.due_s[chosen] = np.maximum(
            traffic.due_s[chosen] - self.delay_s, np.broadcast_to(traffic.arrival_s[:, None], chosen.shape)[chosen]
        )
        early: Counts = chosen.sum(axis=0)
        return early


@dataclass
class RateLimit:
    """A line of a fixed rate with a queue that drops at its tail, one for each link.

    A packet leaves when its last bit does. `overhead_bytes` is added to each payload: what IP and UDP put around it.
    """

    rate_bps: float
    queue_s: float
    links: int
    overhead_bytes: int = IP_UDP_BYTES[False]
    name: str = "queue_full"
    free_s: FloatMatrix = field(init=False)

    def __post_init__(self) -> None:
        self.free_s = np.zeros(self.links)

    def apply(self, traffic: Traffic) -> Counts:
        """Queue, and drop what finds the queue full."""
        wire_s = ((traffic.size_bytes + self.overhead_bytes) * 8 / self.rate_bps)[:, None] * traffic.copies
        finished = self._departures(traffic.due_s, wire_s)
        waits = finished - wire_s - traffic.due_s
        if (waits[traffic.copies > 0] <= self.queue_s).all():
            self.free_s = finished[-1]
            traffic.due_s[:] = finished
            return np.zeros(self.links, dtype=np.int64)
        return self._one_by_one(traffic, wire_s)

    def _departures(self, due_s: FloatMatrix, wire_s: FloatMatrix) -> FloatMatrix:
        """Return when each packet would have left, if none were dropped: Lindley's recursion, unrolled."""
        sent = np.cumsum(wire_s, axis=0)
        begins = np.maximum.accumulate(np.maximum(due_s, self.free_s) - (sent - wire_s), axis=0)
        departures: FloatMatrix = begins + sent
        return departures

    def _one_by_one(self, traffic: Traffic, wire_s: FloatMatrix) -> Counts:
        dropped = np.zeros(self.links, dtype=np.int64)
        for index in range(len(wire_s)):
            due_s, alive = traffic.due_s[index], traffic.copies[index] > 0
            begin_s = np.maximum(due_s, self.free_s)
            full = alive & (begin_s - due_s > self.queue_s)
            traffic.copies[index, full] = 0
            dropped += full
            goes = alive & ~full
            self.free_s = np.where(goes, begin_s + wire_s[index], self.free_s)
            traffic.due_s[index] = np.where(goes, self.free_s, due_s)
        return dropped


class TraceRate:
    """A line whose capacity follows a Mahimahi trace: each line is a millisecond at which 1500 bytes may leave.

    The trace repeats. A packet leaves at the opportunity that takes its last byte; bytes of an opportunity that nobody
    wanted are gone. A queue of `queue_s` drops at its tail.
    """

    name = "queue_full"

    def __init__(self, trace_ms: list[int], queue_s: float, links: int) -> None:
        self._times_s = np.array(trace_ms) / 1e3
        self._period_s = max(1, trace_ms[-1]) / 1e3
        self._queue_s = queue_s
        self._next = np.zeros(links, dtype=np.int64)
        self._left = np.zeros(links, dtype=np.int64)

    @property
    def rate_bps(self) -> float:
        """The mean rate."""
        return len(self._times_s) * TRACE_BYTES * 8 / self._period_s

    def _time_of(self, opportunity: int) -> float:
        rounds, index = divmod(opportunity, len(self._times_s))
        return float(rounds * self._period_s + self._times_s[index])

    def _first_from(self, now_s: float) -> int:
        rounds = int(now_s // self._period_s)
        index = int(np.searchsorted(self._times_s, now_s - rounds * self._period_s, side="left"))
        return rounds * len(self._times_s) + index

    def apply(self, traffic: Traffic) -> Counts:
        """Give each packet its opportunities."""
        dropped = np.zeros(len(self._next), dtype=np.int64)
        for index, link in np.argwhere(traffic.copies > 0).tolist():
            due_s = float(traffic.due_s[index, link])
            size = int(traffic.size_bytes[index]) * int(traffic.copies[index, link])
            opportunity, left = int(self._next[link]), int(self._left[link])
            if self._time_of(opportunity) < due_s:
                opportunity, left = self._first_from(due_s), TRACE_BYTES
            if self._time_of(opportunity) - due_s > self._queue_s:
                traffic.copies[index, link] = 0
                dropped[link] += 1
                continue
            left = left or TRACE_BYTES
            while size > left:
                size -= left
                opportunity, left = opportunity + 1, TRACE_BYTES
            traffic.due_s[index, link] = self._time_of(opportunity)
            left -= size
            self._next[link], self._left[link] = (opportunity, left) if left else (opportunity + 1, TRACE_BYTES)
        return dropped
