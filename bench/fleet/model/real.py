"""The real receiver, a box at a time: parsing, CRC, bookkeeping, signature, RaptorQ, BLAKE3, all that runs on a box.

One thing stands in: a box keeps no source symbols of its own. Symbols that arrive intact are what was sent, so all
boxes of a process let them land in one copy of the release; what the link corrupts fails its CRC as on a real box.
"""

from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from bench.fleet.model.air import SIGNING_KEY, hardware_of, packed_releases
from bench.fleet.scenario.values import ReleaseSpec
from bench.link.traffic import Traffic
from bench.virtual.box import InlineBox
from bench.virtual.memory import landings_in_memory
from carousel.batch import MAX_BATCH_PACKETS, Batch
from carousel.buffers import Bytes
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.flute.interleave import transmit_places
from carousel.flute.releasefile import digest_places
from carousel.release.layout import ReleaseLayout
from carousel.release.trust import TrustRing
from carousel.take import HELD, Landing
from settop.stitch.policy import BoxProfile

__all__ = ["RealBox"]

FloatArray = NDArray[np.float64]


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


def _restored(landings: list[Landing], layout: ReleaseLayout, shared: tuple[Bytes, ...]) -> list[Landing]:
    """Return landings with what these hold: what a part file has after a power cut."""
    found = landings_in_memory(layout, shared)
    for old, new in zip(landings, found, strict=True):
        new.repair[:] = old.repair
        new.restore(np.flatnonzero(old.held[: old.geometry.source_symbols] & HELD))
        slots = np.flatnonzero(old.slot_sbn >= 0)
        new.restore_repair(slots, old.slot_sbn[slots].astype(np.int64), old.slot_esi[slots].astype(np.int64))
    return found


class RealBox:
    """One receiver whose jobs are done at once, on in `spans_s` (begin, end). `verified_s` is infinity for never."""

    def __init__(
        self, specs: tuple[ReleaseSpec, ...], number: int, spans_s: list[tuple[float, float]], keeps_parts: bool
    ) -> None:
        release = packed_releases(specs)[number]
        key = Ed25519PrivateKey.from_private_bytes(SIGNING_KEY)
        self._profile = BoxProfile(hardware_of(number), TrustRing.of([key.public_key()]))
        self._tsi, self._shared, self._keeps_parts = release.tsi, _source_symbols(specs, number), keeps_parts
        self._spans_s, self._span = spans_s, 0
        self.box = self._switched_on(None)
        self.start_s, self.verified_s = spans_s[0][0], np.inf
        self.efficiency = 0.0
        self.packets = 0
        self._ripe_s: list[float] = []
        self._received = 0

    def _switched_on(self, held: list[Landing] | None) -> InlineBox:
        def landings(layout: ReleaseLayout) -> list[Landing]:
            return landings_in_memory(layout, self._shared) if held is None else _restored(held, layout, self._shared)

        resumed = held is not None
        # All boxes share the source symbols' memory: nobody may write to it what the image does not have there.
        box = InlineBox(self._profile, self._tsi, landings=landings, is_resumed=resumed, most_draft_bytes=0)
        box.tune_in(self._spans_s[self._span][0])
        return box

    @property
    def ripe_s(self) -> FloatArray:
        """When each block was full and proven, in order."""
        return np.array(self._ripe_s)

    def _power_returns(self) -> None:
        """Begin anew after a cut, with what the part file holds."""
        parts = [each.landings for each in self.box.assemblies.values()] if self._keeps_parts else []
        self._count_received()
        self._span += 1
        self.box = self._switched_on(parts[0] if parts else None)

    def _count_received(self) -> None:
        for release in self.box.assemblies:
            self._received += self.box.wire.heard(release).received

    @property
    def _unseen(self) -> int:
        """How many packets can't complete a block, nor the image."""
        for assembly in self.box.assemblies.values():
            wanted = assembly.landings[0].wanted
            return int(wanted[wanted > 0].min(initial=MAX_BATCH_PACKETS)) - 1 if wanted.any() else 1
        return MAX_BATCH_PACKETS

    def hear(self, packets: Bytes, traffic: Traffic, link: int) -> None:
        """Take what a link let through of some packets, in the order in which they come."""
        due_s, copies = traffic.due_s[:, link], traffic.copies[:, link]
        while self.verified_s == np.inf:
            begin_s, end_s = self._spans_s[self._span]
            come = np.repeat(np.arange(len(packets)), np.where((due_s >= begin_s) & (due_s < end_s), copies, 0))
            if len(come):
                self._take(packets, come[np.argsort(due_s[come], kind="stable")], traffic, link)
            if due_s[-1] < end_s:
                return
            self._power_returns()

    def _take(self, packets: Bytes, come: NDArray[np.int64], traffic: Traffic, link: int) -> None:
        arrived = packets[come]
        bits = traffic.corrupt_bit[come, link]
        for row in np.flatnonzero(bits >= 0).tolist():
            arrived[row, bits[row] // 8] ^= 1 << (bits[row] % 8)
        first = 0
        while first < len(come) and self.verified_s == np.inf:
            # Fewer than any block lacks can't complete it; the last come one by one, so that times are exact.
            part = arrived[first : first + max(1, min(self._unseen, MAX_BATCH_PACKETS))]
            last_s = float(traffic.due_s[come[first + len(part) - 1], link])
            self._receive(Batch(part.data.cast("B"), part.shape[1], len(part)), last_s)
            first += len(part)

    def _receive(self, batch: Batch, now_s: float) -> None:
        """Take a batch, do all work that it makes possible, and see whether the image is there."""
        self.packets += batch.count
        self.box.receive(batch, now_s)
        for assembly in self.box.assemblies.values():
            self._ripe_s += [now_s] * (assembly.image.done_blocks - len(self._ripe_s))
        chosen = self.box.receiver.choose(now_s)
        if chosen is not None:
            self.verified_s = now_s
            self._count_received()
            self.efficiency = chosen.needed_symbols / max(self._received, chosen.needed_symbols)
