"""Sampled fidelity where no curve holds: some hundreds of boxes are followed packet by packet, and stand for all.

Power cuts, outages, traces, 4-state loss, lines slower than the carousel, and boxes that decode slowly have no law here
(law.py). What counted receivers (counted.py) say of boxes drawn at random is exact for each, so what is drawn of
them is right as far as their number goes; percentiles that they do not know to a percent are refused.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.air import turn_s
from bench.fleet.model.curves import WIDE_INTERVALS, is_wide, shown_by
from bench.fleet.model.onair import OnAirClock
from bench.fleet.model.packet import packet_shards_of, simulate
from bench.fleet.model.power import up_s
from bench.fleet.model.starts import stratified_starts
from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Group, Region, Scenario, Spread, SpreadKind
from bench.link.spec import LinkSpec
from carousel.flute.alc import PLAIN_HEADER_BYTES
from headend.link.sender import IP_UDP_BYTES

__all__ = ["draw_box_by_box", "why_box_by_box"]

FloatArray = NDArray[np.float64]
STREAM = 13
RECEIVER_PACKETS = 1.2e7
LEAST_BOXES, MOST_BOXES = 192, 4096
LEAST_SURPLUS = 0.01
"""A line that lacks less than this of what it takes drops hardly anything."""


def why_box_by_box(scenario: Scenario, group: Group) -> str | None:
    """Return why no curve holds for a group, or None where one may."""
    if group.region.cuts:
        return "its power fails"
    if group.box_class.work_bytes_per_s is not None:
        return "its boxes take time to decode"
    for link in _links(scenario, group):
        why = _why_link(scenario, group, link)
        if why is not None:
            return why
    return None


def _why_link(scenario: Scenario, group: Group, link: LinkSpec) -> str | None:
    reasons = {
        "its link has outages": bool(link.outages),
        "of 4-state loss": link.four_state is not None,
        "of a loss trace": link.loss_trace is not None,
        "of a rate trace": link.rate_trace_ms is not None,
        "its line is slower than the carousel": link.rate_bps is not None
        and _wire_bps(scenario, group) > link.rate_bps,
    }
    return next((why for why, holds in reasons.items() if holds), None)


def _soon(scenario: Scenario, group: Group) -> Region:
    """Return a region whose boxes meet the same in a few turns of the carousel, where their power-on does not matter,
    or the group's own. So nobody follows hours of packets that a handful of boxes hear.
    """
    region, links = group.region, _links(scenario, group)
    is_steady = OnAirClock(scenario.carousel.silences).is_steady and not region.cuts
    if not (is_steady and is_wide(scenario, region)) or any(link.outages or link.rate_trace_ms for link in links):
        return region
    each_s = turn_s(scenario.carousel, scenario.releases)
    window_s = each_s * math.ceil(WIDE_INTERVALS * scenario.carousel.announce_interval_s / each_s)
    lead_s = max(_filled_s(scenario, group, link) for link in links)
    own_s = stratified_starts(region, 2, np.random.default_rng(0))
    if lead_s + window_s > min(float(np.ptp(own_s)), scenario.horizon_s / 2):
        return region
    return replace(region, power_at_s=lead_s, spread=Spread(SpreadKind.UNIFORM, window_s))


def _filled_s(scenario: Scenario, group: Group, link: LinkSpec) -> float:
    """Return when the queue of a line that is slower than the carousel is as full as it gets."""
    if link.rate_bps is None:
        return 0.0
    surplus = abs(_wire_bps(scenario, group) * (1 - link.mean_loss) / link.rate_bps - 1)
    return link.queue_s / max(LEAST_SURPLUS, surplus)


def _links(scenario: Scenario, group: Group) -> list[LinkSpec]:
    """Return what lies between the carousel and a box."""
    trunk = scenario.trunk(group.box_class.trunk)
    return [group.box_class.down, *([trunk.down] if trunk else [])]


def _wire_bps(scenario: Scenario, group: Group) -> float:
    """Return what the carousel takes of a line, headers and all."""
    payload = PLAIN_HEADER_BYTES + scenario.release(group.box_class.release).symbol_bytes
    return scenario.carousel.rate_bps * (payload + IP_UDP_BYTES[False]) / payload


def draw_box_by_box(tally: Tally, scenario: Scenario, seed: int, group: Group, why: str) -> None:
    """Follow some boxes of a group, and let each stand for as many as fall to it."""
    release = scenario.release(group.box_class.release)
    many = int(RECEIVER_PACKETS * release.symbol_bytes / release.image_bytes / len(scenario.releases))
    count = min(group.boxes, int(np.clip(many, LEAST_BOXES, MOST_BOXES)))
    some = replace(group, boxes=count, region=_soon(scenario, group))
    alone = replace(scenario, trunks=tuple(replace(each, boxes=1) for each in scenario.trunks))
    found = [simulate(shard) for shard in packet_shards_of(alone, seed, some)]
    starts_s = np.concatenate([each.start_s for each in found])
    verified_s = np.concatenate([each.verified_s for each in found])
    rng = np.random.default_rng([seed, STREAM, group.index])
    if some.region is not group.region:
        taken_s, starts_s = verified_s - starts_s, rng.permutation(stratified_starts(group.region, count, rng))
        verified_s = starts_s + taken_s
    runs_s = up_s(verified_s, scenario.install_s(group.box_class), group.box_class.boot_s, group.region.cuts)
    counts = rng.multinomial(group.boxes, np.full(count, 1 / count))
    tally.count_boxes(group.region.name, starts_s, verified_s, runs_s, scenario.deadline_s, counts)
    is_done = np.isfinite(verified_s)
    tally.count_efficiency(np.concatenate([each.efficiency for each in found])[is_done], counts[is_done])
    tally.packets += sum(int(each.packets.sum()) for each in found)
    tally.real_boxes += sum(each.real for each in found)
    tally.counted_boxes += count - sum(each.real for each in found)
    shown = shown_by(np.sort(runs_s - starts_s)) if count < group.boxes else 0.0
    histogram = tally.boot[group.region.name]
    histogram.shown = max(histogram.shown, shown)
    note = (
        f"{group.box_class.name} in {group.region.name}: drawn from {count:,} boxes packet by packet, since {why}; "
        f"percentiles beyond p{100 * (1 - shown):g} are refused"
    )
    tally.notes.setdefault(note, None)
