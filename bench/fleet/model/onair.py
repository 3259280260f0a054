"""The carousel's own time: it stands still while the head-end is silent, and runs slower while one of a pair is gone.

A carousel goes on where it stood, so a box that waits through a silence has lost nothing but the time. Whatever is
computed of an undisturbed carousel holds in its own time, and is mapped back.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.fleet.scenario.values import Silence

__all__ = ["OnAirClock"]

FloatArray = NDArray[np.float64]
FAR_S = 1e9


class OnAirClock:
    """Maps the scenario's time to the carousel's, and back; both begin at 0."""

    def __init__(self, silences: Sequence[Silence]) -> None:
        """Take silences in any order; where two overlap, the carousel has what both leave of it."""
        borders = {0.0, FAR_S, *(each.at_s for each in silences), *(each.at_s + each.for_s for each in silences)}
        self._wall_s = np.array(sorted(borders))
        begin_s = self._wall_s[:-1]
        self._share = np.ones(len(begin_s))
        for each in silences:
            self._share[(begin_s >= each.at_s) & (begin_s < each.at_s + each.for_s)] *= each.rate_share
        self._air_s = np.append(0.0, np.cumsum(self._share * np.diff(self._wall_s)))

    @property
    def is_steady(self) -> bool:
        """Whether the carousel is never silent."""
        return bool((self._share == 1).all())

    def on_air_s(self, times_s: FloatArray) -> FloatArray:
        """Return how long the carousel has turned by these times of the scenario."""
        found: FloatArray = np.interp(times_s, self._wall_s, self._air_s)
        return found

    def times_s(self, on_air_s: FloatArray) -> FloatArray:
        """Return when the carousel has turned so long; at the end of a silence, what was due during it."""
        part = np.clip(np.searchsorted(self._air_s, on_air_s, side="right") - 1, 0, len(self._share) - 1)
        share = np.where(self._share[part] > 0, self._share[part], 1.0)
        found: FloatArray = self._wall_s[part] + (on_air_s - self._air_s[part]) / share
        return found
