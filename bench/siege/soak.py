"""A day of a box and a head-end in virtual time: does anything grow?

The real broadcaster, wire, receiver, part files and store; time, the link and power are made up. Every few minutes the
box starts: it receives with losses, installs what is new in a folder on the disk, boots and confirms it. Each half an
hour the head-end swaps to a newer release, and some packets are forged. After each hour it is told what Python's
objects take, how many descriptors are open and files there: no more than in the first hours. `python -m
bench.siege.soak`, or `make soak`.
"""

import argparse
import gc
import os
import random
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.siege.attackers import ForgedSymbols
from bench.siege.scenarios import HARDWARE, packed
from bench.virtual.box import InlineBox
from bench.virtual.pair import FaultyLink
from carousel.flute.releasefile import Release
from carousel.release.identity import Version
from carousel.release.layout import ReleaseLayout
from carousel.release.trust import TrustRing
from carousel.take import Landing
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from settop.store.disk import FolderDisk
from settop.store.partfile import PartFile
from settop.store.slots import Store

__all__ = ["Hour", "Soak", "has_grown"]

IMAGE_BYTES, RATE_BPS = 120_000, 400e3
HOUR_S = 3600.0
BOOT_EVERY_S = 120.0
SWAP_EVERY_S = 1800.0
LONGEST_S = 60.0
"""A box that has nothing by then boots what it has."""
LOSS = 0.02
FORGED_SHARE = 0.1
GROWTH = 1.05
"""Memory that differs by less is flat."""
WARM_HOURS = 2
TRACE_BYTES = 200_000


@dataclass(frozen=True)
class Hour:
    """What a process holds after an hour: bytes of Python objects, descriptors, files and lines of log of that hour."""

    python_bytes: int
    descriptors: int
    files: int
    events: int
    boots: int
    installs: int


class Soak:
    """One box and one head-end that live together; one seed gives one life."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._rng = folder, random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._key = Ed25519PrivateKey.from_private_bytes(self._numbers.bytes(32))
        trust = TrustRing.of([self._key.public_key()])
        (folder / "box").mkdir()
        self._disk = FolderDisk(folder / "box")
        self.store = Store(self._disk, HARDWARE, trust)
        factory = self._packed(0)
        self.store.write_eeprom(
            factory.header,
            [
                factory.source_symbols(0, factory.layout.objects[0].source_symbols).tobytes()[
                    : factory.header.image_size
                ]
            ],
        )
        self.store.format()
        self._version = 1
        self._release = self._packed(1)
        self._carousel = Broadcaster([self._release], BroadcastSettings(RATE_BPS), now=0.0)
        self._now = self._boot_s = 0.0
        self._swap_s = SWAP_EVERY_S
        self._events = self._boots = self._installs = 0

    def _packed(self, version: int) -> Release:
        image = self._numbers.bytes(IMAGE_BYTES + version % 7)
        return packed(self._folder, image, Version(1, version % 60_000, 0), self._key)

    def hour(self) -> Hour:
        """Live for an hour."""
        self._events = self._boots = self._installs = 0
        until_s = self._now + HOUR_S
        while self._now < until_s:
            self._start()
            self._idle(BOOT_EVERY_S * self._rng.uniform(0.5, 1.5))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        files = len(self._disk.names())
        return Hour(held, len(os.listdir("/proc/self/fd")), files, self._events, self._boots, self._installs)

    def _idle(self, seconds: float) -> None:
        """Let time pass; nobody listens. The carousel is behind then, as after a stop of its process."""
        self._now += seconds
        if self._now >= self._swap_s:
            self._swap_s += SWAP_EVERY_S
            self._version += 1
            self._release = self._packed(self._version)
            self._carousel.replace([self._release], self._now)

    def _start(self) -> None:
        """Receive, install what is new, boot, confirm."""
        parts: list[PartFile] = []

        def landings(layout: ReleaseLayout) -> Sequence[Landing]:
            parts.append(PartFile(self._folder / "box" / "x.part", layout))
            return parts[-1].landings

        box = InlineBox(self.store.profile(), self._release.tsi, landings=landings)
        box.tune_in(self._now)
        link = FaultyLink(self._numbers, loss=LOSS, duplicate=0.01, corrupt=0.01)
        forger = ForgedSymbols(self._release, 1.0, self._numbers)
        until_s = self._now + LONGEST_S
        while self._now < until_s and box.receiver.up_to_date is None and not self._has_image(box):
            self._now = max(self._now, self._carousel.due(self._now))
            for batch in link.carry(self._carousel.next_batch(self._now)):
                box.receive(batch, self._now)
            if self._rng.random() < FORGED_SHARE:
                box.receive(forger.packet(), self._now)
        self._events += len(box.events)
        chosen = box.receiver.choose(self._now)
        for part in parts:
            part.close()
        if chosen is not None:
            self.store.install(chosen.header, "x.part")
            self._installs += 1
        self._boot(chosen is not None)

    def _has_image(self, box: InlineBox) -> bool:
        return box.receiver.choose(self._now) is not None

    def _boot(self, is_new: bool) -> None:
        decision = self.store.boot()
        self._boots += 1
        if is_new:
            if decision.header.release_id != self._release.header.release_id:
                raise AssertionError(f"booted {decision.header.version} and not what was just installed")
            self.store.confirm()


@contextmanager
def a_life(seed: int) -> Iterator[Soak]:
    """Begin a life in a folder of its own, watched by `tracemalloc`."""
    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()
        try:
            yield Soak(Path(folder), seed)
        finally:
            tracemalloc.stop()


def has_grown(hours: Sequence[Hour]) -> list[str]:
    """Say what the last hours have more of than the first ones after warming up; empty where all is flat."""
    early, late = hours[WARM_HOURS:][: len(hours) // 3 or 1], hours[-(len(hours) // 3 or 1) :]
    grown = []
    for what in ("descriptors", "files"):
        if max(getattr(hour, what) for hour in late) > max(getattr(hour, what) for hour in early):
            grown.append(what)
    most = max(hour.python_bytes for hour in early) * GROWTH + TRACE_BYTES
    if max(hour.python_bytes for hour in late) > most:
        grown.append("memory")
    return grown


def main() -> None:
    """Live a day, and tell what grew. Exit 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(
        f"seed {given.seed}\n| hour | Python's memory | descriptors | files | events | boots | installs |", flush=True
    )
    hours: list[Hour] = []
    with a_life(given.seed) as soak:
        for number in range(given.hours):
            hour = soak.hour()
            hours.append(hour)
            numbers = f"{hour.descriptors} | {hour.files} | {hour.events} | {hour.boots} | {hour.installs}"
            print(f"| {number + 1} | {hour.python_bytes / 1e6:.2f} MB | {numbers} |", flush=True)
    grown = has_grown(hours)
    sys.exit(f"these grew: {', '.join(grown)}" if grown else 0)


if __name__ == "__main__":
    main()
