"""What a siege of bulletins is fought with: what a head-end has decided, and those who speak in its name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carousel.batch import Batch
from carousel.bulletin import Bulletin
from carousel.flute.fdt import bulletin_packet
from carousel.flute.releasefile import Release
from carousel.release.trust import TrustRing
from headend.cast.notices import Notices
from headend.rollout.decisions import Decisions
from settop.rollout.board import Board

__all__ = ["UNIX_S", "ForgedBulletins", "ReplayedBulletins", "Rollout"]

UNIX_S = 1_750_000_000.0
SIGNATURE_BYTES = 64


def _single(packet: bytes) -> Batch:
    return Batch(memoryview(packet), len(packet), 1)


@dataclass(frozen=True)
class Rollout:
    """What is decided about a release: it is for all, and was halted before that."""

    release: Release
    key: Ed25519PrivateKey

    def notices(self) -> Notices:
        """Return what the head-end says of it."""
        made = Notices(self.key, UNIX_S)
        decided = Decisions(epoch=8).staged(self.release.header.release_id, 1.0, b"saltsalt", 9)
        made.decide(decided, lambda gate, tick: bytes(32))
        return made

    def board(self) -> Board:
        """Return what a box hears of it with."""
        return Board(TrustRing.of([self.key.public_key()]), "box")

    def halt(self, epoch: int, key: Ed25519PrivateKey | None = None) -> bytes:
        """Return a bulletin that halts the release, of this epoch, and of a stranger's key if one is given."""
        halted = Decisions().halted(self.release.header.release_id, "attack", 1)
        return Bulletin(epoch, int(UNIX_S * 1000) + epoch, tuple(halted.stages())).sign(key or self.key)

    def replays(self, packets_per_s: float) -> "ReplayedBulletins":
        """Replay what the head-end has said before, and taken back."""
        return ReplayedBulletins([self.halt(epoch) for epoch in range(1, 9)], self.release.tsi, packets_per_s)

    def strangers(self, packets_per_s: float) -> "ReplayedBulletins":
        """Send bulletins that are signed well, by nobody's key."""
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        return ReplayedBulletins([self.halt(epoch, key) for epoch in range(1, 9)], self.release.tsi, packets_per_s)

    def forgeries(self, packets_per_s: float, rng: np.random.Generator, repeats: int = 1) -> "ForgedBulletins":
        """Send bulletins of a later epoch whose signatures are noise, each so many times."""
        return ForgedBulletins(self.halt(1 << 40), self.release.tsi, packets_per_s, rng, repeats)


@dataclass
class ReplayedBulletins:
    """Plays bulletins again, word for word."""

    raw: Sequence[bytes]
    tsi: int
    packets_per_s: float
    _next: int = 0

    def packet(self) -> Batch:
        """Return the next one."""
        self._next += 1
        return _single(bulletin_packet(self.tsi, self.raw[self._next % len(self.raw)]))


@dataclass
class ForgedBulletins:
    """Decides in the head-end's name, newer than all it has said, and signs with noise."""

    raw: bytes
    tsi: int
    packets_per_s: float
    rng: np.random.Generator
    repeats: int
    _sent: int = 0
    _packet: bytes = b""

    def packet(self) -> Batch:
        """Return the next forgery."""
        if self._sent % self.repeats == 0:
            signed = self.raw[:-SIGNATURE_BYTES] + self.rng.bytes(SIGNATURE_BYTES)
            self._packet = bulletin_packet(self.tsi, signed)
        self._sent += 1
        return _single(self._packet)
