"""Packet fidelity: the real broadcaster, the real receivers, and link models between them, in virtual time.

Everything is the code that runs on a head-end and on a box: pacing, order, announcements, parsing, CRC, bookkeeping,
signature, RaptorQ, BLAKE3. One thing stands in: a box keeps no source symbols of its own. Symbols that arrive intact
are what was sent, so all boxes of a process let them land in one copy of the release; a packet that the link corrupts
fails its CRC as on a real box.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from bench.fleet.model.onair import OnAirClock
from bench.fleet.model.starts import draw_starts
from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Group, ReleaseSpec, Scenario
from bench.link.chain import Chain
from bench.link.traffic import Traffic
from bench.virtual.box import InlineBox
from bench.virtual.memory import landings_in_memory
from carousel.batch import MAX_BATCH_PACKETS, Batch
from carousel.buffers import Bytes
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.flute.interleave import transmit_places
from carousel.flute.releasefile import Release, digest_places
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from headend.cast.broadcaster import Broadcaster, BroadcastSettings
from headend.pack.packing import PackRequest, pack
from settop.stitch.policy import BoxProfile

__all__ = ["PacketShard", "carousel_offset_s", "packet_shards", "run_packet_shard", "trunk_seed"]

FloatArray = NDArray[np.float64]
SHARD_BOXES = 32
GATHER_PACKETS = 512
"""So many packets of one size are carried at once; a box takes them in parts that can't complete its image unseen."""
SIGNING_KEY = b"bootcast's simulated signing key"
TRUNK_STREAM, START_STREAM, LINK_STREAM, OFFSET_STREAM = range(4)


def carousel_offset_s(seed: int, turn_s: float) -> float:
    """Return how far the carousel has got on its turn when the scenario begins: nobody knows, so it is drawn."""
    return float(np.random.default_rng([seed, OFFSET_STREAM]).random() * turn_s)


def trunk_seed(seed: int, group: Group, neighbourhood: int) -> tuple[int, ...]:
    """Return the seed of the losses that a neighbourhood shares."""
    return (seed, TRUNK_STREAM, group.index, neighbourhood)


@lru_cache(maxsize=4)
def packed_releases(specs: tuple[ReleaseSpec, ...]) -> tuple[Release, ...]:
    """Pack images of noise, one for each kind of hardware, signed by one key."""
    key = Ed25519PrivateKey.from_private_bytes(SIGNING_KEY)
    releases = []
    with tempfile.TemporaryDirectory(prefix="bootcast-fleet-") as folder:
        for number, spec in enumerate(specs):
            image, output = Path(folder, "image"), Path(folder, "release")
            image.write_bytes(hashlib.shake_128(f"image {number}".encode()).digest(spec.image_bytes))
            version = Version.parse("2.0.0")
            request = PackRequest(
                _hardware(number),
                version,
                created_unix_s=1_750_000_000,
                name=spec.name[:32],
                symbol_size=spec.symbol_bytes,
                repair_ratio=spec.repair_ratio,
            )
            pack(image, output, key, request)
            releases.append(Release.parse(memoryview(output.read_bytes())))
    return tuple(releases)


def _hardware(number: int) -> Hardware:
    return Hardware(0x00A1B2, 7 + number)


@lru_cache(maxsize=4)
def _source_symbols(specs: tuple[ReleaseSpec, ...], number: int) -> tuple[Bytes, ...]:
    """Return a release's source symbols, level by level: one copy that all boxes of a process write alike."""
    release = packed_releases(specs)[number]
    levels = []
    for level, geometry in enumerate(release.layout.objects):
        sbn, esi = geometry.symbols_of(np.arange(geometry.source_symbols))
        places = transmit_places(geometry, sbn, esi)
        if level:
            places = release.image_packets + digest_places(release.layout, level, sbn, esi)
        levels.append(np.ascontiguousarray(release.packets[places, PLAIN_HEADER_BYTES:]))
    return tuple(levels)


class SimulatedBox:
    """One receiver whose jobs are done at once. `verified_s` is in the scenario's time, infinity for never."""

    def __init__(self, specs: tuple[ReleaseSpec, ...], number: int, start_s: float) -> None:
        release = packed_releases(specs)[number]
        key = Ed25519PrivateKey.from_private_bytes(SIGNING_KEY)
        profile = BoxProfile(_hardware(number), TrustRing.of([key.public_key()]))
        shared = _source_symbols(specs, number)
        self.box = InlineBox(profile, release.tsi, landings=lambda layout: landings_in_memory(layout, shared))
        self.box.tune_in(start_s)
        self.verified_s = np.inf
        self.start_s = start_s
        self.efficiency = 0.0
        self.packets = 0

    @property
    def lacking(self) -> int:
        """How many symbols must come at the least until an image is whole; many while no header was heard."""
        lacking = (each.needed_symbols - each.useful_symbols for each in self.box.assemblies.values())
        return min(lacking, default=MAX_BATCH_PACKETS)

    def receive(self, batch: Batch, now_s: float) -> None:
        """Take a batch, do all work that it makes possible, and see whether the image is there."""
        self.packets += batch.count
        self.box.receive(batch, now_s)
        chosen = self.box.receiver.choose(now_s)
        if chosen is not None:
            self.verified_s = now_s
            received = self.box.wire.heard(chosen.header.release_id).received
            self.efficiency = chosen.needed_symbols / max(received, chosen.needed_symbols)


@dataclass(frozen=True)
class PacketShard:
    """Some boxes of one group: a pure function of (scenario, seed, shard) says what becomes of them."""

    scenario: Scenario
    seed: int
    group: Group
    first: int
    boxes: int


def packet_shards(scenario: Scenario, seed: int) -> list[PacketShard]:
    """Cut a fleet into shards, the same whatever the number of workers; neighbourhoods stay apart."""
    shards = []
    for group in scenario.groups():
        trunk = scenario.trunk(group.box_class.trunk)
        whole = trunk.boxes if trunk else group.boxes
        for street in range(0, group.boxes, whole):
            end = min(street + whole, group.boxes)
            for first in range(street, end, SHARD_BOXES):
                shards.append(PacketShard(scenario, seed, group, first, min(SHARD_BOXES, end - first)))
    return shards


def run_packet_shard(shard: PacketShard) -> Tally:
    """Let the boxes of a shard listen until all have their image, or the horizon is reached."""
    boxes = simulate(shard)
    scenario, box_class = shard.scenario, shard.group.box_class
    tally = Tally(scenario.horizon_s)
    starts_s = np.array([box.start_s for box in boxes])
    verified_s = np.array([box.verified_s for box in boxes])
    region, start_up_s = shard.group.region.name, box_class.install_s + box_class.boot_s
    tally.count_boxes(region, starts_s, verified_s, start_up_s, scenario.deadline_s)
    tally.count_efficiency(np.array([box.efficiency for box in boxes])[np.isfinite(verified_s)])
    tally.packets = sum(box.packets for box in boxes)
    return tally


def simulate(shard: PacketShard) -> list[SimulatedBox]:
    """Cast to the boxes of a shard, each behind a link of its own."""
    scenario, group, seed = shard.scenario, shard.group, shard.seed
    rng = np.random.default_rng([seed, START_STREAM, group.index, shard.first])
    number = next(n for n, each in enumerate(scenario.releases) if each.name == group.box_class.release)
    starts_s = np.sort(draw_starts(group, shard.boxes, rng))
    boxes = [SimulatedBox(scenario.releases, number, float(start_s)) for start_s in starts_s]
    links = Chain(group.box_class.down, len(boxes), (seed, LINK_STREAM, group.index, shard.first))
    trunk = scenario.trunk(group.box_class.trunk)
    street = shard.first // trunk.boxes if trunk else 0
    shared = Chain(trunk.down, 1, trunk_seed(seed, group, street)) if trunk else None
    for rows, arrival_s in _on_air(scenario, seed):
        if arrival_s[0] > scenario.horizon_s:
            break
        traffic = Traffic.arriving(arrival_s, np.full(len(rows), rows.shape[1], dtype=np.int64), 1)
        if shared is not None:
            shared.carry(traffic)
        traffic = traffic.behind_trunk(len(boxes))
        links.carry(traffic)
        waiting = [index for index, box in enumerate(boxes) if box.verified_s == np.inf]
        if not waiting:
            break
        for index in waiting:
            if boxes[index].start_s <= traffic.due_s[-1, index]:
                _deliver(rows, traffic, index, boxes[index])
    return boxes


def _on_air(scenario: Scenario, seed: int) -> Iterator[tuple[NDArray[np.uint8], FloatArray]]:
    """Yield what the head-end sends from time 0 on: packets of one size, and when the last bit of each has left."""
    releases = list(packed_releases(scenario.releases))
    carousel = scenario.carousel
    packets_bits = sum(len(each.packets) * each.packet_size for each in releases) * 8
    offset_s = carousel_offset_s(seed, packets_bits / carousel.rate_bps)
    settings = BroadcastSettings(carousel.rate_bps, carousel.announce_interval_s)
    broadcaster = Broadcaster(releases, settings, now=0.0)
    clock = OnAirClock(carousel.silences)
    now = 0.0
    gathered: list[NDArray[np.uint8]] = []
    times_s: list[FloatArray] = []
    count = 0
    while True:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        if now < offset_s:
            continue
        packet_s = batch.stride * 8 / carousel.rate_bps
        leave_s = clock.times_s(now - offset_s + np.arange(1, batch.count + 1, dtype=np.float64) * packet_s)
        if gathered and (gathered[0].shape[1] != batch.stride or count + batch.count > GATHER_PACKETS):
            yield np.concatenate(gathered), np.concatenate(times_s)
            gathered, times_s, count = [], [], 0
        gathered.append(batch.as_rows())
        times_s.append(leave_s)
        count += batch.count


def _deliver(rows: NDArray[np.uint8], traffic: Traffic, index: int, box: SimulatedBox) -> None:
    """Hand one box what its link let through of some packets, in the order in which they come."""
    due_s, copies = traffic.due_s[:, index], traffic.copies[:, index]
    come = np.repeat(np.arange(len(rows)), np.where(due_s >= box.start_s, copies, 0))
    if not len(come):
        return
    come = come[np.argsort(due_s[come], kind="stable")]
    arrived = rows[come]
    bits = traffic.corrupt_bit[come, index]
    for row in np.flatnonzero(bits >= 0).tolist():
        arrived[row, bits[row] // 8] ^= 1 << (bits[row] % 8)
    first = 0
    while first < len(come) and box.verified_s == np.inf:
        # Fewer than it lacks can't complete it; the last ones come one by one, so that times are exact to the packet.
        part = arrived[first : first + max(1, min(box.lacking - 1, MAX_BATCH_PACKETS))]
        last_s = float(due_s[come[first + len(part) - 1]])
        box.receive(Batch(part.data.cast("B"), part.shape[1], len(part)), last_s)
        first += len(part)
