"""Two head-ends, one carousel: each sends half the rate, and all of it within a second of the other's silence.

Theory. Packets are rendered when a release is packed, and TOIs follow from its header, so two senders are
interchangeable without a word between them. Each hears the group. Its peer is alive as long as what it hears carries
at least 80 % of half the rate in packets that equal ours byte for byte (presence alone could be replayed). They turn
half a cycle apart: one sends source symbols while the other sends repair symbols (opposite halves where there are
none), so all that the two send within one image's time is distinct, and a box needs no longer than from one. The second
keeps the distance: clocks drift, and the first may have been started anew.

    ALIVE (half the rate) ──too little heard in `SILENCE_S`──► ALONE (all of it)
      ▲                                                          │
      └─────────────────heard enough again in `SILENCE_S`────────┘
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from carousel.batch import Batch
from carousel.flute.alc import PLAIN_DTYPE
from carousel.flute.interleave import transmit_places
from carousel.flute.releasefile import Release
from carousel.release.blocks import FecId, IntArray
from headend.cast.broadcaster import Broadcaster

__all__ = ["Ear", "Pair", "PairRole", "PeerWatch", "distance_to_opposite"]

SILENCE_S = 0.6
"""What is heard within this time decides; well under the second that a take-over may last."""
ALIVE_SHARE = 0.8
TEND_S = 0.02
"""How often the group is listened to."""
REALIGN_S = 5.0
TOLERANCE = 0.05
"""How far from half a cycle apart the two may be, in cycles."""


class PairRole(Enum):
    """Which of the two: the first begins with source symbols, the second half a cycle on, and keeps the distance."""

    FIRST = "first"
    SECOND = "second"


@dataclass
class PeerWatch:
    """What a head-end knows of its peer from the air."""

    rate_bps: float
    since_s: float
    heard_bytes: int = 0
    foreign_packets: int = 0
    _releases: dict[int, Release] = field(default_factory=dict)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    _peers: dict[int, "_PeerPlace"] = field(default_factory=dict)

    def replace(self, releases: Sequence[Release]) -> None:
        """Know the peer by the packets of these releases."""
        self._releases = {release.toi_base: release for release in releases}

    def heard(self, batch: Batch, now: float) -> None:
        """Take packets off the air that are not our own."""
        toi = PLAIN_DTYPE.fields["toi"][1] if PLAIN_DTYPE.fields else 0
        if batch.stride < PLAIN_DTYPE.itemsize:
            return
        packets = batch.as_rows()
        tois = packets[:, toi : toi + 4].copy().view(">u4")[:, 0]
        for base in np.unique(tois).tolist():
            release = self._releases.get(base)
            mine = packets[tois == base]
            if release is None or batch.stride != release.packet_size:
                continue
            places = _places(release, mine)
            known = places >= 0
            same = np.zeros(len(mine), dtype=np.bool_)
            same[known] = _are_of(release, places[known], mine[known])
            self.foreign_packets += int(np.count_nonzero(~same))
            self._count(base, places[same], int(np.count_nonzero(same)) * batch.stride, now)

    def _count(self, base: int, places: IntArray, size_bytes: int, now: float) -> None:
        if size_bytes:
            self.heard_bytes += size_bytes
            self._recent.append((now, size_bytes))
            release = self._releases[base]
            self._peers.setdefault(base, _PeerPlace()).heard(places >= release.image_packets // 2, now)

    def is_alive(self, now: float) -> bool:
        """Say whether the peer carries its half; for the first moments, that it may come."""
        while self._recent and self._recent[0][0] < now - SILENCE_S:
            self._recent.popleft()
        if now - self.since_s < SILENCE_S:
            return True
        needed_bytes = ALIVE_SHARE * self.rate_bps / 2 / 8 * SILENCE_S
        return sum(size for _, size in self._recent) >= needed_bytes * self._image_share

    @property
    def _image_share(self) -> float:
        """Digests and announcements are no packets of the image: less than a twentieth, of small releases more."""
        images = sum(release.image_packets for release in self._releases.values())
        return 0.9 * images / max(1, sum(release.layout.rows for release in self._releases.values()))

    def row_of(self, release: Release, now: float) -> int | None:
        """Return about which image packet the peer is at, None where it was not heard lately."""
        peer = self._peers.get(release.toi_base)
        if peer is None or not peer.is_known or now - peer.heard_s >= SILENCE_S:
            return None
        half = release.image_packets // 2
        return min(peer.is_late * half + peer.packets, release.image_packets - 1)


@dataclass
class _PeerPlace:
    """Where the peer is in a release.

    Packets are shuffled, but never across the middle of a cycle: the change from one half to the other tells where it
    was, and the packets since then where it is.
    """

    is_known: bool = False
    is_late: bool = False
    packets: int = 0
    heard_s: float = 0.0

    def heard(self, late: NDArray[np.bool_], now: float) -> None:
        """Take which of some packets are of a cycle's second half, in the order of arrival."""
        is_late = bool(late[-1])
        if is_late != self.is_late:
            self.is_known = self.heard_s > 0
            self.packets = 0
        self.packets += int(np.count_nonzero(late == is_late))
        self.is_late = is_late
        self.heard_s = now


def _are_of(release: Release, places: IntArray, packets: np.ndarray) -> NDArray[np.bool_]:
    """Say of each packet whether it is the release's; none is where its file was cut."""
    try:
        own = np.concatenate([release.read_packets(place, 1) for place in places.tolist()] or [packets[:0]])
    except OSError:
        return np.zeros(len(packets), dtype=np.bool_)
    same: NDArray[np.bool_] = (own == packets).all(axis=1)
    return same


def _places(release: Release, packets: np.ndarray) -> IntArray:
    """Return each packet's place in the release file, -1 where it can't be one of the image's."""
    geometry = release.layout.objects[0]
    at = PLAIN_DTYPE.fields["payload_id"][1] if PLAIN_DTYPE.fields else 0
    ids = packets[:, at : at + 4].copy().view(">u4")[:, 0].astype(np.int64)
    shift = 24 if geometry.fec is FecId.RAPTORQ else 16
    sbn, esi = ids >> shift, ids & ((1 << shift) - 1)
    known = sbn < geometry.blocks
    known &= esi < geometry.block_sizes[np.where(known, sbn, 0)] + geometry.repair_per_block
    places = np.full(len(ids), -1, dtype=np.int64)
    places[known] = transmit_places(geometry, sbn[known], esi[known])
    return places


def distance_to_opposite(row: float, peer_row: float, packets: int) -> float:
    """Return how many packets lie between `row` and half a cycle from the peer's, 0 where it is near enough."""
    opposite = (peer_row + packets / 2) % packets
    distance = abs(row - opposite)
    distance = min(distance, packets - distance)
    return distance if distance > TOLERANCE * packets else 0.0


class Ear(Protocol):
    """Hears the group."""

    def hear(self) -> Iterable[Batch]:
        """Yield what waits, at most so much, and nothing that we sent ourselves."""


class Pair:
    """One of two head-ends: listens, and keeps its carousel at half the rate, half a cycle from the other's."""

    def __init__(self, role: PairRole, ear: Ear, rate_bps: float, now: float) -> None:
        self.role = role
        self.watch = PeerWatch(rate_bps, now)
        self.is_alone = False
        self._ear = ear
        self._rate_bps = rate_bps
        self._tend_at_s = self._realign_at_s = now

    def tend(self, broadcaster: Broadcaster, now: float) -> bool:
        """Listen, and let the carousel follow; say whether the peer came or went."""
        if now < self._tend_at_s:
            return False
        self._tend_at_s = now + TEND_S
        self.watch.replace([place.release for place in broadcaster.places])
        for batch in self._ear.hear():
            self.watch.heard(batch, now)
        was_alone, self.is_alone = self.is_alone, not self.watch.is_alive(now)
        broadcaster.set_rate(self._rate_bps if self.is_alone else self._rate_bps / 2)
        if self.role is PairRole.SECOND and not self.is_alone and now >= self._realign_at_s:
            self._keep_distance(broadcaster, now)
        return was_alone != self.is_alone

    def _keep_distance(self, broadcaster: Broadcaster, now: float) -> None:
        for place in broadcaster.places:
            release = place.release
            peer = self.watch.row_of(release, now)
            if peer is not None and distance_to_opposite(place.packet, peer, release.image_packets):
                opposite = peer + release.image_packets / 2
                broadcaster.seek(release, round(opposite) % release.image_packets)
                self._realign_at_s = now + REALIGN_S
