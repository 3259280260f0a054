"""Run a scenario: shards of carousels, then storms on servers and peers, then logins; over several seeds."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from bench.fleet.executor import Run
from bench.fleet.model.onair import OnAirClock
from bench.fleet.model.packet import PacketShard, packet_shards, run_packet_shard
from bench.fleet.model.sampled import SampledShard, run_sampled_shard, sampled_shards
from bench.fleet.model.tally import STEPS, Tally, phases_of_events
from bench.fleet.scenario.values import ReleaseSpec, Scenario, Silence
from bench.fleet.storm.crowd import Load, Story
from bench.fleet.storm.strategies import StormRun, cost_of, logins_of, run_storm, storms_of
from carousel.errors import OperatorError

__all__ = ["FIDELITIES", "FleetRun", "run_fleet", "run_shard"]

FIDELITIES = ("packet", "sampled")
TAIL = "carousel-tail"
MOST_PACKET_BOXES = {True: 20_000, False: 200_000}
"""With real receivers, and with counted ones."""


@dataclass
class FleetRun:
    """Stories of all strategies and seeds, as far as they are done; `refused` says of storms why they have none."""

    scenario: Scenario
    fidelity: str
    seeds: list[int]
    stories: list[Story] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    is_partial: bool = False


def run_shard(shard: PacketShard | SampledShard) -> Tally:
    """Run one shard of a carousel."""
    return run_packet_shard(shard) if isinstance(shard, PacketShard) else run_sampled_shard(shard)


def run_fleet(
    scenario: Scenario,
    fidelity: str,
    seeds: list[int],
    run: Run,
    tell: Callable[[int, int], None],
    is_real: bool = False,
) -> FleetRun:
    """Run everything that a scenario asks for; `tell` is called with (done, of all); `is_real`: by real receivers.

    An interruption leaves what is done, marked as partial: a carousel counts only with all of its shards.
    """
    result = FleetRun(scenario, fidelity, seeds)
    variants = {name: _carousel_variant(scenario, name) for name in _carousels_of(scenario)}
    jobs = [
        (name, seed, shard)
        for name, variant in variants.items()
        for seed in seeds
        for shard in _shards(variant, fidelity, seed, is_real)
    ]
    storms = storms_of(scenario, seeds)
    tails = len(seeds) * len(scenario.retries) if TAIL in scenario.strategies else 0
    total, ended = len(jobs) + len(storms) + tails + len(seeds) * len(logins_of(scenario)), 0

    def count() -> None:
        nonlocal ended
        ended += 1
        tell(ended, total)

    tallies: list[Tally | None] = [None] * len(jobs)

    def keep_tally(index: int, tally: Tally) -> None:
        tallies[index] = tally
        count()

    try:
        if jobs:
            run(run_shard, [shard for *_, shard in jobs], keep_tally)
    except KeyboardInterrupt:
        result.is_partial = True
    result.stories += _carousel_stories(scenario, jobs, tallies, seeds)
    if tails and not result.is_partial:
        _run_storms(result, _tails(scenario, jobs, tallies, seeds), run, count)
    logins = _logins(result)
    if not result.is_partial:  # logins after a carousel beside the storms: so all cores are busy to the end
        _run_storms(result, storms + logins, run, count)
    if not (logins or result.is_partial):
        _run_storms(result, _logins(result), run, count)
    return result


def _carousels_of(scenario: Scenario) -> list[str]:
    """Return which carousels are run: those that are asked for, and the one that a tail is behind."""
    names = [name for name in scenario.strategies if name.startswith("carousel") and name != TAIL]
    return [*names, "carousel"] if TAIL in scenario.strategies and "carousel" not in names else names


def _tails(
    scenario: Scenario,
    jobs: list[tuple[str, int, PacketShard | SampledShard]],
    tallies: list[Tally | None],
    seeds: list[int],
) -> list[StormRun]:
    """Return the unicast tails behind the carousel, by what it alone does for each class."""
    storms = []
    for seed in seeds:
        by_class: dict[str, Tally] = {}
        for (name, of_seed, shard), tally in zip(jobs, tallies, strict=True):
            if (name, of_seed) == ("carousel", seed) and tally is not None:
                group = shard.group if isinstance(shard, PacketShard) else shard.groups[0]
                by_class.setdefault(group.box_class.name, Tally(scenario.horizon_s)).add(tally)
        for retry in range(len(scenario.retries)):
            storms.append(StormRun(scenario, seed, TAIL, retry, by_class=tuple(by_class.items())))
    return storms


def _carousel_variant(scenario: Scenario, strategy: str) -> Scenario:
    """Return the scenario for a strategy: `carousel-plain` sends no repair symbols; of `carousel-pair` one dies."""
    carousel = scenario.carousel
    if strategy == "carousel":
        return scenario
    if strategy == "carousel-forgetful":
        return replace(scenario, keeps_parts=False)
    if strategy == "carousel-pair":
        silences = tuple(_taken_over(each, carousel.takeover_s) for each in carousel.silences)
        return replace(scenario, carousel=replace(carousel, silences=silences))
    plain: tuple[ReleaseSpec, ...] = tuple(replace(each, repair_ratio=0.0) for each in scenario.releases)
    return replace(scenario, releases=plain)


def _taken_over(silence: Silence, takeover_s: float) -> Silence:
    """Return what a silence of one head-end of a pair is: half the rate is missing until the other takes over."""
    return Silence(silence.at_s, min(silence.for_s, takeover_s), (1 + silence.rate_share) / 2)


def _shards(scenario: Scenario, fidelity: str, seed: int, is_real: bool) -> "list[PacketShard] | list[SampledShard]":
    if fidelity == "sampled":
        return sampled_shards(scenario, seed)
    most = MOST_PACKET_BOXES[is_real]
    if scenario.boxes > most:
        raise OperatorError(
            f"packet fidelity follows each box by itself: {most} at the most{' by real receivers' if is_real else ''}, "
            f"not {scenario.boxes}; give --boxes, or take --fidelity sampled"
        )
    return packet_shards(scenario, seed, is_real)


def _carousel_stories(
    scenario: Scenario,
    jobs: list[tuple[str, int, PacketShard | SampledShard]],
    tallies: list[Tally | None],
    seeds: list[int],
) -> list[Story]:
    """Put the shards of each carousel and seed together, in their order."""
    stories = []
    for name in dict.fromkeys(name for name, *_ in jobs if name in scenario.strategies):
        for seed in seeds:
            parts = [tally for job, tally in zip(jobs, tallies, strict=True) if job[:2] == (name, seed)]
            if any(part is None for part in parts):
                continue
            whole = Tally(scenario.horizon_s)
            for part in parts:
                whole.add(part)  # type: ignore[arg-type]
            rate_bps = scenario.carousel.rate_bps
            clock = OnAirClock(_carousel_variant(scenario, name).carousel.silences)
            ends_s = np.arange(STEPS + 1) * scenario.horizon_s / STEPS
            load = Load("carousel", "b/s", np.diff(clock.on_air_s(ends_s)) / np.diff(ends_s) * rate_bps, rate_bps)
            # The broadcast goes on for ever; a box's share is what went out while the fleet booted.
            on, verified = (np.flatnonzero(whole.events[event]) for event in ("power", "verified"))
            busy_s = np.diff(clock.on_air_s(ends_s[[int(on[0]), min(int(verified[-1]) + 1, STEPS)]]))
            sent_bytes = rate_bps / 8 * float(busy_s[0]) / scenario.boxes
            notes = (*whole.notes, *_receivers_note(whole))
            phases = phases_of_events(whole.events)
            stories.append(Story(name, seed, whole, phases, [load], sent_bytes, notes=notes))
    return stories


def _receivers_note(tally: Tally) -> list[str]:
    """Say which receivers ran, in packet fidelity."""
    if not (tally.real_boxes or tally.counted_boxes):
        return []
    return [
        f"{tally.real_boxes:,} boxes by the real receiver, {tally.counted_boxes:,} by counted ones, which say the same "
        "times without handling bytes"
    ]


def _logins(result: FleetRun) -> list[StormRun]:
    """Return the logins of everybody after booting by the first strategy, as far as that has been run."""
    first = result.scenario.strategies[0]
    return [
        replace(each, seed=story.seed, up=tuple(story.tally.events["up"].tolist()), after=first)
        for story in result.stories
        if story.label.split(",")[0] == first
        for each in logins_of(result.scenario)
    ]


def _run_storms(result: FleetRun, storms: list[StormRun], run: Run, count: Callable[[], None]) -> None:
    """Run storms, the dearest first, so that no core waits for the last one; an interruption leaves those done."""
    if not storms:
        return
    told: list[Story | str | None] = [None] * len(storms)
    order = sorted(range(len(storms)), key=lambda index: -cost_of(storms[index]))

    def keep(index: int, story: Story | str) -> None:
        told[order[index]] = story
        count()

    try:
        run(run_storm, [storms[index] for index in order], keep)
    except KeyboardInterrupt:
        result.is_partial = True
    result.stories += [each for each in told if isinstance(each, Story)]
    result.refused += [each for each in told if isinstance(each, str)]
