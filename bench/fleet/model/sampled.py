"""Sampled fidelity: what becomes of millions of boxes, drawn from the exact distribution, at no cost for each box.

Boxes that power up together behind links of one kind are exchangeable. So nobody draws single boxes: of those not done
at one time, how many are not done at the next is a binomial draw. Going through time this way, by chances to be late,
the last box of 220 million is as exact as the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import EDGES_S, bins_of
from bench.fleet.model.law import CompletionLaw, law_of_class
from bench.fleet.model.packet import carousel_offset_s
from bench.fleet.model.starts import Cohorts, cohorts_of
from bench.fleet.model.tally import Tally
from bench.fleet.model.trunks import TrunkedLaw
from bench.fleet.scenario.values import Group, Scenario
from carousel.release.blocks import IntArray

__all__ = ["SampledShard", "run_sampled_shard", "sampled_shards"]

FloatArray = NDArray[np.float64]
MOST_COHORTS, MOST_TRUNKED_COHORTS = 48, 8
COHORTS_A_SHARD = 16
NEIGHBOURHOODS_A_SHARD = 32_768
NEIGHBOURHOODS_AT_ONCE = 2048
EDGES_AT_ONCE = 256
COHORT_STREAM, DRAW_STREAM = 10, 11
NONE_LEFT = 1e-3
"""Fewer boxes than this are expected to be later: there nobody looks any more."""


@dataclass(frozen=True)
class SampledShard:
    """Some cohorts of one group, or neighbourhoods `first` to `first + count` of it where they share a trunk."""

    scenario: Scenario
    seed: int
    group: Group
    first: int
    count: int


def sampled_shards(scenario: Scenario, seed: int) -> list[SampledShard]:
    """Cut a fleet into shards, the same whatever the number of workers."""
    shards = []
    for group in scenario.groups():
        trunk = scenario.trunk(group.box_class.trunk)
        whole = -(-group.boxes // trunk.boxes) if trunk else len(_cohorts(seed, group, MOST_COHORTS).counts)
        step = NEIGHBOURHOODS_A_SHARD if trunk else COHORTS_A_SHARD
        shards += [
            SampledShard(scenario, seed, group, first, min(step, whole - first)) for first in range(0, whole, step)
        ]
    return shards


def _cohorts(seed: int, group: Group, most: int) -> Cohorts:
    return cohorts_of(group, most, np.random.default_rng([seed, COHORT_STREAM, group.index]))


def run_sampled_shard(shard: SampledShard) -> Tally:
    """Draw what becomes of a shard's boxes."""
    law = law_of_class(shard.scenario, shard.group.box_class)
    tally = Tally(shard.scenario.horizon_s)
    offset_s = carousel_offset_s(shard.seed, law.timeline.period_s / law.timeline.cycles)
    rng = np.random.default_rng([shard.seed, DRAW_STREAM, shard.group.index, shard.first])
    trunk = shard.scenario.trunk(shard.group.box_class.trunk)
    if trunk is None:
        _run_cohorts(tally, shard, law, offset_s, rng)
    else:
        trunked = TrunkedLaw.of(shard.scenario, shard.group.box_class, law, trunk)
        _run_neighbourhoods(tally, shard, trunked, trunk.boxes, offset_s, rng)
    return tally


def _run_cohorts(
    tally: Tally, shard: SampledShard, law: CompletionLaw, offset_s: float, rng: np.random.Generator
) -> None:
    cohorts = _cohorts(shard.seed, shard.group, MOST_COHORTS)
    for index in range(shard.first, shard.first + shard.count):
        start_s, boxes = float(cohorts.starts_s[index]), int(cohorts.counts[index])
        left = np.array([boxes])
        for edges_s, late in _late_until_none(law, shard.scenario, offset_s, start_s, boxes):
            left = _draw(tally, shard, law, start_s, edges_s, late, left, rng)
        _count_never(tally, shard, start_s, int(left.sum()))


def _run_neighbourhoods(
    tally: Tally,
    shard: SampledShard,
    trunked: TrunkedLaw,
    trunk_boxes: int,
    offset_s: float,
    rng: np.random.Generator,
) -> None:
    for start_s, boxes in _neighbourhoods(shard, trunk_boxes):
        edges_s, late = trunked.late(offset_s + start_s, len(boxes), int(boxes.sum()), rng)
        seen = edges_s <= shard.scenario.horizon_s
        left = _draw(tally, shard, trunked.law, start_s, edges_s[seen], late[:, seen], boxes, rng)
        _count_never(tally, shard, start_s, int(left.sum()))


def _neighbourhoods(shard: SampledShard, trunk_boxes: int) -> Iterator[tuple[float, IntArray]]:
    """Yield (power-on time, boxes of each neighbourhood): each has its power back at one time."""
    whole = -(-shard.group.boxes // trunk_boxes)
    cohorts = _cohorts(shard.seed, replace(shard.group, boxes=whole), MOST_TRUNKED_COHORTS)
    ends = np.cumsum(cohorts.counts)
    for start_s, begin, end in zip(cohorts.starts_s.tolist(), ends - cohorts.counts, ends, strict=True):
        first, last = max(int(begin), shard.first), min(int(end), shard.first + shard.count)
        for at in range(first, last, NEIGHBOURHOODS_AT_ONCE):
            boxes = np.full(min(NEIGHBOURHOODS_AT_ONCE, last - at), trunk_boxes, dtype=np.int64)
            if at + len(boxes) == whole:
                boxes[-1] = shard.group.boxes - (whole - 1) * trunk_boxes
            yield start_s, boxes


def _late_until_none(
    law: CompletionLaw, scenario: Scenario, offset_s: float, start_s: float, boxes: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield (edges, chance to be late at each) until no box is left, or the horizon is reached."""
    first = max(0, int(bins_of(np.array([law.least_s]))[0]) - 1)
    end = int(bins_of(np.array([scenario.horizon_s - start_s]))[0]) + 2
    for begin in range(first, min(end, len(EDGES_S)), EDGES_AT_ONCE):
        edges_s = EDGES_S[begin : min(begin + EDGES_AT_ONCE, end, len(EDGES_S) - 1) + 1]
        late = law.late(offset_s + start_s, edges_s)
        yield edges_s, np.minimum.accumulate(late)[None]
        if late[-1] * boxes < NONE_LEFT:
            return


def _draw(
    tally: Tally,
    shard: SampledShard,
    law: CompletionLaw,
    start_s: float,
    edges_s: FloatArray,
    late: FloatArray,
    left: IntArray,
    rng: np.random.Generator,
) -> IntArray:
    """Draw how many boxes are done between edges; `late` (rows, edges), `left` (rows,): returns who is not done."""
    done = np.zeros(len(edges_s), dtype=np.int64)
    before = np.ones(len(left))
    for index in range(len(edges_s)):
        now = late[:, index]
        stay = np.divide(now, before, out=np.zeros_like(now), where=before > 0)
        still = rng.binomial(left, np.clip(stay, 0.0, 1.0)) if index else left
        done[index] = int((left - still).sum())
        left, before = still, now
    some = np.flatnonzero(done)
    if len(some):
        middles_s = (edges_s[some - 1] + edges_s[some]) / 2
        _count_done(tally, shard, law, start_s, middles_s, done[some])
    return left


def _count_done(
    tally: Tally, shard: SampledShard, law: CompletionLaw, start_s: float, durations_s: FloatArray, counts: IntArray
) -> None:
    """Count boxes that verified their image so long after power-on."""
    box_class = shard.group.box_class
    starts_s = np.full(len(durations_s), start_s)
    start_up_s = box_class.install_s + box_class.boot_s
    region, deadline_s = shard.group.region.name, shard.scenario.deadline_s
    tally.count_boxes(region, starts_s, start_s + durations_s, start_up_s, deadline_s, counts)
    tally.count_efficiency(law.efficiency(durations_s), counts)


def _count_never(tally: Tally, shard: SampledShard, start_s: float, boxes: int) -> None:
    """Count boxes without an image at the horizon: they run their EEPROM's, and listen."""
    region, deadline_s = shard.group.region.name, shard.scenario.deadline_s
    never = np.array([np.inf])
    tally.count_boxes(region, np.array([start_s]), never, 0.0, deadline_s, np.array([boxes]))
