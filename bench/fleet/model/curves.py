"""The curve that a class of boxes is drawn from: the chance to be late at each time, and what is known of its error.

The law (law.py, trunks.py) gives it to any depth, where its assumptions hold. Whether they do is not claimed but
measured: boxes are followed one by one over the same air (walks.py), and where the law is further from them than a
percent and their own scatter, the walks themselves are the curve, and what they can't show is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import EDGES_S
from bench.fleet.model.law import CompletionLaw, law_of_class
from bench.fleet.model.trunks import TrunkedLaw
from bench.fleet.model.walks import Walks, walk, walk_street
from bench.fleet.scenario.values import BoxClass, Region, Scenario, SpreadKind
from settop.wire.early import MAX_BYTES as EARLY_BYTES

__all__ = ["FEW_STREETS", "WIDE_INTERVALS", "Curve", "curve_of", "is_wide", "shown_by"]

FloatArray = NDArray[np.float64]
WIDE_INTERVALS = 8
"""Who powers up over so many announcement intervals meets all their phases alike."""
STARTS = 48
EVERY = 4
"""Every so many bins of the histograms is worked out; between, the logarithm goes straight."""
NEVER_MIND = 1e-13
JUDGED = (0.1, 0.5, 0.9, 0.99)
AGREES = 0.01
JUDGED_SIGMAS, JUDGED_WITHIN = 1.5, AGREES / 2
"""A law holds that is so near to single boxes beyond this scatter: with both, within a percent. By two and a half
deviations and a whole percent, 700 kB behind bursts of 16 passed whose median was 1.7 % late, since announcements and
symbols are lost together there."""
SIGMAS = 4.0
ENOUGH_BEYOND = 20
"""Fewer boxes beyond a percentile do not show it."""
CELLS, CELLS_INSTEAD = 6e6, 1.2e8
LEAST_WALKS, MOST_WALKS = 300, 12_000
GAPS_MATTER = 1e-4
STREETS, FEW_STREETS = 1024, 64
PARTS = 8


@dataclass(frozen=True)
class Curve:
    """`late` at each of `EDGES_S`; `shown` the smallest share of late boxes that it can show; `note` says how."""

    late: FloatArray
    shown: float
    note: str
    error: float | None
    streets: FloatArray | None = None


def is_wide(scenario: Scenario, region: Region) -> bool:
    """Whether boxes of a region power up over so long that it does not matter when the carousel began."""
    spread = region.spread
    return (
        spread.kind is not SpreadKind.AT_ONCE
        and spread.over_s >= WIDE_INTERVALS * scenario.carousel.announce_interval_s
    )


@lru_cache(maxsize=64)
def curve_of(
    scenario: Scenario, box_class: BoxClass, seed: int, starts_s: tuple[float, ...] = (), streets: int = 0
) -> Curve:
    """Return the curve of a class, for boxes that tune in at `starts_s` of the carousel, or anywhere.

    Where there are few `streets` with a trunk of their own, each has its own curve: `Curve.streets`.
    """
    law, trunk = law_of_class(scenario, box_class), scenario.trunk(box_class.trunk)
    rng = np.random.default_rng([seed, 41])
    starts = np.array(starts_s) if starts_s else _anywhere(law, rng)
    trunked = TrunkedLaw.of(scenario, box_class, law, trunk) if trunk else None
    judges = _walks(law, trunked, CELLS, seed)
    parts = None
    if _repeats(law, trunked):
        apart = _one_by_one(box_class, law, trunked, seed, "no law holds where symbols come round again")
        return apart if trunked is None else _each_street(apart, trunked, starts, streets, seed)
    if trunked is None:
        late, shown = _to_depth(lambda edges_s: law.late_over(starts, edges_s), law.least_s), 0.0
    else:
        late, shown, _ = _of_streets(trunked, starts, 0, rng)  # judged by what all streets come to
        if 0 < streets <= FEW_STREETS:
            shown, parts = 0.0, _of_streets(trunked, starts, streets, rng)[2]
    error = _distance(late, judges)
    name = f"{box_class.name}: law"
    if error <= JUDGED_WITHIN:
        return Curve(
            late, shown, f"{name}, within {error:.2%} of {len(judges.times_s):,} boxes one by one", error, parts
        )
    apart = _one_by_one(box_class, law, trunked, seed, f"the law is {error:.1%} off")
    return apart if trunked is None else _each_street(apart, trunked, starts, streets, seed)


def _anywhere(law: CompletionLaw, rng: np.random.Generator) -> FloatArray:
    """Return moments to tune in, spread evenly over the carousel, and over the time between two announcements."""
    interval_s = law.timeline.announce_interval_s
    places_s = (np.arange(STARTS) + rng.random(STARTS)) / STARTS * law.timeline.period_s
    phases_s = (rng.permutation(STARTS) + rng.random(STARTS)) / STARTS * interval_s
    return places_s - places_s % interval_s + phases_s


def _repeats(law: CompletionLaw, trunked: TrunkedLaw | None) -> bool:
    """Whether blocks often need symbols for a second time: loss is near what the repair symbols make good, or behind a
    trunk, what it lost of a carousel without as many as there are source symbols.
    """
    if not law.repair:
        return trunked is not None
    size = float(law.timeline.layout.objects[0].block_sizes.mean())
    mean = 1 - (1 - law.chain.mean) * (1 - (trunked.trunk_chain.mean if trunked else 0.0))
    memory = 0.0 if law.block_chain.is_memoryless else abs(law.block_chain.memory)
    sigma = ((size + law.repair) * mean * (1 - mean) * (1 + memory) / (1 - memory)) ** 0.5
    passing = (size + law.repair) * (1 - mean)
    return bool(passing < size + SIGMAS * sigma) or _leaves_gaps(law, passing, size, mean)


def _leaves_gaps(law: CompletionLaw, passing: float, size: float, mean: float) -> bool:
    """Whether some boxes drop more before they hear the announcement than repair makes up for: 4 MiB are kept, and what
    came after them is a gap in the order, which must come round again. The law lets such a box begin later instead.
    """
    interval_s, turn_s = law.timeline.announce_interval_s, law.timeline.period_s / law.timeline.cycles
    kept_s = EARLY_BYTES * 8 / (law.rate_bps * (1 - mean))
    dropping = mean ** max(1.0, kept_s // interval_s)
    return bool(turn_s > kept_s + interval_s and dropping > GAPS_MATTER and passing * (1 - interval_s / turn_s) < size)


def _one_by_one(box_class: BoxClass, law: CompletionLaw, trunked: TrunkedLaw | None, seed: int, why: str) -> Curve:
    walks = _walks(law, trunked, CELLS_INSTEAD, seed + 1)
    shown = shown_by(walks.times_s)
    refused = f"percentiles beyond p{100 * (1 - shown):g} are refused"
    note = f"{box_class.name}: drawn from {len(walks.times_s):,} boxes one by one, since {why}; {refused}"
    return Curve(walks.late(EDGES_S), shown, note, None)


def _each_street(apart: Curve, trunked: TrunkedLaw, starts: FloatArray, streets: int, seed: int) -> Curve:
    """Give each of a few streets a curve of its own, from boxes that share its trunk's losses."""
    if not 0 < streets <= FEW_STREETS:
        return apart
    law, rng = trunked.law, np.random.default_rng([seed, 42])
    lates = []
    for street in range(streets):
        start_s = float(rng.choice(starts))
        found = walk_street(law.timeline, law.chain, trunked.trunk_chain, LEAST_WALKS, start_s, (seed, street))
        lates.append(Walks(found.times_s + law.delay_s).late(EDGES_S))
    return replace(apart, streets=np.array(lates))


def shown_by(times_s: FloatArray) -> float:
    """Return the smallest share of late boxes at which single boxes, sorted, know the time to a percent."""
    count, shown = len(times_s), 1.0
    for share in (0.5, 0.1, 1e-2, 1e-3, 1e-4):
        scatter = (share * (1 - share) / count) ** 0.5
        if share * count < ENOUGH_BEYOND:
            break
        places = (np.array([max(0.0, 1 - share - scatter), min(1.0, 1 - share + scatter)]) * (count - 1)).round()
        low_s, high_s = times_s[places.astype(np.int64)]
        if not high_s - low_s <= 2 * AGREES * low_s:
            break
        shown = share
    return shown


def _walks(law: CompletionLaw, trunked: TrunkedLaw | None, cells: float, seed: int) -> Walks:
    image = law.timeline.layout.objects[0]
    passing = (1 - law.chain.mean) * (1 - (trunked.trunk_chain.mean if trunked else 0.0))
    heard = image.source_symbols / passing * (1.0 if image.repair_per_block else 3.0)
    heard += law.timeline.announce_interval_s / law.timeline.period_s * len(law.timeline.wire)
    boxes = int(np.clip(cells / max(heard, image.rows), LEAST_WALKS, MOST_WALKS))
    found = walk(law.timeline, law.chain, boxes, (seed, boxes), trunked.trunk_chain if trunked else None)
    return Walks(found.times_s + law.delay_s)


def _to_depth(late_at: Callable[[FloatArray], FloatArray], least_s: float) -> FloatArray:
    """Work a law out from where the first box may be done to where none is left."""
    late = np.ones(len(EDGES_S))
    begin = max(0, int(np.searchsorted(EDGES_S, least_s)) - 2)
    while begin < len(EDGES_S) - 1:
        places = np.unique(np.minimum(np.arange(begin, begin + 97 * EVERY, EVERY), len(EDGES_S) - 1))
        found = np.maximum(late_at(EDGES_S[places]), 1e-300)
        between = np.arange(begin, int(places[-1]) + 1)
        late[between] = np.exp(np.interp(between, places, np.log(found)))
        begin = int(places[-1])
        if found[-1] < NEVER_MIND:
            break
    late[begin + 1 :] = 0.0
    return np.minimum.accumulate(late)


def _of_streets(
    trunked: TrunkedLaw, starts: FloatArray, streets: int, rng: np.random.Generator
) -> tuple[FloatArray, float, FloatArray | None]:
    """Average the law over what trunks of some streets lost; return it, and how deep it can be trusted.

    A trunk's losses are shared, which changes how a fleet's percentiles scatter, but no box's own law.
    """
    if 0 < streets <= FEW_STREETS:
        starts, each = rng.choice(starts, streets), 1
    else:
        each = -(-STREETS // len(starts))
    found = np.array(
        [
            np.exp(np.interp(np.log(EDGES_S), np.log(edges_s), np.log(np.maximum(late.mean(axis=0), 1e-300)), 0, -690))
            for edges_s, late in (trunked.late(float(start_s), each, 10_000_000, rng) for start_s in starts)
        ]
    )
    found = np.minimum.accumulate(found, axis=1)
    late = found.mean(axis=0)
    if each == 1:
        return late, 0.0, found
    parts = [part.mean(axis=0) for part in np.array_split(found, PARTS) if len(part)]
    shown = 1.0
    for share in (0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        times_s = EDGES_S[[int(np.argmax(part <= share)) for part in parts]]
        if times_s.std() / times_s.mean() / len(parts) ** 0.5 > AGREES / 2:
            break
        shown = share
    return late, shown if shown > 1e-8 else 0.0, None


def _distance(late: FloatArray, walks: Walks) -> float:
    """Return how far, in time, a curve is from walks at the judged percentiles, beyond their scatter."""
    count, worst = len(walks.times_s), 0.0
    for share in JUDGED:
        if count * (1 - share) < ENOUGH_BEYOND:
            continue
        said_s = EDGES_S[int(np.argmax(late <= 1 - share))]
        scatter = JUDGED_SIGMAS * (share * (1 - share) / count) ** 0.5
        low_s, high_s = np.quantile(walks.times_s, [max(0.0, share - scatter), min(1.0, share + scatter)])
        beyond_s = max(0.0, low_s - said_s, said_s - high_s)
        worst = max(worst, beyond_s / said_s)
    return float(worst)
