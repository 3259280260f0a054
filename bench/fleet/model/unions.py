"""From one block to a whole image behind bursty loss.

A burst takes neighbours on the wire, which belong to different blocks: blocks suffer together, so that an image is
late less often than independent blocks would make it. The chance that any block is late is sampled exactly enough at
any depth by conditional sampling (Owen, Maximov and Chertkov, "Importance sampling the union of rare events with an
application to power systems analysis", 2019): given that one block is late, which is drawn exactly from the dynamic
programme backwards, how many blocks are? With P(A) the chance of one of Z blocks, P(any) = Z P(A) E[1/number late].
The error is that of a mean of numbers between 1/Z and 1, however rare the event.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.chains import LossChain, most_lost

__all__ = ["Dependence", "dependence"]

FloatArray = NDArray[np.float64]
BLOCK_SYMBOLS = 400
"""Blocks as large as this show how the dependence goes with the depth; larger ones show the same, for more work."""
PATHS = 600
DEPTHS = (0.97, 0.9, 0.75, 0.55, 0.4, 0.25, 0.15, 0.08, 0.03, 0.01, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13)


class Dependence:
    """Turns the chance that an image of independent blocks is late into that of the real, dependent ones.

    It does so by how many independent blocks the real ones are worth at that depth: log(1 - chance) is scaled.
    """

    def __init__(self, independent: FloatArray, joint: FloatArray) -> None:
        self._depth = _depth(independent)[::-1]
        self._shift = (_depth(joint) - _depth(independent))[::-1]

    def __call__(self, late: FloatArray) -> FloatArray:
        """Return the chance that the image is late."""
        if not len(self._depth):
            return late
        depth = _depth(np.maximum(late, 1e-300))
        shifted = -np.expm1(-np.exp(depth + np.interp(depth, self._depth, self._shift)))
        # Where a block is late for certain, so is the image: no dependence makes it less.
        return np.where(late >= 1, 1.0, np.where(late > 0, shifted, 0.0))


def _depth(late: FloatArray) -> FloatArray:
    """Return log(-log(1 - chance)), which an independent block adds to."""
    found: FloatArray = np.log(-np.log1p(-np.minimum(late, 1 - 1e-15)))
    return found


@lru_cache(maxsize=64)
def dependence(step: LossChain, blocks: int, repair_ratio: float) -> Dependence:
    """Measure how blocks depend, whose symbols take turns on a chain that makes `step` from slot to slot."""
    if blocks == 1 or step.is_memoryless:
        return Dependence(np.empty(0), np.empty(0))
    block_chain = step.seen_every(np.array([blocks]))
    needed = BLOCK_SYMBOLS
    symbols = min(2 * needed, needed + max(8, int(needed * repair_ratio)))
    most = most_lost(block_chain, 1, symbols)
    tables = _forward(block_chain, symbols, most)
    totals = tables.sum(axis=1)
    late = np.array([totals[n, max(0, n - needed + 1) :].sum() for n in range(needed, symbols + 1)])
    whole = -np.expm1(blocks * np.log1p(-np.minimum(late, 1 - 1e-16)))
    depths = _depth(np.maximum(whole, 1e-300))
    chosen = sorted({int(np.abs(depths - _depth(np.array(each))).argmin()) for each in DEPTHS})
    joint = []
    for index in chosen:
        rng = np.random.default_rng([blocks, index])
        counts = _late_blocks(step, block_chain, tables, needed + index, needed, blocks, rng)
        joint.append(min(1.0, blocks * late[index] * float(np.mean(1 / counts))))
    return Dependence(whole[chosen], np.array(joint))


def _forward(chain: LossChain, symbols: int, most: int) -> FloatArray:
    """Return the chance of (state, losses so far) before each symbol, shape (symbols + 1, 2, most + 2)."""
    loss = np.array([1 - chain.k, 1 - chain.h])[:, None]
    tables = np.zeros((symbols + 1, 2, most + 2))
    tables[0, :, 0] = [1 - chain.bad_share, chain.bad_share]
    for index in range(symbols):
        lost = tables[index] * loss
        kept = tables[index] - lost
        kept[:, 1:] += lost[:, :-1]
        kept[:, -1] += lost[:, -1]
        tables[index + 1] = chain.transitions.T @ kept
    return tables


def _late_blocks(
    step: LossChain,
    block_chain: LossChain,
    tables: FloatArray,
    symbols: int,
    needed: int,
    blocks: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw links on which a block is late after `symbols` of its symbols; return how many blocks are, of each."""
    paths = PATHS * 64 // max(64, blocks)
    allowed = symbols - needed
    states = _backwards(block_chain, tables, symbols, allowed, paths, rng)
    late = np.ones(paths, dtype=np.int64)
    powers = [np.linalg.matrix_power(step.transitions, gap) for gap in range(blocks + 1)]
    at, end = states[:, :-1], states[:, 1:]
    for offset in range(1, blocks):
        # The state between two known ones: towards bad, as far as the known end is likely from there.
        onward = powers[blocks - offset]
        to_bad = step.transitions[at, 1] * onward[1, end]
        to_good = step.transitions[at, 0] * onward[0, end]
        at = (rng.random(at.shape) * (to_bad + to_good) < to_bad).astype(np.int64)
        passes = np.where(at == 1, step.h, step.k)
        lost = at == 1 if (step.h, step.k) == (0.0, 1.0) else rng.random(at.shape) >= passes
        late += lost.sum(axis=1) > allowed
    return late


def _backwards(
    chain: LossChain, tables: FloatArray, symbols: int, allowed: int, paths: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the states at a late block's symbols (paths, symbols + 1), from the last one back to the first."""
    weights = tables[symbols][:, allowed + 1 :]
    drawn = rng.choice(weights.size, size=paths, p=weights.ravel() / weights.sum())
    state, losses = np.divmod(drawn, weights.shape[1])
    losses += allowed + 1
    found = np.empty((paths, symbols + 1), dtype=np.int64)
    found[:, symbols] = state
    loss = np.array([1 - chain.k, 1 - chain.h])
    last = tables.shape[2] - 1
    for index in range(symbols - 1, -1, -1):
        before = tables[index]
        chances = []
        for earlier in (0, 1):
            onward = chain.transitions[earlier, state]
            chances.append(before[earlier, losses] * (1 - loss[earlier]) * onward * (losses < last))
            chances.append(np.where(losses > 0, before[earlier, losses - 1], 0.0) * loss[earlier] * onward)
        cumulative = np.cumsum(chances, axis=0)
        choice = (rng.random(paths) * cumulative[-1] >= cumulative[:3]).sum(axis=0)
        state, losses = choice // 2, losses - choice % 2
        found[:, index] = state
    return found
