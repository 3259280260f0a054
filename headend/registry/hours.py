"""Rates by the time of day: at which hours a carousel has another rate, and the most that several come to. Pure."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from carousel.errors import OperatorError

__all__ = ["DAY_S", "Hours", "RateBps", "check_hours", "extremes_bps", "most_bps", "rate_at"]

DAY_S = 86_400
MAX_HOURS = 24
MAX_RATE_BPS = 1e12
RateBps = Annotated[float, msgspec.Meta(ge=1e3, le=MAX_RATE_BPS, description="bit/s of UDP payload")]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM, local time")]


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rate from one time of day until another, local time; past midnight where the end is before the beginning."""

    begin: TimeOfDay
    end: TimeOfDay
    rate_bps: RateBps

    @property
    def seconds(self) -> tuple[int, int]:
        """Begin and end in seconds after midnight."""
        return _seconds(self.begin), _seconds(self.end)

    def has(self, day_s: float) -> bool:
        """Say whether a time of day, in seconds after midnight, is in it."""
        begin_s, end_s = self.seconds
        return begin_s <= day_s < end_s if begin_s < end_s else day_s >= begin_s or day_s < end_s


def _seconds(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 3600 + int(minute) * 60


Plan = tuple[float, Sequence[Hours]]
"""The rate of a carousel, and its hours with another one."""


def rate_at(plan: Plan, day_s: float) -> float:
    """Return the rate at a time of day."""
    rate_bps, hours = plan
    return next((each.rate_bps for each in hours if each.has(day_s)), rate_bps)


def _turns(plans: Iterable[Plan]) -> list[int]:
    """Return all times of day at which a rate may change, midnight among them."""
    return sorted({0} | {second for _, hours in plans for each in hours for second in each.seconds})


def most_bps(plans: Sequence[Plan]) -> float:
    """Return the most that carousels come to together at any time of the day."""
    return max(sum(rate_at(plan, turn) for plan in plans) for turn in _turns(plans))


def extremes_bps(plan: Plan) -> tuple[float, float]:
    """Return the lowest and the highest rate of a day."""
    rates = [rate_at(plan, turn) for turn in _turns([plan])]
    return min(rates), max(rates)


def check_hours(hours: Sequence[Hours]) -> None:
    """`OperatorError` where hours are empty, or lie over each other."""
    if len(hours) > MAX_HOURS:
        raise OperatorError(f"{len(hours)} times of day with a rate of their own; {MAX_HOURS} are the most")
    for number, each in enumerate(hours):
        if each.begin == each.end:
            raise OperatorError(f"{each.begin} to {each.end} is no time of day: give the carousel that rate itself")
        for other in hours[:number]:
            if other.has(each.seconds[0]) or each.has(other.seconds[0]):
                raise OperatorError(
                    f"{each.begin} to {each.end} lies over {other.begin} to {other.end}: one rate at a time"
                )
