"""How many of some symbols a link loses: exact distributions, for independent loss and for Gilbert-Elliott chains.

A source block's symbols are on air one every so many packets. Seen only at those, a Gilbert-Elliott chain is again one
of two states; its memory fades by the mean of (1-p-r)^gap. A symbol that was on air c times is missing if it was lost
each time: c chains side by side, of which only the number in the bad state matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.link.spec import LinkSpec
from carousel.errors import OperatorError

__all__ = ["LossChain", "binomial", "binomial_beyond", "chain_of_link", "lost_of", "lost_step_by_step"]

FloatArray = NDArray[np.float64]
NEGLIGIBLE = 1e-18
SNAPSHOTS = 512


@dataclass(frozen=True)
class LossChain:
    """A Gilbert-Elliott chain by netem's letters: p good to bad, r back; the bad state passes h, the good one k.

    Independent loss is the chain that never turns bad and passes k.
    """

    p: float
    r: float
    h: float
    k: float

    @property
    def is_memoryless(self) -> bool:
        """Whether each packet is lost or not regardless of the others."""
        return self.p == 0 or self.h == self.k or abs(self.memory) < 1e-9

    @property
    def memory(self) -> float:
        """The correlation of the states at two packets one behind the other."""
        return 1 - self.p - self.r

    @property
    def bad_share(self) -> float:
        """The share of packets that meet the bad state."""
        return self.p / (self.p + self.r) if self.p else 0.0

    @property
    def mean(self) -> float:
        """The share of packets lost."""
        return self.bad_share * (1 - self.h) + (1 - self.bad_share) * (1 - self.k)

    def seen_every(self, gaps: NDArray[np.int64]) -> "LossChain":
        """Return the chain as packets meet it that are `gaps` packets apart."""
        if self.is_memoryless:
            return LossChain(0.0, 1.0, 0.0, 1 - self.mean)
        memory = float(f"{np.mean(np.power(self.memory, gaps)):.3g}")  # so that like orders share tables
        p = self.bad_share * (1 - memory)
        return LossChain(p, 1 - memory - p, self.h, self.k)

    @cached_property
    def transitions(self) -> FloatArray:
        """The chances from good (row 0) and bad to good and bad."""
        return np.array([[1 - self.p, self.p], [self.r, 1 - self.r]])

    def side_by_side(self, copies: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (begin, transitions, loss) of so many chains, by how many are bad; all must lose for a loss."""
        states = np.arange(copies + 1)
        begin = binomial(states, copies, self.bad_share)
        stay = [binomial(states, bad, 1 - self.r) for bad in range(copies + 1)]
        turn = [binomial(states, copies - bad, self.p) for bad in range(copies + 1)]
        transitions = np.array([np.convolve(s, t)[: copies + 1] for s, t in zip(stay, turn, strict=True)])
        return begin, transitions, (1 - self.h) ** states * (1 - self.k) ** (copies - states)


def binomial(successes: NDArray[np.int64], tries: int, chance: float) -> FloatArray:
    """Return the chance of each number of successes."""
    if chance <= 0 or chance >= 1:
        certain: FloatArray = (successes == (tries if chance >= 1 else 0)).astype(np.float64)
        return certain
    ways = special.gammaln(tries + 1) - special.gammaln(successes + 1.0) - special.gammaln(tries - successes + 1.0)
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.exp(ways + successes * np.log(chance) + (tries - successes) * np.log1p(-chance))
    return np.where(successes <= tries, found, 0.0)


def binomial_beyond(successes: NDArray[np.int64], tries: NDArray[np.int64], chance: float) -> FloatArray:
    """Return the chance of more successes than these, small ones to the last digit."""
    some = np.maximum(successes, 0)
    beyond = special.betainc(some + 1.0, np.maximum(tries - some, 1), chance)
    return np.where(successes < 0, 1.0, np.where(some >= tries, 0.0, beyond))


def chain_of_link(link: LinkSpec, who: str) -> LossChain:
    """Return what a link loses, corrupted packets included; `OperatorError` for what has no exact distribution here."""
    unfit = {
        "outages": link.outages,
        "4-state loss": link.four_state,
        "a loss trace": link.loss_trace,
        "a rate trace": link.rate_trace_ms,
    }
    for what, given in unfit.items():
        if given:
            raise OperatorError(f"{who}: the sampled fidelity has no distribution for {what}; use --fidelity packet")
    whole = 1 - link.corrupt
    if link.ge is not None:
        p, r, h, k = link.ge
        return LossChain(p, r, h * whole, k * whole)
    if link.burst is not None:
        return LossChain(link.loss / (link.burst * (1 - link.loss)), 1 / link.burst, 0.0, whole)
    return LossChain(0.0, 1.0, 0.0, (1 - link.loss) * whole)


def most_lost(chain: LossChain, copies: int, symbols: int) -> int:
    """Return a number of losses that is passed with less than `NEGLIGIBLE` probability, or nearly so."""
    mean = chain.mean**copies
    spread = (1 + abs(chain.memory)) / max(1e-9, 1 - abs(chain.memory)) if not chain.is_memoryless else 1.0
    sigma = (symbols * mean * (1 - mean) * spread) ** 0.5
    return min(symbols, int(symbols * mean + 11 * sigma + 40 * spread + 20))


def lost_step_by_step(chain: LossChain, copies: int, symbols: int, most: int) -> Iterator[FloatArray]:
    """Yield the distribution of how many symbols were lost each of `copies` times, of 0, 1, ..., `symbols` symbols.

    Shape (most + 2,); the last entry is all that passes `most`. The loss is judged in the state before the transition.
    """
    begin, transitions, loss = chain.side_by_side(copies)
    states = np.zeros((copies + 1, most + 2))
    states[:, 0] = begin
    turned = np.ascontiguousarray(transitions.T)
    yield states.sum(axis=0)
    for _ in range(symbols):
        lost = states * loss[:, None]
        kept = states - lost
        kept[:, 1:] += lost[:, :-1]
        kept[:, -1] += lost[:, -1]
        states = turned @ kept
        yield states.sum(axis=0)


@lru_cache(maxsize=64)
def _snapshots(chain: LossChain, copies: int, symbols: int) -> tuple[int, list[FloatArray]]:
    stride = max(1, symbols // SNAPSHOTS)
    steps = lost_step_by_step(chain, copies, symbols, most_lost(chain, copies, symbols))
    return stride, [found for number, found in enumerate(steps) if number % stride == 0]


def lost_of(chain: LossChain, copies: int, symbols: int, of_most: int) -> FloatArray:
    """Return the distribution of how many of `symbols` symbols were lost each of `copies` times.

    A chain with memory is looked up among snapshots of up to `of_most` symbols, at most 0.2 % of those away.
    """
    if copies == 0:
        nothing: FloatArray = np.eye(1, symbols + 1, symbols)[0]
        return nothing
    if chain.is_memoryless:
        most = most_lost(chain, copies, symbols)
        return binomial(np.arange(most + 1), symbols, chain.mean**copies)
    stride, snapshots = _snapshots(chain, copies, of_most)
    snapshot: FloatArray = snapshots[min(len(snapshots) - 1, round(symbols / stride))]
    return snapshot
