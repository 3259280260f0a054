"""Attackers who can send packets to the group, and no more: one small class each, one method.

They hear all that is on the air, and keep what they heard. They have no key. Their CRCs are right: a CRC is no secret.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from carousel.batch import Batch
from carousel.flute.alc import CRC_OFFSET, PLAIN_HEADER_BYTES, crc_of_packet, join_payload_id, render_packet
from carousel.flute.fdt import header_packet
from carousel.flute.releasefile import Release
from carousel.flute.toi import header_toi
from carousel.release.blocks import FecId
from carousel.release.header import HEADER_BYTES
from carousel.release.identity import ReleaseId
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings

__all__ = [
    "Attacker",
    "ForgedHeaders",
    "ForgedSymbols",
    "OneForgedSymbol",
    "OtherCarousel",
    "ReplayedHeaders",
    "Rubbish",
    "Shadow",
]

SYMBOL_OFFSET = PLAIN_HEADER_BYTES


class Attacker(Protocol):
    """Sends so many packets a second, whatever the carousel does."""

    @property
    def packets_per_s(self) -> float:
        """How many packets this one sends a second."""

    def packet(self) -> Batch:
        """Return the next packet, or the next few."""


def _single(packet: bytes) -> Batch:
    return Batch(memoryview(packet), len(packet), 1)


def _with_crc(packet: bytearray) -> bytes:
    packet[CRC_OFFSET : CRC_OFFSET + 4] = crc_of_packet(bytes(packet)).to_bytes(4, "big")
    return bytes(packet)


@dataclass
class ReplayedHeaders:
    """Plays headers of other releases again, which are signed and true; their symbols never come."""

    releases: Sequence[Release]
    packets_per_s: float
    _next: int = 0

    def packet(self) -> Batch:
        """Return the next header's packet."""
        self._next += 1
        return _single(header_packet(self.releases[self._next % len(self.releases)]))


@dataclass
class ForgedHeaders:
    """Invents releases: a header with the TOI that fits it, then one symbol of it, for ever new ones."""

    like: Release
    packets_per_s: float
    rng: np.random.Generator
    _waiting: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def packet(self) -> Batch:
        """Return a header, or the symbol that makes it look alive."""
        found = next(self._waiting, None)
        if found is None:
            self._waiting = self._release()
            found = next(self._waiting)
        return _single(found)

    def _release(self) -> Iterator[bytes]:
        raw = bytearray(self.like.header.raw)
        raw[192:HEADER_BYTES] = self.rng.bytes(64)
        made = ReleaseId.of(bytes(raw))
        yield render_packet(self.like.tsi, header_toi(made), FecId.NO_CODE, 0, bytes(raw))
        symbol = bytearray(self.like.packet_bytes(0, 1))
        symbol[12:16] = (header_toi(made) & ~7).to_bytes(4, "big")
        yield _with_crc(symbol)


@dataclass
class ForgedSymbols:
    """Sends symbols of the release that is on the air, of every level, with content of its own."""

    release: Release
    packets_per_s: float
    rng: np.random.Generator

    def packet(self) -> Batch:
        """Return a forged symbol."""
        packet = bytearray(self.release.packet_bytes(int(self.rng.integers(self.release.layout.rows)), 1))
        packet[SYMBOL_OFFSET:] = self.rng.bytes(len(packet) - SYMBOL_OFFSET)
        return _single(_with_crc(packet))


@dataclass
class OneForgedSymbol:
    """Sends one forged source symbol, over and over: whoever tunes in gets it before the true one."""

    release: Release
    packets_per_s: float = 100.0

    def packet(self) -> Batch:
        """Return the forged symbol."""
        packet = bytearray(self.release.packet_bytes(0, 1))
        geometry = self.release.layout.objects[0]
        last = int(geometry.block_sizes[0]) - 1
        packet[24:28] = join_payload_id(0, last, geometry.fec).to_bytes(4, "big")
        packet[SYMBOL_OFFSET:] = bytes(len(packet) - SYMBOL_OFFSET)
        return _single(_with_crc(packet))


@dataclass
class Shadow:
    """Knows what the carousel sends next, and is always a moment ahead: its packets share the wake-up of the true ones.

    So many forged ones of each true one; those that come behind it are there for a box that would let the last win.
    """

    rng: np.random.Generator
    ahead: int = 1
    behind: int = 0

    def around(self, batch: Batch) -> Batch:
        """Return what a box hears in place of a batch: each true packet among its forgeries."""
        rows = batch.as_rows()
        if batch.stride <= SYMBOL_OFFSET + HEADER_BYTES:
            return batch  # headers are signed: there is nothing to win
        copies = np.repeat(rows, self.ahead + 1 + self.behind, axis=0)
        for number, row in enumerate(copies):
            if number % (self.ahead + 1 + self.behind) != self.ahead:
                forged = bytearray(row[:SYMBOL_OFFSET].tobytes() + self.rng.bytes(batch.stride - SYMBOL_OFFSET))
                row[:] = np.frombuffer(_with_crc(forged), dtype=np.uint8)
        return Batch(copies.data.cast("B"), batch.stride, len(copies))


@dataclass
class OtherCarousel:
    """A second head-end on the same group: the real one, with another release that is signed as well."""

    release: Release
    rate_bps: float
    _now: float = 0.0

    def __post_init__(self) -> None:
        self._broadcaster = Broadcaster([self.release], BroadcastSettings(self.rate_bps, seed=1), now=0.0)
        self.packets_per_s = self.rate_bps / 8 / self.release.packet_size

    def packet(self) -> Batch:
        """Return its next batch."""
        self._now = max(self._now, self._broadcaster.due(self._now))
        return self._broadcaster.next_batch(self._now)


@dataclass
class Rubbish:
    """Sends bytes without sense, of this many bytes each, to every TOI there is."""

    size_bytes: int
    packets_per_s: float
    rng: np.random.Generator
    like: Release | None = None
    """With it, packets begin as plain ones of its session do."""

    def packet(self) -> Batch:
        """Return some bytes."""
        packet = bytearray(self.rng.bytes(self.size_bytes))
        if self.like is not None and self.size_bytes >= SYMBOL_OFFSET:
            packet[:12] = self.like.packet_bytes(0, 1)[:12]
            packet[16:20] = self.like.packet_bytes(0, 1)[16:20]
            return _single(_with_crc(packet))
        return _single(bytes(packet))
