"""Mutated packets, by the million, through the whole receiver: nothing may raise, nothing may grow.

What is mutated is all that a carousel sends (symbols of all levels, headers, FDTs): bits flip, fields get values from
the edges, packets are cut, lengthened and spliced; half of them have their CRC put right, as a forger would. One seed
gives one run. `python -m bench.siege.fuzz --packets 10000000`, or `make fuzz`.
"""

import argparse
import json
import random
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from bench.siege.scenarios import Field, field_of
from bench.virtual.box import InlineBox
from carousel.flute.alc import CRC_OFFSET, PLAIN_HEADER_BYTES, crc_of_packet
from carousel.take import Piece
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings

__all__ = ["Fuzz", "Mutator", "Record", "main"]

IMAGE_BYTES, RATE_BPS = 400_000, 40e6
BATCH_PACKETS = 64
POOL_BATCHES = 2000
RETUNE_S = 5.0
"""A box has had enough after so long, in virtual time: the next one begins anew."""
EDGES = (0, 1, 2, 3, 0x7F, 0x80, 0xC0, 0xF0, 0xFE, 0xFF)
TELL_PACKETS = 1_000_000
SETTLED_PACKETS = 100_000


@dataclass
class Mutator:
    """Turns genuine packets into others."""

    pool: Sequence[bytes]
    rng: random.Random

    def packet(self) -> bytes:
        """Return a packet that differs from all genuine ones, or is one that comes out of turn."""
        raw = bytearray(self.rng.choice(self.pool))
        for _ in range(self.rng.randrange(1, 4)):
            raw = self._mutated(raw)
        if len(raw) >= PLAIN_HEADER_BYTES and self.rng.random() < 0.5:
            raw[CRC_OFFSET : CRC_OFFSET + 4] = crc_of_packet(bytes(raw)).to_bytes(4, "big")
        return bytes(raw)

    def _mutated(self, raw: bytearray) -> bytearray:
        kind, rng = self.rng.randrange(6), self.rng
        if not raw or kind == 0:
            return raw + rng.randbytes(rng.randrange(1, 64))
        at = rng.randrange(min(len(raw), PLAIN_HEADER_BYTES) if kind < 4 else len(raw))
        if kind in {1, 4}:
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            raw[at] = rng.choice(EDGES)
        elif kind == 3:
            del raw[at : at + rng.randrange(1, 5)]
        else:
            raw = raw[:at] + rng.choice(self.pool)[at:]
        return raw


@dataclass
class Fuzz:
    """Boxes one after the other, each fed mutated packets among those of a carousel."""

    ground: Field
    rng: random.Random
    packets: int = 0
    images: int = 0
    boxes: int = 0
    _now: float = 0.0
    _reasons: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._carousel = Broadcaster(
            [self.ground.release, *self.ground.older], BroadcastSettings(RATE_BPS), now=self._now
        )
        heard = [self._carousel.next_batch(0.0) for _ in range(POOL_BATCHES)]
        pool = list({bytes(batch.packet(index)) for batch in heard for index in range(batch.count)})
        self._mutator = Mutator(sorted(pool), self.rng)
        self._begin()

    def _begin(self) -> None:
        self._reasons = self.reasons if self.boxes else {}
        self._box = InlineBox(self.ground.profile, self.ground.release.tsi)
        self._box.tune_in(self._now)
        self._until_s = self._now + RETUNE_S
        self.boxes += 1

    def step(self) -> None:
        """Feed a batch of mutated packets, then a genuine one; a box that has its image gives way to the next."""
        mutated = [raw for raw in (self._mutator.packet() for _ in range(BATCH_PACKETS)) if raw]
        ends = list(accumulate(map(len, mutated)))
        pieces = [Piece(end - len(raw), len(raw), len(raw)) for end, raw in zip(ends, mutated, strict=True)]
        self._box.receive_pieces(b"".join(mutated), pieces, self._now)
        self.packets += len(mutated)
        batch = self._carousel.next_batch(self._now)
        self._now += batch.count * batch.stride * 8 / RATE_BPS
        self._box.receive(batch, self._now)
        chosen = self._box.receiver.choose(self._now)
        if chosen is not None:
            if chosen.header not in (self.ground.release.header, *(each.header for each in self.ground.older)):
                raise AssertionError("an image that nobody signed")
            self.images += 1
        if chosen is not None or self._now >= self._until_s:
            self._begin()

    @property
    def reasons(self) -> dict[str, int]:
        """What became of packets that were no use, by name."""
        found = dict(self._reasons)
        for reason, count in self._box.wire.stats.rejected:
            found[reason] = found.get(reason, 0) + count
        return dict(sorted(found.items()))


def peak_bytes() -> int:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Record:
    """What all runs together have done, in a file: so that ten million take as many evenings as they take.

    Each run begins with the next seed.
    """

    path: Path
    packets: int = 0
    images: int = 0
    boxes: int = 0
    runs: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read what earlier runs have left, if any have."""
        return cls(path, **json.loads(path.read_text())) if path.exists() else cls(path)

    def write(self) -> None:
        """Write it, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".new")
        said = {"packets": self.packets, "images": self.images, "boxes": self.boxes, "runs": self.runs}
        unfinished.write_text(json.dumps(said | {"seconds": round(self.seconds, 1)}))
        unfinished.replace(self.path)


def fuzz_for(seed: int, packets: int, seconds: float) -> tuple[Fuzz, float, int]:
    """Run one seed; return it, how long it took, and by how many bytes memory grew after the first packets."""
    fuzz = Fuzz(field_of(IMAGE_BYTES, RATE_BPS, seed), random.Random(seed))
    begin_s, told, settled_bytes = time.monotonic(), 0, 0
    while fuzz.packets < packets and time.monotonic() - begin_s < seconds:
        fuzz.step()
        if fuzz.packets >= SETTLED_PACKETS and not settled_bytes:
            settled_bytes = peak_bytes()
        if fuzz.packets - told >= TELL_PACKETS:
            told = fuzz.packets
            print(f"{fuzz.packets} packets, {fuzz.images} images, {peak_bytes() >> 20} MiB at most", flush=True)
    return fuzz, time.monotonic() - begin_s, peak_bytes() - settled_bytes if settled_bytes else 0


def main() -> None:
    """Go on where the last run ended, and tell: packets, images, memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=10_000_000, help="of all runs together")
    parser.add_argument("--seed", type=int, help="one run with this seed, that is not counted among the others")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, whatever is done")
    parser.add_argument("--record", type=Path, default=Path("fuzz-out/record.json"))
    given = parser.parse_args()
    record = Record(given.record) if given.seed is not None else Record.read(given.record)
    seed = record.runs + 1 if given.seed is None else given.seed
    print(f"seed {seed}; {record.packets} packets in {record.runs} runs before", flush=True)
    fuzz, seconds, grown_bytes = fuzz_for(seed, given.packets - record.packets, given.seconds)
    record.packets, record.images = record.packets + fuzz.packets, record.images + fuzz.images
    record.boxes, record.runs = record.boxes + fuzz.boxes, record.runs + 1
    record.seconds += seconds
    if given.seed is None:
        record.write()
    print(f"{fuzz.packets} mutated packets in {seconds:.0f} s, {fuzz.boxes} boxes, {fuzz.images} images: none raised;")
    print(f"memory grew by {grown_bytes / 1e6:.1f} MB after the first 100,000; {fuzz.reasons}")
    print(f"all runs: {record.packets} packets, {record.boxes} boxes, {record.images} images, {record.seconds:.0f} s")


if __name__ == "__main__":
    main()
