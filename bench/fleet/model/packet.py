"""Packet fidelity: the real broadcaster, link models, and a receiver for each box, in virtual time.

All of the head-end is its own code: pacing, order, announcements. Of the boxes either all is (`real.py`), or only what
decides when they are done (`counted.py`), which says the same times to the packet, dozens of times as fast.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.air import air_log, on_air, packed_releases
from bench.fleet.model.counted import CountedBoxes, worked_s
from bench.fleet.model.power import on_spans, powered_s, up_s
from bench.fleet.model.real import RealBox
from bench.fleet.model.starts import draw_starts
from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Group, Scenario, Trunk
from bench.link.chain import Chain
from bench.link.traffic import Traffic

__all__ = [
    "PacketShard",
    "Simulated",
    "packet_shards",
    "packet_shards_of",
    "run_packet_shard",
    "simulate",
    "trunk_seed",
]

FloatArray = NDArray[np.float64]
Packets = TypeVar("Packets")
SHARD_BOXES = 64
TRUNK_STREAM, START_STREAM, LINK_STREAM = range(3)
WARM_UP_S = 1.0
ROOMY = 1.1
"""A line so much faster than the carousel has a queue that is empty, whenever one begins to look."""


def trunk_seed(seed: int, group: Group, neighbourhood: int) -> tuple[int, ...]:
    """Return the seed of the losses that a neighbourhood shares."""
    return (seed, TRUNK_STREAM, group.index, neighbourhood)


@dataclass(frozen=True)
class PacketShard:
    """Some boxes of one group: a pure function of (scenario, seed, shard) says what becomes of them."""

    scenario: Scenario
    seed: int
    group: Group
    first: int
    boxes: int
    is_real: bool = False

    @property
    def trunk(self) -> Trunk | None:
        """The trunk that its boxes are behind: all of them one, or each its own, where it is for one box."""
        return self.scenario.trunk(self.group.box_class.trunk)

    @property
    def street(self) -> tuple[int, int]:
        """The number of this shard's street, and how many boxes share it: the whole group where none share a trunk."""
        trunk = self.trunk
        if trunk is None or trunk.boxes == 1:
            return 0, self.group.boxes
        number = self.first // trunk.boxes
        return number, min(trunk.boxes, self.group.boxes - number * trunk.boxes)


def packet_shards(scenario: Scenario, seed: int, is_real: bool = False) -> list[PacketShard]:
    """Cut a fleet into shards, the same whatever the number of workers; neighbourhoods stay apart."""
    return [shard for group in scenario.groups() for shard in packet_shards_of(scenario, seed, group, is_real)]


def packet_shards_of(scenario: Scenario, seed: int, group: Group, is_real: bool = False) -> list[PacketShard]:
    """Cut one group into shards."""
    trunk, shards = scenario.trunk(group.box_class.trunk), []
    whole = trunk.boxes if trunk and trunk.boxes > 1 else group.boxes
    for street in range(0, group.boxes, whole):
        end = min(street + whole, group.boxes)
        for first in range(street, end, SHARD_BOXES):
            shards.append(PacketShard(scenario, seed, group, first, min(SHARD_BOXES, end - first), is_real))
    return shards


@dataclass(frozen=True)
class Simulated:
    """What became of some boxes, in order of power-on; shapes (boxes,). `real` says of how many real receivers were
    run.
    """

    start_s: FloatArray
    verified_s: FloatArray
    efficiency: FloatArray
    packets: NDArray[np.int64]
    real: int


def run_packet_shard(shard: PacketShard) -> Tally:
    """Let the boxes of a shard listen until all have their image, or the horizon is reached."""
    found = simulate(shard)
    scenario, box_class, region = shard.scenario, shard.group.box_class, shard.group.region
    tally = Tally(scenario.horizon_s)
    runs_s = up_s(found.verified_s, scenario.install_s(box_class), box_class.boot_s, region.cuts)
    tally.count_boxes(region.name, found.start_s, found.verified_s, runs_s, scenario.deadline_s)
    tally.count_efficiency(found.efficiency[np.isfinite(found.verified_s)])
    tally.packets = int(found.packets.sum())
    tally.real_boxes, tally.counted_boxes = found.real, shard.boxes - found.real
    return tally


def simulate(shard: PacketShard) -> Simulated:
    """Cast to the boxes of a shard, each behind a link of its own."""
    spans_s = _spans_s(shard)
    everybody = np.arange(shard.boxes)
    if shard.is_real:
        return _by_real(shard, spans_s, everybody)
    scenario, box_class = shard.scenario, shard.group.box_class
    boxes = CountedBoxes(
        packed_releases(scenario.releases), _number(shard), spans_s, scenario.keeps_parts, box_class.work_bytes_per_s
    )
    log = air_log(scenario.carousel, scenario.releases, shard.seed)
    gathers = ((each, each.times_s, each.size_bytes) for each in log.gathers(scenario.horizon_s))
    for gather, traffic in _behind_links(shard, spans_s, gathers):
        boxes.hear(gather, traffic)
        if not boxes.is_waiting.any():
            break
    beyond = np.flatnonzero(boxes.is_beyond)
    verified_s, efficiency, packets = boxes.verified_s, boxes.efficiency, boxes.packets
    if len(beyond):
        real = _by_real(shard, spans_s, beyond)
        verified_s[beyond], efficiency[beyond], packets[beyond] = real.verified_s, real.efficiency, real.packets
    return Simulated(boxes.start_s, verified_s, efficiency, packets, len(beyond))


def _by_real(shard: PacketShard, spans_s: list[list[tuple[float, float]]], chosen: NDArray[np.int64]) -> Simulated:
    """Run real receivers for the chosen boxes, and tell of these alone."""
    scenario, number = shard.scenario, _number(shard)
    boxes = [RealBox(scenario.releases, number, spans_s[index], scenario.keeps_parts) for index in chosen.tolist()]
    source = on_air(scenario.carousel, scenario.releases, shard.seed)
    air = ((packets, times_s, packets.shape[1]) for packets, times_s in source)
    for packets, traffic in _behind_links(shard, spans_s, air):
        waiting = [each for each in zip(boxes, chosen.tolist(), strict=True) if each[0].verified_s == np.inf]
        if not waiting:
            break
        for box, index in waiting:
            box.hear(packets, traffic, index)
    rate = shard.group.box_class.work_bytes_per_s
    image_bytes = scenario.release(shard.group.box_class.release).image_bytes
    verified_s = [worked_s(box.ripe_s, image_bytes / len(box.ripe_s), rate) if box.verified_s < np.inf else np.inf
                  for box in boxes]  # fmt: skip
    return Simulated(
        np.array([box.start_s for box in boxes]),
        np.array(verified_s),
        np.array([box.efficiency for box in boxes]),
        np.array([box.packets for box in boxes]),
        len(chosen),
    )


def _number(shard: PacketShard) -> int:
    names = [each.name for each in shard.scenario.releases]
    return names.index(shard.group.box_class.release)


def _street_starts_s(shard: PacketShard) -> FloatArray:
    """Return when the boxes of a shard's street power up, in no order."""
    street, boxes = shard.street
    rng = np.random.default_rng([shard.seed, START_STREAM, shard.group.index, street])
    return powered_s(draw_starts(shard.group, boxes, rng), shard.group.region.cuts)


def _spans_s(shard: PacketShard) -> list[list[tuple[float, float]]]:
    """Return when each box is on. Boxes of a shard power up one soon after the other: so none waits for long."""
    first = shard.first - (shard.street[0] * shard.trunk.boxes if shard.trunk else 0)
    mine_s = np.sort(_street_starts_s(shard))[first : first + shard.boxes].tolist()
    return [on_spans(start_s, shard.group.region.cuts) for start_s in mine_s]


def _begin_s(shard: PacketShard, first_s: float) -> float:
    """Return from when on links must be followed for boxes that listen from `first_s` on: always, where queues
    remember.
    """
    specs = [shard.group.box_class.down, *([shard.trunk.down] if shard.trunk else [])]
    for spec in specs:
        is_slow = spec.rate_bps is not None and spec.rate_bps < ROOMY * shard.scenario.carousel.rate_bps
        if is_slow or spec.rate_trace_ms is not None:
            return -np.inf
    return first_s - WARM_UP_S - sum(spec.delay_s + spec.jitter_s for spec in specs)


def _behind_links(
    shard: PacketShard, spans_s: list[list[tuple[float, float]]], air: Iterator[tuple[Packets, FloatArray, int]]
) -> Iterator[tuple[Packets, Traffic]]:
    """Yield (packets, what the links make of them) of what is on air, up to the horizon."""
    scenario, group, seed = shard.scenario, shard.group, shard.seed
    boxes, first_s = len(spans_s), spans_s[0][0][0]
    links = Chain(group.box_class.down, boxes, (seed, LINK_STREAM, group.index, shard.first))
    trunks = boxes if shard.trunk and shard.trunk.boxes == 1 else 1
    shared_seed = trunk_seed(seed, group, shard.first if trunks > 1 else shard.street[0])
    shared = Chain(shard.trunk.down, trunks, shared_seed) if shard.trunk else None
    begin_s = _begin_s(shard, first_s)
    if shared is not None:
        begin_s = min(begin_s, _street_begin_s(shard))
    for packets, arrival_s, size_bytes in air:
        if arrival_s[0] > scenario.horizon_s:
            return
        if arrival_s[-1] < begin_s or _is_unheard(shard, arrival_s):
            continue
        traffic = Traffic.arriving(arrival_s, np.full(len(arrival_s), size_bytes, dtype=np.int64), trunks)
        if shared is not None:
            shared.let_through(traffic)
        traffic = traffic if trunks == boxes else traffic.behind_trunk(boxes)
        links.let_through(traffic)
        if traffic.due_s[-1].max() >= first_s:
            yield packets, traffic


def _is_unheard(shard: PacketShard, arrival_s: FloatArray) -> bool:
    """Whether all of this comes while the power of all boxes is off."""
    return any(
        cut.at_s <= arrival_s[0] and arrival_s[-1] < _begin_s(shard, cut.end_s) for cut in shard.group.region.cuts
    )


def _street_begin_s(shard: PacketShard) -> float:
    """Return from when on a trunk is followed: the same for all shards of its street, so that all see one trunk."""
    return _begin_s(shard, float(_street_starts_s(shard).min()))
