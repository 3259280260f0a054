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
    ReplayedHeaders,
    Rubbish,
)
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from headend.pack.packing import PackRequest, pack
from settop.stitch.policy import BoxProfile

__all__ = ["SCENARIOS", "Field", "Scenario", "field_of"]

HARDWARE = Hardware(0x00A1B2, 7)


@dataclass(frozen=True)
class Field:
    """What a siege is fought over: the newest release, which is on the air, and older ones, signed as well."""

    release: Release
    older: Sequence[Release]
    profile: BoxProfile
    rate_bps: float
    rng: np.random.Generator

    @property
    def packets_per_s(self) -> float:
        """Packets a second of the carousel."""
        return self.rate_bps / 8 / self.release.packet_size


@dataclass(frozen=True)
class Scenario:
    """An attack, and by what factor it may lengthen a boot at most (None: no promise)."""

    name: str
    attacker: Callable[[Field], Attacker]
    most: float | None


SCENARIOS = (
    Scenario("3 old headers replayed, 3 a second", lambda f: ReplayedHeaders(f.older, 3), 1.2),
    Scenario("3 old headers replayed, 15 a second", lambda f: ReplayedHeaders(f.older, 15), 1.2),
    Scenario("1000 forged releases a second", lambda f: ForgedHeaders(f.release, 2000, f.rng), 1.5),
    Scenario("6000 forged releases a second", lambda f: ForgedHeaders(f.release, 12000, f.rng), 1.5),
    Scenario("one forged symbol, sent again and again", lambda f: OneForgedSymbol(f.release), 1.1),
    Scenario(
        "forged symbols at 1 % of its rate", lambda f: ForgedSymbols(f.release, f.packets_per_s / 100, f.rng), 1.2
    ),
    Scenario(
        "forged symbols at 10 % of its rate", lambda f: ForgedSymbols(f.release, f.packets_per_s / 10, f.rng), 1.3
    ),
    Scenario("forged symbols at the carousel's rate", lambda f: ForgedSymbols(f.release, f.packets_per_s, f.rng), 1.5),
    Scenario(
        "forged symbols at 10 times its rate", lambda f: ForgedSymbols(f.release, 10 * f.packets_per_s, f.rng), 2.5
    ),
    Scenario("1-byte packets, 34,000 a second", lambda f: Rubbish(1, 34_000, f.rng), 1.1),
    Scenario(
        "1468-byte packets of random TOIs, 34,000 a second", lambda f: Rubbish(1468, 34_000, f.rng, f.release), 1.1
    ),
)


def field_of(image_bytes: int, rate_bps: float, seed: int) -> Field:
    """Pack what a siege needs; the same seed gives the same bytes."""
    rng = np.random.default_rng(seed)
    key = Ed25519PrivateKey.from_private_bytes(rng.bytes(32))
    with tempfile.TemporaryDirectory() as folder:
        newest = _packed(Path(folder), rng.bytes(image_bytes), Version(9, 0, 0), key)
        older = [_packed(Path(folder), rng.bytes(image_bytes // 8), Version(1, minor, 0), key) for minor in range(3)]
    profile = BoxProfile(HARDWARE, TrustRing.of([key.public_key()]))
    return Field(newest, older, profile, rate_bps, rng)


def _packed(folder: Path, image: bytes, version: Version, key: Ed25519PrivateKey) -> Release:
    (folder / "image").write_bytes(image)
    pack(folder / "image", folder / "release", key, PackRequest(HARDWARE, version, 1_750_000_000, "siege"))
    return Release.parse(memoryview((folder / "release").read_bytes()))
