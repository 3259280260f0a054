"""The endless order of one release's packets.

A cycle sends every image packet once, in bursts of about 1 ms of the rate. Packets keep their place in the
transmit order (carousel/flute/interleave.py) but for a shuffle of chunks within short windows, drawn anew each cycle
from (seed, cycle): losses with a period can't meet the same packets for ever, and yet a box that tunes in anywhere
needs hardly more than one image's worth.

Digest packets go in step: while one window goes out, so do those of level 1 that hold the digests of the next one. A
box under attack thus knows what a symbol must be before it comes, wherever it tuned in, for 16 bytes a symbol (1.1 % of
the rate at T = 1440). Level 1 goes out as source symbols alone: a repair symbol proves no other symbol by itself. What
proves level 1, and the block digests that every box needs, go round several times an image's worth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from carousel.buffers import IntArray
from carousel.flute.releasefile import Release
from carousel.release.digests import SYMBOL_DIGEST_BYTES

__all__ = ["Wheel"]

CHUNK_PACKETS = 44
"""At least so many are shuffled as one: some bursts in a row, so that a box sees from gaps what the network lost."""
WINDOW_PACKETS = 32 * CHUNK_PACKETS
"""A chunk moves by at most so many places from cycle to cycle,"""
LEAST_WINDOWS = 16
"""and by less in small images: a box that tunes in has missed the digests of the window that is on the air."""
FEWEST_CHUNKS = 2
URGENT_PASSES, CHAIN_PASSES = 5, 3
"""How often what every box needs (the block digests, and what proves them) goes out while one image's worth of packets
does; and how often the rest of what proves level 1, which only who is attacked needs."""

Burst = tuple[int, int]


@dataclass(frozen=True)
class _Window:
    """Chunks of packets that were shuffled among each other: places in transmit order."""

    begin: int
    end: int
    bursts: list[Burst]


class _Ring:
    """Packets that go round by themselves, `passes_per_packet` of the image; all of them once at the beginning."""

    def __init__(self, numbers: IntArray, passes_per_packet: float) -> None:
        self._numbers = numbers.tolist()
        self._per_packet = passes_per_packet * len(self._numbers)
        self._credit, self._next = float(len(self._numbers)), 0

    def turn(self, packets: int) -> None:
        """Let the ring go on by what so many packets of the image are worth."""
        self._credit += packets * self._per_packet

    def due(self) -> Iterator[Burst]:
        """Yield bursts of the packets whose turn it is."""
        while self._credit >= 1:
            yield self._numbers[self._next], 1
            self._next = (self._next + 1) % len(self._numbers)
            self._credit -= 1


class Wheel:
    """The endless order of one release's bursts."""

    def __init__(self, release: Release, burst_packets: int, seed: int, begin_share: float = 0.0) -> None:
        self.release = release
        self.cycle = 0
        self.sent_in_cycle = 0
        self._burst_packets = burst_packets
        self._seed = seed
        urgent = release.urgent_packets()
        self._rings = (urgent, URGENT_PASSES), (np.setdiff1d(release.chain_packets(), urgent), CHAIN_PASSES)
        self._digest_places, self._digests = release.digests_in_step()
        self._bursts = self._run()
        if begin_share:
            self.seek(round(begin_share * release.image_packets))

    def next_burst(self) -> Burst:
        """Return (first row, count) of the next burst."""
        return next(self._bursts)

    def seek(self, packet: int, cycle: int | None = None) -> None:
        """Go on from another image packet, of this cycle or of another."""
        if not 0 <= packet < self.release.image_packets:
            raise ValueError(f"packet {packet} of {self.release.image_packets}")
        self.cycle = self.cycle if cycle is None else cycle
        self.sent_in_cycle = packet
        self._bursts = self._run()

    def _run(self) -> Iterator[Burst]:
        """Yield (first packet, count) for ever, digest packets among the image's."""
        rings = [_Ring(numbers, passes / self._source_symbols) for numbers, passes in self._rings]
        windows = self._windows()
        window = next(windows)
        yield from self._digests_before(window)
        while True:
            following = next(windows)
            digests = self._digests_of(following)
            sent_digests, sent = 0, 0
            for first, count in window.bursts:
                for ring in rings:
                    yield from ring.due()
                self._count(count)
                yield first, count
                for ring in rings:
                    ring.turn(count)
                sent += count
                due = len(digests) * sent // (window.end - window.begin)
                yield from digests[sent_digests:due]
                sent_digests = due
            window = following

    @property
    def _source_symbols(self) -> int:
        return self.release.layout.objects[0].source_symbols

    def _count(self, packets: int) -> None:
        """Count image packets as sent; with the last one, the cycle is done."""
        self.sent_in_cycle += packets
        if self.sent_in_cycle == self.release.image_packets:
            self.cycle += 1
            self.sent_in_cycle = 0

    def _windows(self) -> Iterator[_Window]:
        """Yield windows for ever, from where this cycle stands.

        No repair symbol comes before the last source symbol: who missed nothing need not decode. And no window lies
        across half a cycle: two head-ends turn so far apart (headend/cast/pair.py).
        """
        cycle, sought = self.cycle, self.sent_in_cycle
        size, chunk = self._burst_packets, self._chunk_packets
        source, whole = self._source_symbols, self.release.image_packets
        chunks = max(FEWEST_CHUNKS, min(WINDOW_PACKETS, source // LEAST_WINDOWS) // chunk)
        while True:
            rng = np.random.default_rng([self._seed, cycle])
            for begin, end in pairwise(sorted({0, source, whole // 2, whole})):
                for first in range(max(begin, sought), end, chunk * chunks):
                    yield _shuffled(first, min(first + chunk * chunks, end), chunk, size, rng)
            cycle, sought = cycle + 1, 0

    @property
    def _chunk_packets(self) -> int:
        """Whole rounds of all blocks, so that a box that tunes in between chunks has as much of one as of the other.

        At high rates whole bursts: to cut them costs more there than some packets.
        """
        size, blocks = self._burst_packets, self.release.layout.objects[0].blocks
        return blocks * -(-CHUNK_PACKETS // blocks) if size <= CHUNK_PACKETS else size

    def _digests_of(self, window: _Window) -> list[Burst]:
        """Return bursts of the level-1 packets that hold the first digests of this window."""
        first, end = np.searchsorted(self._digest_places, [window.begin, window.end])
        return _runs(self._digests[first:end], self._burst_packets)

    def _digests_before(self, window: _Window) -> list[Burst]:
        """Return bursts of all level-1 packets with digests of a window that is the first to go out."""
        layout = self.release.layout
        reach = -(-layout.symbol_size // SYMBOL_DIGEST_BYTES) * layout.objects[0].blocks
        age = (window.begin - self._digest_places) % self.release.image_packets
        return _runs(self._digests[age <= reach], self._burst_packets) + self._digests_of(window)


def _shuffled(begin: int, end: int, chunk: int, burst: int, rng: np.random.Generator) -> _Window:
    """Return a window; a last chunk that is too short to be moved stays last: its place would look like a loss."""
    bursts = []
    chunks = np.arange(begin, end, chunk)
    whole = (end - begin) // chunk
    for chunk_begin in [*rng.permutation(chunks[:whole]).tolist(), *chunks[whole:].tolist()]:
        chunk_end = min(chunk_begin + chunk, end)
        bursts += [(first, min(burst, chunk_end - first)) for first in range(chunk_begin, chunk_end, burst)]
    return _Window(begin, end, bursts)


def _runs(numbers: IntArray, longest: int) -> list[Burst]:
    """Return (first, count) of runs of packets that lie one behind the other."""
    runs: list[Burst] = []
    for number in np.sort(numbers).tolist():
        if runs and number == sum(runs[-1]) and runs[-1][1] < longest:
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((number, 1))
    return runs
