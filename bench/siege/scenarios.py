"""The sieges that are fought: an image of 20 MB at 40 Mb/s, as the promises in docs/security.md name them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.siege.attackers import (
    Attacker,
    ForgedHeaders,
    ForgedSymbols,
    OneForgedSymbol,
    OtherCarousel,
    ReplayedHeaders,
    Rubbish,
    Shadow,
)
from bench.siege.bulletins import Rollout
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from headend.pack.packing import PackRequest, pack
from settop.stitch.policy import BoxProfile

__all__ = ["SCENARIOS", "Field", "Scenario", "field_of", "packed"]

HARDWARE = Hardware(0x00A1B2, 7)


@dataclass(frozen=True)
class Field:
    """What a siege is fought over: the newest release, which is on the air, and older ones, signed as well."""

    release: Release
    older: Sequence[Release]
    twin: Release
    """An older one, too, and as large as the newest."""
    profile: BoxProfile
    rate_bps: float
    rng: np.random.Generator
    rollout: Rollout

    @property
    def packets_per_s(self) -> float:
        """Packets a second of the carousel."""
        return self.rate_bps / 8 / self.release.packet_size


@dataclass(frozen=True)
class Scenario:
    """An attack, and by what factor it may lengthen a boot at most (None: no promise).

    `loss` is the network's, `repair_ratio` the release's; the factor is over a boot with both and without attack.
    """

    name: str
    attacker: Callable[[Field], Attacker | Shadow]
    most: float | None
    loss: float = 0.0
    repair_ratio: float = 1.0
    obeys: bool = False
    """Whether the head-end speaks in bulletins, and the box obeys them."""


def _symbols(times_the_rate: float) -> Callable[[Field], Attacker]:
    return lambda f: ForgedSymbols(f.release, times_the_rate * f.packets_per_s, f.rng)


SCENARIOS = (
    Scenario("3 old headers replayed, 3 a second", lambda f: ReplayedHeaders(f.older, 3), 1.2),
    Scenario("3 old headers replayed, 15 a second", lambda f: ReplayedHeaders(f.older, 15), 1.2),
    Scenario("1000 forged releases a second", lambda f: ForgedHeaders(f.release, 2000, f.rng), 1.5),
    Scenario("6000 forged releases a second", lambda f: ForgedHeaders(f.release, 12000, f.rng), 1.5),
    Scenario("one forged symbol, sent again and again", lambda f: OneForgedSymbol(f.release), 1.1),
    Scenario("forged symbols at 1 % of its rate", _symbols(0.01), 1.2),
    Scenario("forged symbols at 10 % of its rate", _symbols(0.1), 1.3),
    Scenario("forged symbols at the carousel's rate", _symbols(1), 1.5),
    Scenario("forged symbols at 10 times its rate", _symbols(10), 2.5),
    Scenario("the same at its rate, repair ratio 3", _symbols(1), 1.5, repair_ratio=3),
    Scenario("the same at its rate, repair ratio 4", _symbols(1), 1.5, repair_ratio=4),
    Scenario("the same at its rate, 5 % of packets lost", _symbols(1), 1.5, loss=0.05),
    Scenario("the same at its rate, 20 % of packets lost", _symbols(1), 1.8, loss=0.2),
    Scenario("a forged symbol in the wake-up of each true one, ahead", lambda f: Shadow(f.rng), 1.8),
    Scenario("the same, ahead and behind", lambda f: Shadow(f.rng, 1, 1), 1.8),
    Scenario("a second head-end with an older release", lambda f: OtherCarousel(f.twin, f.rate_bps), 1.1),
    Scenario("1-byte packets, 34,000 a second", lambda f: Rubbish(1, 34_000, f.rng), 1.1),
    Scenario(
        "1468-byte packets of random TOIs, 34,000 a second", lambda f: Rubbish(1468, 34_000, f.rng, f.release), 1.1
    ),
    Scenario("a halt of before replayed, 400 a second", lambda f: f.rollout.replays(400), 1.1, obeys=True),
    Scenario("a halt of before replayed, 10,000 a second", lambda f: f.rollout.replays(10_000), 1.1, obeys=True),
    Scenario("bulletins of a stranger, 400 a second", lambda f: f.rollout.strangers(400), 1.1, obeys=True),
    Scenario("forged bulletins, 400 a second", lambda f: f.rollout.forgeries(400, f.rng), 1.1, obeys=True),
    Scenario("forged bulletins, 10,000 a second", lambda f: f.rollout.forgeries(10_000, f.rng), None, obeys=True),
    Scenario("forged bulletins, each ten times", lambda f: f.rollout.forgeries(400, f.rng, 10), None, obeys=True),
)


def field_of(image_bytes: int, rate_bps: float, seed: int, repair_ratio: float = 1.0) -> Field:
    """Pack what a siege needs; the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    key = Ed25519PrivateKey.from_private_bytes(rng.bytes(32))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        newest = packed(folder, rng.bytes(image_bytes), Version(9, 0, 0), key, repair_ratio)
        older = [packed(folder, rng.bytes(image_bytes // 8), Version(1, minor, 0), key) for minor in range(3)]
        twin = packed(folder, rng.bytes(image_bytes), Version(8, 0, 0), key)
    profile = BoxProfile(HARDWARE, TrustRing.of([key.public_key()]))
    rollout = Rollout(newest, Ed25519PrivateKey.from_private_bytes(rng.bytes(32)))
    return Field(newest, older, twin, profile, rate_bps, rng, rollout)


def packed(folder: Path, image: bytes, version: Version, key: Ed25519PrivateKey, repair_ratio: float = 1.0) -> Release:
    """Pack an image of any bytes."""
    (folder / "image").write_bytes(image)
    request = PackRequest(HARDWARE, version, 1_750_000_000, "siege", repair_ratio=repair_ratio)
    pack(folder / "image", folder / "release", key, request)
    return Release.parse(memoryview((folder / "release").read_bytes()))
