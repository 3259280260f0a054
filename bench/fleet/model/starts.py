"""When boxes power up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.fleet.scenario.values import Group, Region, Spread, SpreadKind

__all__ = ["Cohorts", "cohorts_of", "draw_starts", "share_up_by"]

FloatArray = NDArray[np.float64]
SIGMAS = 3.0
MEANS_COVERED = 20.0


def _span_s(spread: Spread) -> float:
    """Return within what time all but very few boxes power up."""
    return spread.over_s * (MEANS_COVERED if spread.kind is SpreadKind.EXPONENTIAL else 1.0)


def _cumulative(spread: Spread, shares: FloatArray) -> FloatArray:
    """Return the chance to be up by these shares of the span."""
    if spread.kind is SpreadKind.EXPONENTIAL:
        return np.asarray(-np.expm1(-shares * MEANS_COVERED))
    if spread.kind is SpreadKind.NORMAL:
        return np.asarray(special.ndtr((2 * shares - 1) * SIGMAS))
    return shares


def share_up_by(region: Region, times_s: FloatArray) -> FloatArray:
    """Return the share of a region's boxes that have powered up by these times of the scenario."""
    since_s = times_s - region.power_at_s
    if region.spread.kind is SpreadKind.AT_ONCE:
        return (since_s >= 0).astype(np.float64)
    shares = np.clip(since_s / _span_s(region.spread), 0.0, 1.0)
    ends = _cumulative(region.spread, np.array([0.0, 1.0]))
    found: FloatArray = (_cumulative(region.spread, shares) - ends[0]) / (ends[1] - ends[0])
    return found


def draw_starts(group: Group, boxes: int, rng: np.random.Generator) -> FloatArray:
    """Draw single boxes' power-on times in the scenario's time, in seconds."""
    spread, u = group.region.spread, rng.random(boxes)
    if spread.kind is SpreadKind.AT_ONCE:
        offsets = np.zeros(boxes)
    elif spread.kind is SpreadKind.UNIFORM:
        offsets = u * spread.over_s
    elif spread.kind is SpreadKind.NORMAL:
        offsets = np.clip(0.5 + special.ndtri(u) / (2 * SIGMAS), 0.0, 1.0) * spread.over_s
    else:
        offsets = np.minimum(-np.log1p(-u), MEANS_COVERED) * spread.over_s
    return group.region.power_at_s + offsets


@dataclass(frozen=True)
class Cohorts:
    """Boxes that power up in the same small part of a spread: `starts_s` (n,), its middle, and `counts` (n,)."""

    starts_s: FloatArray
    counts: NDArray[np.int64]


def cohorts_of(group: Group, most: int, rng: np.random.Generator) -> Cohorts:
    """Draw how many boxes of a group fall into each of up to `most` equal parts of its spread."""
    spread, at_s = group.region.spread, group.region.power_at_s
    if spread.kind is SpreadKind.AT_ONCE:
        return Cohorts(np.array([at_s]), np.array([group.boxes]))
    bounds = np.linspace(0, 1, most + 1)
    chances = np.diff(_cumulative(spread, bounds))
    counts = rng.multinomial(group.boxes, chances / chances.sum())
    middles = (bounds[:-1] + bounds[1:]) / 2 * _span_s(spread)
    return Cohorts(at_s + middles[counts > 0], counts[counts > 0])
