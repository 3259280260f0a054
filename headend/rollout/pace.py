"""How fast a gate ticks: as fast as the server behind it can take log-ins, found by trying (AIMD).

    feed: log-ins a second, capacity ──► far below the aim, from the start    ──► twice the pace
                                         below the aim                        ──► a little more
                                         above the aim                        ──► in proportion less, at once
                                         no feed                              ──► half, each second
                                         "not healthy"                        ──► hold

Log-ins scatter as the root of their number, so the aim is below the capacity by that much: 1.1 times the capacity is to
be passed in one second of a thousand. The last tick of a chain is never told, since it admits nobody: there the gate
opens when it is calm. One that is open is closed by another chain, which draws all turns anew, as soon as too many log
in; so is one that ticks in vain, since too many come whose turn is past. Sans-IO: feeds come in, a pace goes out.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

__all__ = ["Course", "Feed", "Pace"]

TOLERATED = 1.1
DEVIATIONS = 3.6
MOST_AIM, LEAST_AIM = 0.9, 0.3
SETTLE_S = 3.0
"""A feed tells of a second ago, and of boxes that were told a moment before: so long a pace is left to show."""
SETTLE_NEAR_S = 5.0
"""Near the aim a pace that is doubled before it shows goes past it, and some feeds are two seconds older."""
STALE_S = 3.0
LEAST_TICKS_PER_S = 1e-3
STEP_SHARE, LEAP_SHARE = 0.03, 0.15
CALM_S = 30.0
HARD_SHARE, SPENT_SHARE = 0.25, 0.01
BEGIN_TICKS_PER_S = 0.05
MOST_PER_S = 1e12
LEAST_CHAIN_S = 60.0
"""No chain is run through faster, be there nobody: who comes a moment later would find no gate."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a log-in server says of itself, once a second."""

    logins_per_s: float
    capacity_per_s: float
    is_healthy: bool = True

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Read `{"logins_per_s": 90, "capacity_per_s": 100, "healthy": true}`; `ValueError` for anything else."""
        try:
            logins_per_s, capacity_per_s = float(answer["logins_per_s"]), float(answer["capacity_per_s"])
            is_healthy = answer.get("healthy", True) is True
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ValueError("that is no capacity feed") from None
        if not (0 <= logins_per_s < MOST_PER_S and 0 < capacity_per_s < MOST_PER_S):
            raise ValueError("that is no capacity feed: its numbers are out of range")
        return cls(logins_per_s, capacity_per_s, is_healthy)


class Course(Enum):
    """What the gate is to do."""

    TICK = "tick"
    HOLD = "hold"
    REDRAW = "begin another chain"
    OPEN = "open"


class Pace:
    """The pace of one chain of so many ticks. Ask `course` first, then `ticks_per_s`."""

    def __init__(self, ticks: int, begin_ticks_per_s: float = BEGIN_TICKS_PER_S) -> None:
        self._last_tick = ticks - 1
        self._most_ticks_per_s = ticks / LEAST_CHAIN_S
        self.ticks_per_s = begin_ticks_per_s
        self._is_searching = True
        self._changed_s = -math.inf
        self._fed_s: float | None = None
        self._calm_since_s: float | None = None
        self._over: tuple[float, float] | None = None
        """Since when, and from which pace on, there are too many."""

    @staticmethod
    def aim_per_s(capacity_per_s: float) -> float:
        """Return how many log-ins a second to aim at."""
        room = TOLERATED * capacity_per_s - DEVIATIONS * math.sqrt(TOLERATED * capacity_per_s)
        return min(MOST_AIM * capacity_per_s, max(LEAST_AIM * capacity_per_s, room))

    @classmethod
    def must_close(cls, feed: Feed | None) -> bool:
        """Say whether a gate that is open has to close: more log in than the server is to have."""
        return feed is not None and feed.logins_per_s > cls.aim_per_s(feed.capacity_per_s)

    def feed(self, feed: Feed | None, tick: float, now: float) -> Course:
        """Take what the server says, or that it says nothing; the gate is at `tick`."""
        self._fed_s = now if self._fed_s is None or feed is not None else self._fed_s
        if feed is None:
            if now - self._fed_s >= STALE_S:
                self._change(self.ticks_per_s / 2, now)
            return Course.TICK
        if not feed.is_healthy:
            self._slow_down(0.5, now)
            return Course.HOLD
        if tick >= self._last_tick:
            return self._at_the_end(feed, now)
        return self._follow(feed, now)

    def _follow(self, feed: Feed, now: float) -> Course:
        aim = self.aim_per_s(feed.capacity_per_s)
        if feed.logins_per_s <= aim:
            self._over = None
            self._speed_up(feed, aim, now)
            return Course.TICK
        since_s, pace_then = self._over = self._over or (now, self.ticks_per_s)
        is_spent = self.ticks_per_s <= pace_then * SPENT_SHARE or self.ticks_per_s <= LEAST_TICKS_PER_S
        if is_spent and feed.logins_per_s > feed.capacity_per_s:
            return Course.REDRAW  # it is not the ticks: too many come whose turn is past
        if now - self._changed_s >= SETTLE_S or feed.logins_per_s > TOLERATED * feed.capacity_per_s:
            lasts = now - since_s > 2 * SETTLE_S
            self._slow_down(min(aim / feed.logins_per_s, HARD_SHARE if lasts else 1.0), now)
        return Course.TICK

    def _speed_up(self, feed: Feed, aim: float, now: float) -> None:
        is_near = self._is_searching and feed.logins_per_s >= aim / 5
        if now - self._changed_s < (SETTLE_NEAR_S if is_near else SETTLE_S):
            return
        if self._is_searching and feed.logins_per_s < aim / 2:
            self._change(self.ticks_per_s * (2 if feed.logins_per_s < aim / 5 else 1.4), now)
        elif self._is_searching:
            self._is_searching = False
            self._change(self.ticks_per_s, now)
        else:
            short = 1 - feed.logins_per_s / aim
            self._change(self.ticks_per_s * (1 + (min(STEP_SHARE, short) if short < 0.5 else LEAP_SHARE)), now)

    def _at_the_end(self, feed: Feed, now: float) -> Course:
        if feed.logins_per_s > self.aim_per_s(feed.capacity_per_s):
            self._calm_since_s = None
            return Course.REDRAW
        self._calm_since_s = now if self._calm_since_s is None else self._calm_since_s
        return Course.OPEN if now - self._calm_since_s >= CALM_S else Course.TICK

    def _slow_down(self, share: float, now: float) -> None:
        self._is_searching = False
        self._change(self.ticks_per_s * share, now)

    def _change(self, ticks_per_s: float, now: float) -> None:
        self.ticks_per_s = max(LEAST_TICKS_PER_S, min(self._most_ticks_per_s, ticks_per_s))
        self._changed_s = now
