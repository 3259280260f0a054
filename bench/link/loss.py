"""Loss models. Each draws a fixed number of random numbers for each packet offered, in packet order, so that one seed
gives the same losses however the packets come in batches. Semantics and parameter names as netem's.
"""

from typing import Protocol

import numpy as np

from bench.link.traffic import BoolMatrix, FloatMatrix

__all__ = ["Bernoulli", "FourState", "GilbertElliott", "LossModel", "LossTrace"]


class LossModel(Protocol):
    """Says of each packet on each link whether it is lost."""

    def lost(self, count: int) -> BoolMatrix:
        """Judge the next `count` packets; shape (count, links)."""

    @property
    def mean(self) -> float:
        """The share that is lost in the long run."""


class Bernoulli:
    """Each packet by itself, with probability p."""

    def __init__(self, p: float, links: int, rng: np.random.Generator) -> None:
        self.mean = p
        self._links = links
        self._rng = rng

    def lost(self, count: int) -> BoolMatrix:
        """Judge the next packets."""
        drawn: BoolMatrix = self._rng.random((count, self._links)) < self.mean
        return drawn


class GilbertElliott:
    """Two states: good loses 1-k, bad loses 1-h; p leads from good to bad, r back.

    The loss is judged in the state before the transition. Mean loss [r(1-k) + p(1-h)] / (p + r).
    """

    def __init__(self, p: float, r: float, h: float, k: float, links: int, rng: np.random.Generator) -> None:
        self.p, self.r, self.h, self.k = p, r, h, k
        self.mean = (r * (1 - k) + p * (1 - h)) / (p + r) if p + r else 1 - k
        self._rng = rng
        self._is_simple = h == 0 and k == 1
        # Begin where the chain would be found after a long time, not always in a good state.
        self._bad: BoolMatrix = rng.random(links) < (p / (p + r) if p + r else 0.0)

    @classmethod
    def of_bursts(cls, loss: float, burst: float, links: int, rng: np.random.Generator) -> "GilbertElliott":
        """Return the chain of a mean loss and a mean burst length: r = 1/b, p = L / (b (1 - L))."""
        return cls(loss / (burst * (1 - loss)), 1 / burst, 0.0, 1.0, links, rng)

    def lost(self, count: int) -> BoolMatrix:
        """Judge the next packets."""
        links = len(self._bad)
        draws = self._rng.random((count, links, 1 if self._is_simple else 2))
        bad = self._states(draws[:, :, 0])
        if self._is_simple:
            return bad
        loses: BoolMatrix = draws[:, :, 1] < np.where(bad, 1 - self.h, 1 - self.k)
        return loses

    def _states(self, u: FloatMatrix) -> BoolMatrix:
        """Return the state in which each packet is judged, and keep the one after the last.

        Good turns bad where u < p, bad turns good where u >= 1 - r; so a draw sends either state to bad, to good, to
        the other one, or leaves it. What holds is the last draw that sends both to one, and the turns since.
        """
        to_bad, to_good = u < self.p, u >= 1 - self.r
        turns = to_bad & to_good
        sets = to_bad ^ to_good
        index = np.where(sets, np.arange(1, len(u) + 1)[:, None], 0)
        last = np.maximum.accumulate(index, axis=0)
        begin = np.vstack([self._bad[None], to_bad])
        parity = np.vstack([np.zeros((1, u.shape[1]), np.int64), np.cumsum(turns, axis=0)])
        columns = np.arange(u.shape[1])
        turned = (parity[1:] - parity[last, columns]) % 2 == 1
        after = begin[last, columns] ^ turned
        before = np.vstack([self._bad[None], after[:-1]])
        self._bad = after[-1]
        return before


class FourState:
    """netem's 4-state chain: 1 good, 2 good within a burst, 3 lost within a burst, 4 lost alone.

    A packet is lost when the state that it leads to is 3 or 4. `pXY` is the chance from state X to Y; 4 leads to 1.
    """

    def __init__(
        self, p13: float, p31: float, p32: float, p23: float, p14: float, links: int, rng: np.random.Generator
    ) -> None:
        transitions = np.zeros((4, 4))
        transitions[0] = [1 - p13 - p14, 0, p13, p14]
        transitions[1] = [0, 1 - p23, p23, 0]
        transitions[2] = [p31, p32, 1 - p31 - p32, 0]
        transitions[3] = [1, 0, 0, 0]
        self._cumulative = np.cumsum(transitions, axis=1)
        self._rng = rng
        self._state = np.zeros(links, dtype=np.int64)
        self.mean = _stationary(transitions)[2:].sum()

    def lost(self, count: int) -> BoolMatrix:
        """Judge the next packets."""
        draws = self._rng.random((count, len(self._state)))
        states = np.empty(draws.shape, dtype=np.int64)
        for index in range(count):
            reached = draws[index][:, None] >= self._cumulative[self._state][:, :3]
            self._state = reached.sum(axis=1)
            states[index] = self._state
        lost: BoolMatrix = states >= 2
        return lost


def _stationary(transitions: FloatMatrix) -> FloatMatrix:
    """Return the distribution over states that the chain settles to."""
    size = len(transitions)
    system = np.vstack([transitions.T - np.eye(size), np.ones(size)])
    found: FloatMatrix = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0]
    return found


class LossTrace:
    """Runs read from a trace: so many packets pass, so many are lost, and again; from the begin at its end.

    Links of one class stand at different places of it.
    """

    def __init__(self, runs: list[tuple[int, int]], links: int, rng: np.random.Generator) -> None:
        pattern = [flag for passed, lost in runs for flag in [False] * passed + [True] * lost]
        self._pattern = np.array(pattern, dtype=np.bool_)
        self.mean = float(self._pattern.mean())
        self._at = rng.integers(len(pattern), size=links) if links > 1 else np.zeros(1, dtype=np.int64)

    def lost(self, count: int) -> BoolMatrix:
        """Judge the next packets."""
        places = (self._at[None, :] + np.arange(count)[:, None]) % len(self._pattern)
        self._at = (self._at + count) % len(self._pattern)
        judged: BoolMatrix = self._pattern[places]
        return judged
