"""Times of boxes, counted in bins: memory does not hang on how many boxes there are.

The bins are logarithmic, 16,384 of them from 1 ms to 10 million seconds: each is 0.14 % wide. A quantile is
interpolated within its bin, up to 1 - 1/N.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carousel.release.blocks import IntArray

__all__ = ["BINS", "EDGES_S", "MIDDLES_S", "Histogram", "bins_of"]

BINS = 16_384
EDGES_S: NDArray[np.float64] = np.geomspace(1e-3, 1e7, BINS + 1)
MIDDLES_S: NDArray[np.float64] = (EDGES_S[:-1] + EDGES_S[1:]) / 2


def bins_of(times_s: NDArray[np.float64]) -> IntArray:
    """Return the bin of each time; what is beyond either end goes to the last bin there."""
    return np.clip(np.searchsorted(EDGES_S, times_s, side="right") - 1, 0, BINS - 1)


@dataclass
class Histogram:
    """How many boxes took how long; `unfinished` never got there while somebody looked.

    Percentiles of which a smaller share than `shown` is later are refused: nobody knows them. Times below `least_s` are
    not told apart, and are said to be that.
    """

    counts: IntArray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    unfinished: int = 0
    shown: float = 0.0
    least_s: float = 0.0

    @classmethod
    def of_times(cls, times_s: NDArray[np.float64], unfinished: int = 0) -> "Histogram":
        """Count single times."""
        return cls(np.bincount(bins_of(times_s), minlength=BINS), unfinished)

    @classmethod
    def of_counts(cls, times_s: NDArray[np.float64], counts: IntArray, boxes: int) -> "Histogram":
        """Count `counts` boxes at these times; the others, of `boxes`, never got there."""
        return cls(np.bincount(bins_of(times_s), counts, BINS).astype(np.int64), boxes - int(counts.sum()))

    @property
    def finished(self) -> int:
        """Boxes that got there."""
        return int(self.counts.sum())

    @property
    def total(self) -> int:
        """All boxes."""
        return self.finished + self.unfinished

    def add(self, other: "Histogram") -> None:
        """Take in another one's counts."""
        self.counts = self.counts + other.counts
        self.unfinished += other.unfinished
        self.shown = max(self.shown, other.shown)
        self.least_s = max(self.least_s, other.least_s)

    def quantile(self, share: float) -> float | None:
        """Return the time within which `share` of all boxes got there; None if fewer did."""
        rank = max(1, int(np.ceil(share * self.total - 1e-9 * self.total**0.5)))
        if self.total == 0 or rank > self.finished or 1 - share < self.shown - 1e-15:
            return None
        reached = np.cumsum(self.counts)
        index = int(np.searchsorted(reached, rank))
        before = int(reached[index - 1]) if index else 0
        within = (rank - before) / int(self.counts[index])
        return max(self.least_s, float(EDGES_S[index] + within * (EDGES_S[index + 1] - EDGES_S[index])))

    @property
    def slowest_s(self) -> float | None:
        """The upper end of the last bin that holds a box."""
        found = np.flatnonzero(self.counts)
        return float(EDGES_S[found[-1] + 1]) if len(found) else None

    @property
    def mean_s(self) -> float | None:
        """The mean of those that got there, by the middles of the bins."""
        return float(self.counts @ MIDDLES_S / self.finished) if self.finished else None
