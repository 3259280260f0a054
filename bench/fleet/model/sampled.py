"""Sampled fidelity: what becomes of millions of boxes, drawn from their curve, at no cost for each box.

Boxes of one class in one region are exchangeable. So nobody draws single boxes, but how many of them take how long:
one draw for all, by the chances to be late (curves.py), so that the last box of 220 million is as exact as the first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.air import carousel_offset_s
from bench.fleet.model.boxbybox import draw_box_by_box, why_box_by_box
from bench.fleet.model.curves import FEW_STREETS, Curve, curve_of, is_wide
from bench.fleet.model.histogram import BINS, EDGES_S, MIDDLES_S, Histogram
from bench.fleet.model.law import law_of_class
from bench.fleet.model.onair import OnAirClock
from bench.fleet.model.starts import share_up_by, stratified_starts
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Group, Scenario, apportion
from carousel.release.blocks import IntArray

__all__ = ["SampledShard", "run_sampled_shard", "sampled_shards"]

FloatArray = NDArray[np.float64]
DRAW_STREAM, START_STREAM = 11, 12
SHORT_STARTS = 48
SILENT_STARTS = 500


@dataclass(frozen=True)
class SampledShard:
    """All groups of one class: they share what is dear, the class's curve."""

    scenario: Scenario
    seed: int
    groups: tuple[Group, ...]


def sampled_shards(scenario: Scenario, seed: int) -> list[SampledShard]:
    """Cut a fleet into shards, the same whatever the number of workers."""
    by_class: dict[str, list[Group]] = {}
    for group in scenario.groups():
        by_class.setdefault(group.box_class.name, []).append(group)
    return [SampledShard(scenario, seed, tuple(groups)) for groups in by_class.values()]


def run_sampled_shard(shard: SampledShard) -> Tally:
    """Draw what becomes of a shard's boxes."""
    tally = Tally(shard.scenario.horizon_s)
    for group in shard.groups:
        why = why_box_by_box(shard.scenario, group)
        if why is not None:
            draw_box_by_box(tally, shard.scenario, shard.seed, group, why)
            continue
        curve = _curve(shard, group)
        tally.notes.setdefault(curve.note, curve.error)
        _draw(tally, shard, group, curve)
    return tally


def _curve(shard: SampledShard, group: Group) -> Curve:
    trunk = shard.scenario.trunk(group.box_class.trunk)
    streets = -(-group.boxes // trunk.boxes) if trunk else 0
    streets = streets if streets <= FEW_STREETS else 0
    if is_wide(shard.scenario, group.region):
        return curve_of(shard.scenario, group.box_class, shard.seed, (), streets)
    law = law_of_class(shard.scenario, group.box_class)
    offset_s = carousel_offset_s(shard.seed, law.timeline.period_s / law.timeline.cycles)
    rng = np.random.default_rng([shard.seed, START_STREAM, group.index])
    clock = OnAirClock(shard.scenario.carousel.silences)
    starts_s = offset_s + clock.on_air_s(stratified_starts(group.region, SHORT_STARTS, rng))
    return curve_of(shard.scenario, group.box_class, shard.seed, tuple(np.unique(starts_s).tolist()), streets)


def _draw(tally: Tally, shard: SampledShard, group: Group, curve: Curve) -> None:
    """Draw how many boxes take how long, and when; what the curve does not show is refused."""
    scenario, rng = shard.scenario, np.random.default_rng([shard.seed, DRAW_STREAM, group.index])
    clock = OnAirClock(scenario.carousel.silences)
    done = _draw_at_once(tally, scenario, group, curve, rng) if clock.is_steady else (
        _draw_by_starts(tally, scenario, group, curve, clock, rng))  # fmt: skip
    some = np.flatnonzero(done)
    tally.count_efficiency(law_of_class(scenario, group.box_class).efficiency(MIDDLES_S[some]), done[some])
    histogram = tally.boot[group.region.name]
    histogram.shown = max(histogram.shown, curve.shown)


def _draw_at_once(tally: Tally, scenario: Scenario, group: Group, curve: Curve, rng: np.random.Generator) -> IntArray:
    """Draw all boxes, and spread what happens to them over the scenario's time; return how many are seen to be done, by
    bin of what they hear.
    """
    taken, start_up_s = _taken(curve, group.boxes, rng), scenario.start_up_s(group.box_class)
    some = np.flatnonzero(taken)
    # Anywhere within its bin: a quantile of a few boxes is not the bin's end.
    middles_s, done = MIDDLES_S[some], np.zeros(BINS, dtype=np.int64)
    seen = rng.binomial(taken[some], share_up_by(group.region, scenario.horizon_s - start_up_s - middles_s))
    booted = np.zeros(BINS, dtype=np.int64)
    np.add.at(booted, np.searchsorted(EDGES_S, middles_s + start_up_s, side="right") - 1, seen)
    tally.boot.setdefault(group.region.name, Histogram()).add(Histogram(booted, group.boxes - int(seen.sum())))
    _spread_out(tally, group, middles_s, taken[some], seen, start_up_s, scenario.deadline_s)
    done[some] = seen
    return done


def _draw_by_starts(
    tally: Tally, scenario: Scenario, group: Group, curve: Curve, clock: OnAirClock, rng: np.random.Generator
) -> IntArray:
    """Draw the same of boxes that power up together, many times over: how long they take hangs on when they do."""
    done = np.zeros(BINS, dtype=np.int64)
    starts_s = stratified_starts(group.region, min(SILENT_STARTS, group.boxes), rng)
    parts = apportion(group.boxes, [1.0] * len(starts_s))
    for start_s, on_air_s, boxes in zip(starts_s.tolist(), clock.on_air_s(starts_s).tolist(), parts, strict=True):
        taken = _taken(curve, boxes, rng)
        some = np.flatnonzero(taken)
        verified_s = np.append(clock.times_s(on_air_s + MIDDLES_S[some]), np.inf)
        counts = np.append(taken[some], boxes - int(taken.sum()))
        up_s, begun_s = verified_s + scenario.start_up_s(group.box_class), np.full(len(counts), start_s)
        tally.count_boxes(group.region.name, begun_s, verified_s, up_s, scenario.deadline_s, counts)
        done += taken
    return done


def _taken(curve: Curve, boxes: int, rng: np.random.Generator) -> IntArray:
    """Draw how many boxes are done between the edges of the histograms, street by street where these are few."""
    lates = curve.late[None] if curve.streets is None else curve.streets
    parts = [boxes // len(lates) + (street < boxes % len(lates)) for street in range(len(lates))]
    taken = np.zeros(BINS, dtype=np.int64)
    for late, count in zip(lates, parts, strict=True):
        chances = np.append(-np.diff(late), late[-1])
        taken += rng.multinomial(count, chances / chances.sum())[:-1]
    return taken


def _spread_out(
    tally: Tally, group: Group, middles_s: FloatArray, taken: IntArray, seen: IntArray, start_up_s: float,
    deadline_s: float,
) -> None:  # fmt: skip
    """Count events by step of the horizon: power-on times and durations are independent."""
    edges_s = np.arange(STEPS + 1, dtype=np.float64) * tally.horizon_s / STEPS
    on = group.boxes * np.append(np.diff(share_up_by(group.region, edges_s), prepend=0.0)[1:], 0.0)
    on[0] += group.boxes * float(share_up_by(group.region, edges_s[:1])[0])
    on[-1] = group.boxes - on[:-1].sum()
    step_s = tally.horizon_s / STEPS
    late = middles_s > deadline_s

    def after(times_s: FloatArray, counts: IntArray, total: int) -> IntArray:
        """Return events so long after power-on, `total` of them within the horizon."""
        steps = np.minimum(np.round(times_s / step_s).astype(np.int64), STEPS)
        durations = np.bincount(steps, counts, STEPS + 1) / max(1, group.boxes)
        return _whole(np.convolve(on[:-1], durations)[:STEPS], total, group.boxes)

    up = after(middles_s + start_up_s, taken, int(seen.sum()))
    verified = after(middles_s, taken, -1)
    verified[:STEPS] = np.diff(np.maximum(np.cumsum(verified[:STEPS]), np.cumsum(up[:STEPS])), prepend=0)
    verified[STEPS] = group.boxes - verified[:STEPS].sum()
    never = group.boxes - int(taken.sum())
    fallback = after(np.full(2, deadline_s), np.array([int(taken[late].sum()), never]), -1)
    back = after(middles_s[late], taken[late], -1)
    back[:STEPS] = np.diff(np.minimum(np.cumsum(back[:STEPS]), np.cumsum(fallback[:STEPS])), prepend=0)
    fallback[STEPS] = back[STEPS] = 0  # who is in time does neither
    for name, counts in (("power", _whole(on[:-1], -1, group.boxes)), ("verified", verified), ("up", up),
                         ("fallback", fallback), ("return", back)):  # fmt: skip
        tally.events[name] = tally.events[name] + counts


def _whole(weights: FloatArray, total: int, boxes: int) -> IntArray:
    """Return weights as whole numbers that add up to `total` (-1: to what they add up to); the rest comes later."""
    reached = np.cumsum(weights)
    if total >= 0 and reached[-1] > 0:
        reached = reached * (total / reached[-1])
    counts = np.diff(np.floor(reached + 0.5).astype(np.int64), prepend=0)
    return np.append(counts, boxes - counts.sum())
