"""Sampled fidelity where no curve holds: some hundreds of boxes are followed packet by packet, and stand for all.

Power cuts, outages, traces, 4-state loss, lines slower than the carousel, and boxes that decode slowly have no law here
(law.py). What counted receivers (counted.py) say of boxes drawn at random is exact for each, so what is drawn of
them is right as far as their number goes; percentiles that they do not know to a percent are refused.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.curves import shown_by
from bench.fleet.model.packet import packet_shards_of, simulate
from bench.fleet.model.power import up_s
from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Group, Scenario
from bench.link.spec import LinkSpec
from carousel.flute.alc import PLAIN_HEADER_BYTES
from headend.link.sender import IP_UDP_BYTES

__all__ = ["draw_box_by_box", "why_box_by_box"]

FloatArray = NDArray[np.float64]
STREAM = 13
RECEIVER_PACKETS = 1.2e7
LEAST_BOXES, MOST_BOXES = 192, 4096


def why_box_by_box(scenario: Scenario, group: Group) -> str | None:
    """Return why no curve holds for a group, or None where one may."""
    box_class, trunk = group.box_class, scenario.trunk(group.box_class.trunk)
    if group.region.cuts:
        return "its power fails"
    if box_class.work_bytes_per_s is not None:
        return "its boxes take time to decode"
    for link in (box_class.down, *([trunk.down] if trunk else [])):
        why = _why_link(scenario, group, link)
        if why is not None:
            return why
    return None


def _why_link(scenario: Scenario, group: Group, link: LinkSpec) -> str | None:
    payload = PLAIN_HEADER_BYTES + scenario.release(group.box_class.release).symbol_bytes
    wire_bps = scenario.carousel.rate_bps * (payload + IP_UDP_BYTES[False]) / payload
    reasons = {
        "its link has outages": bool(link.outages),
        "of 4-state loss": link.four_state is not None,
        "of a loss trace": link.loss_trace is not None,
        "of a rate trace": link.rate_trace_ms is not None,
        "its line is slower than the carousel": link.rate_bps is not None and wire_bps > link.rate_bps,
    }
    return next((why for why, holds in reasons.items() if holds), None)


def draw_box_by_box(tally: Tally, scenario: Scenario, seed: int, group: Group, why: str) -> None:
    """Follow some boxes of a group, and let each stand for as many as fall to it."""
    release = scenario.release(group.box_class.release)
    many = int(RECEIVER_PACKETS * release.symbol_bytes / release.image_bytes / len(scenario.releases))
    count = min(group.boxes, int(np.clip(many, LEAST_BOXES, MOST_BOXES)))
    some = replace(group, boxes=count)
    alone = replace(scenario, trunks=tuple(replace(each, boxes=1) for each in scenario.trunks))
    found = [simulate(shard) for shard in packet_shards_of(alone, seed, some)]
    starts_s = np.concatenate([each.start_s for each in found])
    verified_s = np.concatenate([each.verified_s for each in found])
    runs_s = up_s(verified_s, scenario.install_s(group.box_class), group.box_class.boot_s, group.region.cuts)
    rng = np.random.default_rng([seed, STREAM, group.index])
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
