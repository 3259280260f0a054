"""How several releases share one carousel's rate: who gets how much, and whose turn it is.

Theory. A box that wants release i waits for one image's worth of it, l_i / b_i, if b_i is its share of the rate (a
fountain: any window of that length will do). With p_i the part of boxes that want it, the mean wait is the sum of
p_i l_i / b_i, and is least where b_i is proportional to sqrt(p_i l_i) (Cauchy and Schwarz; the square-root rule of
broadcast disks). A deadline d_i asks for at least l_i / d_i; who would get less gets just that, and the others share
what is left by the same rule.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from carousel.errors import OperatorError

__all__ = ["Demand", "Turns", "shares"]

HOT = 4.0
HALF_LIFE_S = 600.0


@dataclass(frozen=True)
class Demand:
    """How much a release is wanted: `weight` beside the others', and within `deadline_s` if that is given.

    `aired_s` is since when it is on the air: a new release is wanted four times as much, until most boxes have it.
    """

    weight: float = 1.0
    deadline_s: float | None = None
    aired_s: float = -math.inf

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf or (self.deadline_s is not None and not self.deadline_s > 0):
            raise ValueError(f"an impossible demand: {self}")

    def popularity(self, now: float) -> float:
        """Return p at `now`, up to a common factor."""
        age_s = max(0.0, now - self.aired_s)
        return self.weight * (1 + (HOT - 1) * math.exp2(-age_s / HALF_LIFE_S))


def shares(demands: Sequence[Demand], lengths_bytes: Sequence[int], rate_bps: float, now: float) -> list[float]:
    """Return each release's share of the rate; they sum to 1.

    `lengths_bytes` is what one image's worth of each takes on the wire. `OperatorError` where the deadlines ask for
    more than the rate.
    """
    floors = [
        length * 8 / (rate_bps * demand.deadline_s) if demand.deadline_s else 0.0
        for demand, length in zip(demands, lengths_bytes, strict=True)
    ]
    if sum(floors) > 1:
        needed_bps = sum(floors) * rate_bps
        raise OperatorError(
            f"the deadlines of these releases ask for {needed_bps / 1e6:.3g} Mb/s, and the carousel has "
            f"{rate_bps / 1e6:.3g}: allow later ones, or a higher rate"
        )
    wanted = [math.sqrt(each.popularity(now) * size) for each, size in zip(demands, lengths_bytes, strict=True)]
    at_floor: set[int] = set()
    while True:
        free = [index for index in range(len(demands)) if index not in at_floor]
        left = 1 - sum(floors[index] for index in at_floor)
        whole = sum(wanted[index] for index in free)
        low = {index for index in free if wanted[index] * left < floors[index] * whole}
        if not low:
            break
        at_floor |= low
    return [floors[i] if i in at_floor else left * wanted[i] / whole for i in range(len(demands))]


Name = TypeVar("Name", bound=Hashable)


class Turns(Generic[Name]):
    """Whose turn it is, by stride: who has had least for its share. A newcomer begins level with who is next."""

    def __init__(self) -> None:
        self._shares: dict[Name, float] = {}
        self._passed: dict[Name, float] = {}

    def set_shares(self, shares_by_name: dict[Name, float]) -> None:
        """Go on with these; who stays keeps its place in the queue, and nobody carries over more than its lead."""
        level = min(self._passed.values(), default=0.0)
        self._passed = {
            name: (self._passed.get(name, level) - level) * self._shares.get(name, share) / share
            for name, share in shares_by_name.items()
        }
        self._shares = dict(shares_by_name)

    def next(self) -> Name:
        """Return who is next."""
        return min(self._passed, key=self._passed.__getitem__)

    def sent(self, name: Name, size_bytes: int) -> None:
        """Count what somebody's turn took."""
        self._passed[name] += size_bytes / self._shares[name]
