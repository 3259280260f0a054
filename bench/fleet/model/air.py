"""What the head-end sends, in virtual time: the real broadcaster's packets, and what each of them is.

Packets are gathered, so many of one size at once. Who only needs to know what they are, not their bytes, reads a log of
them that is made once in each process (`air_log`): all boxes of a scenario listen to one carousel.
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
from bench.fleet.scenario.values import Carousel, ReleaseSpec
from carousel.batch import Batch
from carousel.buffers import Bytes
from carousel.flute.alc import PLAIN_DTYPE, PLAIN_HEADER_BYTES, split_payload_id
from carousel.flute.releasefile import Release
from carousel.flute.toi import HEADER_TOI_OFFSET, base_of_toi, toi_base
from carousel.release.blocks import IntArray
from carousel.release.identity import Hardware, Version
from headend.cast.broadcaster import Broadcaster, BroadcastSettings
from headend.pack.packing import PackRequest, pack

__all__ = [
    "HEADER",
    "SIGNING_KEY",
    "AirLog",
    "Gather",
    "air_log",
    "carousel_offset_s",
    "hardware_of",
    "on_air",
    "packed_releases",
    "turn_s",
]

FloatArray = NDArray[np.float64]
GATHER_PACKETS = 512
SIGNING_KEY = b"bootcast's simulated signing key"
OFFSET_STREAM = 3
HEADER, OTHER = -1, -2
"""In place of a level: an announcement; what no box collects."""


def carousel_offset_s(seed: int, turn_s: float) -> float:
    """Return how far the carousel has got on its turn when the scenario begins: nobody knows, so it is drawn."""
    return float(np.random.default_rng([seed, OFFSET_STREAM]).random() * turn_s)


def turn_s(carousel: Carousel, specs: tuple[ReleaseSpec, ...]) -> float:
    """Return how long the carousel takes for one turn of all its releases."""
    return sum(len(each.packets) * each.packet_size for each in packed_releases(specs)) * 8 / carousel.rate_bps


def hardware_of(number: int) -> Hardware:
    """Return the hardware of a scenario's n-th release."""
    return Hardware(0x00A1B2, 7 + number)


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
                hardware_of(number),
                version,
                created_unix_s=1_750_000_000,
                name=spec.name[:32],
                symbol_size=spec.symbol_bytes,
                repair_ratio=spec.repair_ratio,
            )
            pack(image, output, key, request)
            releases.append(Release.parse(memoryview(output.read_bytes())))
    return tuple(releases)


def on_air(carousel: Carousel, specs: tuple[ReleaseSpec, ...], seed: int) -> Iterator[tuple[Bytes, FloatArray]]:
    """Yield what the head-end sends from time 0 on: packets of one size, and when the last bit of each has left.

    Announcements come by themselves: what a box hears changes with one.
    """
    releases = list(packed_releases(specs))
    offset_s = carousel_offset_s(seed, turn_s(carousel, specs))
    settings = BroadcastSettings(carousel.rate_bps, carousel.announce_interval_s)
    broadcaster = Broadcaster(releases, settings, now=0.0)
    clock = OnAirClock(carousel.silences)
    now = 0.0
    gathered: list[Bytes] = []
    times_s: list[FloatArray] = []
    count, gathered_kind = 0, (0, False)
    while True:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        if now < offset_s:
            continue
        packet_s = batch.stride * 8 / carousel.rate_bps
        leave_s = clock.times_s(now - offset_s + np.arange(1, batch.count + 1, dtype=np.float64) * packet_s)
        kind = batch.stride, _announces(batch)
        if gathered and (kind != gathered_kind or count + batch.count > GATHER_PACKETS):
            yield np.concatenate(gathered), np.concatenate(times_s)
            gathered, times_s, count = [], [], 0
        gathered_kind = kind
        gathered.append(batch.as_rows())
        times_s.append(leave_s)
        count += batch.count


def _announces(batch: Batch) -> bool:
    toi = int(np.frombuffer(batch.packet(0)[:PLAIN_HEADER_BYTES], PLAIN_DTYPE)["toi"][0])
    return toi - base_of_toi(toi) == HEADER_TOI_OFFSET


@dataclass(frozen=True, eq=False)
class Gather:
    """Packets of `size_bytes` each: when the last bit of each left, whose they are (`release`, -1 for none), their
    `level` (0 the image, `HEADER`, `OTHER`), and their row in that object; shapes (n,).
    """

    times_s: FloatArray
    size_bytes: int
    release: IntArray
    level: IntArray
    row: IntArray

    @classmethod
    def of(cls, packets: Bytes, times_s: FloatArray, releases: tuple[Release, ...]) -> "Gather":
        """Read what packets are off their headers."""
        headers = np.ascontiguousarray(packets[:, :PLAIN_HEADER_BYTES]).view(PLAIN_DTYPE).reshape(-1)
        toi, payload_id = headers["toi"].astype(np.int64), headers["payload_id"].astype(np.int64)
        owner, level = np.full(len(toi), -1), np.full(len(toi), OTHER)
        row = np.zeros(len(toi), dtype=np.int64)
        for number, release in enumerate(releases):
            base = toi_base(release.header.release_id)
            heads = toi == base + HEADER_TOI_OFFSET
            owner[heads], level[heads] = number, HEADER
            for which, geometry in enumerate(release.layout.objects):
                mine = toi == base + which
                owner[mine], level[mine] = number, which
                row[mine] = geometry.row_of(*split_payload_id(payload_id[mine], geometry.fec))
        return cls(times_s, packets.shape[1], owner, level, row)


class AirLog:
    """What went on air, in order; longer as somebody asks for more."""

    def __init__(self, carousel: Carousel, specs: tuple[ReleaseSpec, ...], seed: int) -> None:
        self._releases = packed_releases(specs)
        self._source = on_air(carousel, specs, seed)
        self._gathers: list[Gather] = []

    def gathers(self, until_s: float) -> Iterator[Gather]:
        """Yield from the begin on, to `until_s`."""
        index = 0
        while True:
            if index == len(self._gathers):
                self._gathers.append(Gather.of(*next(self._source), self._releases))
            gather = self._gathers[index]
            if gather.times_s[0] > until_s:
                return
            yield gather
            index += 1


@lru_cache(maxsize=2)
def air_log(carousel: Carousel, specs: tuple[ReleaseSpec, ...], seed: int) -> AirLog:
    """Return the log of a carousel, one for all boxes of a process."""
    return AirLog(carousel, specs, seed)
