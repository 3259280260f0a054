"""When boxes power up."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.fleet.scenario.values import Group, Region, Spread, SpreadKind

__all__ = ["draw_starts", "share_up_by", "stratified_starts"]

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
    return group.region.power_at_s + _offsets(group.region.spread, rng.random(boxes))


def _offsets(spread: Spread, u: FloatArray) -> FloatArray:
    """Return the time by which each share of the boxes has powered up."""
    offsets = np.zeros(len(u))
    if spread.kind is SpreadKind.UNIFORM:
        offsets = u * spread.over_s
    elif spread.kind is SpreadKind.NORMAL:
        offsets = np.clip(0.5 + special.ndtri(u) / (2 * SIGMAS), 0.0, 1.0) * spread.over_s
    elif spread.kind is SpreadKind.EXPONENTIAL:
        offsets = np.minimum(-np.log1p(-u), MEANS_COVERED) * spread.over_s
    return offsets


def stratified_starts(region: Region, count: int, rng: np.random.Generator) -> FloatArray:
    """Return power-on times, one anywhere in each part of the spread that holds as many boxes: no period can alias."""
    u = (np.arange(count) + rng.random(count)) / count
    return region.power_at_s + _offsets(region.spread, u)
