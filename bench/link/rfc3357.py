"""Loss patterns as RFC 3357 counts them: how far apart losses are, and how many come in a row."""

from typing import Any

import numpy as np

from bench.link.traffic import BoolMatrix

__all__ = ["LONGEST", "LossPatterns"]

LONGEST = 64
"""Distances and periods from here on share the last bin."""


class LossPatterns:
    """Streaming histograms for some links; memory does not grow with the packets."""

    def __init__(self, links: int) -> None:
        self.distance = np.zeros((links, LONGEST + 1), dtype=np.int64)
        """[link, d]: losses d packets behind the loss before."""
        self.period = np.zeros((links, LONGEST + 1), dtype=np.int64)
        """[link, n]: runs of n losses that have ended."""
        self._seen = 0
        self._last = np.full(links, -1, dtype=np.int64)
        self._run = np.zeros(links, dtype=np.int64)

    def see(self, lost: BoolMatrix) -> None:
        """Take the verdicts (n, links) of the next packets."""
        links, places = np.nonzero(lost.T)
        if len(links):
            self._take(links, places + self._seen)
        self._seen += len(lost)

    def _take(self, links: np.ndarray, places: np.ndarray) -> None:
        """Take losses in order of link and place: distances at once, periods at each distance above one."""
        first = np.flatnonzero(np.diff(links, prepend=-1))
        before = np.concatenate([[0], places[:-1]])
        before[first] = self._last[links[first]]
        known = before >= 0
        distances = np.minimum(places - before, LONGEST)
        np.add.at(self.distance, (links[known], distances[known]), 1)
        starts = ~known | (places - before > 1)
        run_ids = np.cumsum(starts) - 1
        for link in np.unique(links).tolist():
            mine = links == link
            self._end_runs(link, run_ids[mine], bool(starts[mine][0]))
        last = np.append(first[1:], len(links)) - 1
        self._last[links[last]] = places[last]

    def _end_runs(self, link: int, run_ids: np.ndarray, is_new: bool) -> None:
        lengths = np.unique(run_ids, return_counts=True)[1]
        if is_new:
            if self._run[link]:
                self.period[link, min(self._run[link], LONGEST)] += 1
        else:
            lengths[0] += self._run[link]
        np.add.at(self.period[link], np.minimum(lengths[:-1], LONGEST), 1)
        self._run[link] = lengths[-1]

    def report(self, link: int) -> dict[str, Any]:
        """Return one link's histograms, the run under way included, without empty bins."""
        period = self.period[link].copy()
        if self._run[link]:
            period[min(self._run[link], LONGEST)] += 1
        return {
            "loss_distance": {str(at): int(self.distance[link, at]) for at in np.flatnonzero(self.distance[link])},
            "loss_period": {str(at): int(period[at]) for at in np.flatnonzero(period)},
        }
