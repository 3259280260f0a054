"""A unicast tail behind the carousel: who lacks the image at its deadline asks a server too, and goes on listening.

    deadline ──► asks, waits, transfers (unicast.py) ──► has the image
         └─────► listens on ──────────────────────────────┘   whichever is first

What the carousel does for those who are late is known by the bin (`return` of its tally): of all that still lack the
image in a bin, so large a share gets it off the air, whether it waits at the server or is being served. Classes without
a way back have the carousel alone.
"""

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import MIDDLES_S, Histogram
from bench.fleet.model.tally import STEPS, Tally, phases_of_events
from bench.fleet.scenario.values import Group, Region, Retry, Scenario
from bench.fleet.storm.crowd import Story
from bench.fleet.storm.engine import run_converged
from bench.fleet.storm.unicast import Late, UnicastStorm, line_rate_bps
from carousel.release.blocks import IntArray

__all__ = ["run_tail"]

FloatArray = NDArray[np.float64]
NAME = "carousel-tail"
WHOLE = "all"


def run_tail(scenario: Scenario, seed: int, retry: Retry, by_class: tuple[tuple[str, Tally], ...]) -> Story:
    """Return what happens, where `by_class` is what the carousel alone does for each class."""
    assert scenario.server is not None
    server, tallies = scenario.server, dict(by_class)
    asking = [each for each in scenario.classes if each.name in tallies and line_rate_bps(each, server)]
    late = {each.name: tallies[each.name].events["fallback"][:-1] for each in asking}
    region = Region(WHOLE, 1.0)
    groups = tuple(
        Group(number, region, each, int(late[each.name].sum()))
        for number, each in enumerate(asking)
        if late[each.name].any()
    )
    label = f"{NAME}, {retry.kind.value} retry"
    if not groups:
        whole = Tally(scenario.horizon_s)
        for tally in tallies.values():
            whole.add(tally)
        idle = ("nobody who can ask lacks the image at the deadline: the tail is idle",)
        return Story(label, seed, whole, phases_of_events(whole.events), [], 0.0, notes=idle)
    counts = np.stack([late[each.box_class.name] for each in groups], axis=1)
    back = np.stack([tallies[each.box_class.name].events["return"][:-1] for each in groups], axis=1)
    lacking = np.cumsum(counts, axis=0) - np.cumsum(back, axis=0) + back
    shares = np.divide(back, lacking, out=np.zeros(back.shape), where=lacking > 0)
    arrivals = Late(counts, np.minimum(1.0, shares))
    story = run_converged(
        lambda clock: UnicastStorm(scenario, server, retry, seed, clock, NAME, groups, arrivals),
        scenario.horizon_s,
        server.request_timeout_s,
    )
    story.tally = _put_together(scenario, tallies, groups, story.tally)
    story.phases = phases_of_events(story.tally.events)
    waiting = int(counts.sum())
    story.notes = (*story.notes, f"{waiting:,} boxes lack the image at the deadline, and ask")
    return story


def _put_together(scenario: Scenario, tallies: dict[str, Tally], groups: tuple[Group, ...], served: Tally) -> Tally:
    """Return the tally of those that were in time, and of those that asked, whose times count from the deadline."""
    whole, asked = Tally(scenario.horizon_s), {each.box_class.name for each in groups}
    bin_s = scenario.horizon_s / STEPS
    for box_class in scenario.classes:
        tally = tallies.get(box_class.name)
        if tally is None:
            continue
        if box_class.name not in asked:
            whole.add(tally)
            continue
        times, late = tally.all_boot(), int(tally.events["fallback"][:-1].sum())
        in_time = np.minimum(np.cumsum(times.counts), times.total - late)
        kept = np.diff(in_time, prepend=0)
        whole.boot.setdefault(WHOLE, Histogram()).add(
            Histogram(kept, times.total - late - int(kept.sum()), times.shown)
        )
        whole.efficiency = whole.efficiency + tally.efficiency
        on_time = tally.events["verified"].copy()
        on_time[:-1] -= tally.events["return"][:-1]
        on_time[-1] = times.total - late - on_time[:-1].sum()
        whole.events["power"] = whole.events["power"] + tally.events["power"]
        whole.events["fallback"] = whole.events["fallback"] + tally.events["fallback"]
        whole.events["verified"] = whole.events["verified"] + on_time
        whole.events["up"] = whole.events["up"] + _later(on_time, round(scenario.start_up_s(box_class) / bin_s))
    whole.events["return"][:-1] += served.events["verified"][:-1]
    for name in ("verified", "up"):
        whole.events[name] = whole.events[name] + served.events[name]
    whole.boot.setdefault(WHOLE, Histogram()).add(_from_power_on(served.all_boot(), scenario.deadline_s))
    alone = Histogram()
    for name in asked:
        alone.add(tallies[name].all_boot())
    whole.boot[WHOLE] = _no_later(whole.boot[WHOLE], alone)
    return whole


def _no_later(times: Histogram, alone: Histogram) -> Histogram:
    """Return the times, none of them later than the carousel alone makes them: which of those that are late had it off
    the air when is known of the many, not of each, and mixes those who powered up first with those who did last.
    """
    counts = np.diff(np.maximum(np.cumsum(times.counts), np.cumsum(alone.counts)), prepend=0)
    return Histogram(counts, times.total - int(counts.sum()), times.shown, times.least_s)


def _later(events: IntArray, bins: int) -> IntArray:
    """Return events so many bins later; what comes beyond the last one is in the last entry."""
    found = np.zeros_like(events)
    end = max(0, STEPS - bins)
    found[bins:STEPS] = events[:end]
    found[STEPS] = events.sum() - found[:STEPS].sum()
    return found


def _from_power_on(times: Histogram, deadline_s: float) -> Histogram:
    """Return times that count from the deadline as they count from power-on."""
    some = np.flatnonzero(times.counts)
    return Histogram.of_counts(MIDDLES_S[some] + deadline_s, times.counts[some], times.total)
