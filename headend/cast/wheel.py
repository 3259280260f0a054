"""The endless order of one release's packets.

A cycle sends every image packet once, in bursts of about 1 ms of the rate. Packets keep their place in the
transmit order (carousel/flute/interleave.py) but for a shuffle of chunks within short windows, drawn anew each cycle
from (seed, cycle): losses with a period can't meet the same packets for ever, and yet a box that tunes in anywhere
needs hardly more than one image's worth. Digest packets ride along: all of them about once a cycle in turns of
source and repair, the few that every box needs soon sixteen times an image's worth.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from carousel.flute.releasefile import Release

__all__ = ["Wheel"]

CHUNK_PACKETS = 44
"""What is shuffled: some bursts in a row, so that a box sees from gaps within what the network lost."""
WINDOW_CHUNKS = 32
"""A chunk moves by at most this many places from cycle to cycle."""
URGENT_PASSES = 16
"""How often the urgent digest packets go out while one image's worth of packets does."""
DIGEST_PASSES = 0.25
"""Passes over all digest packets a cycle: enough for the rare box that needs them whole, 0.6 % of the rate."""


class Wheel:
    """The endless order of one release's bursts."""

    def __init__(self, release: Release, burst_packets: int, seed: int, begin_share: float = 0.0) -> None:
        self.release = release
        self.cycle = 0
        self.sent_in_cycle = 0
        self._burst_packets = burst_packets
        self._seed = seed
        self._urgent = release.urgent_packets()
        self._bursts = self._run()
        if begin_share:
            self.seek(round(begin_share * release.image_packets))

    def next_burst(self) -> tuple[int, int]:
        """Return (first row, count) of the next burst."""
        return next(self._bursts)

    def seek(self, packet: int, cycle: int | None = None) -> None:
        """Go on from another image packet, of this cycle or of another."""
        if not 0 <= packet < self.release.image_packets:
            raise ValueError(f"packet {packet} of {self.release.image_packets}")
        self.cycle = self.cycle if cycle is None else cycle
        self.sent_in_cycle = packet
        self._bursts = self._run()

    def _run(self) -> Iterator[tuple[int, int]]:
        """Yield (first packet, count) for ever, digest packets among the image's."""
        image_packets = self.release.image_packets
        digests = self._digest_bursts()
        digests_per_packet = DIGEST_PASSES * self.release.digest_packets / image_packets
        source_symbols = self.release.layout.objects[0].source_symbols
        urgent_per_packet = URGENT_PASSES * len(self._urgent) / source_symbols
        digest_credit, urgent_credit, next_urgent = 0.0, float(len(self._urgent)), 0
        while True:
            for first, count in self._shuffled_bursts():
                while urgent_credit >= 1:
                    yield int(self._urgent[next_urgent]), 1
                    next_urgent = (next_urgent + 1) % len(self._urgent)
                    urgent_credit -= 1
                if digest_credit >= self._burst_packets:
                    digest_burst = next(digests)
                    digest_credit -= digest_burst[1]
                    yield digest_burst
                self._count(count)
                yield first, count
                digest_credit += count * digests_per_packet
                urgent_credit += count * urgent_per_packet

    def _count(self, packets: int) -> None:
        """Count image packets as sent; with the last one, the cycle is done."""
        self.sent_in_cycle += packets
        if self.sent_in_cycle == self.release.image_packets:
            self.cycle += 1
            self.sent_in_cycle = 0

    def _shuffled_bursts(self) -> Iterator[tuple[int, int]]:
        """Yield the image's bursts of one cycle, in chunks shuffled within windows of either phase.

        No repair symbol comes before the last source symbol: who missed nothing need not decode. And no window lies
        across half a cycle: two head-ends turn so far apart (headend/cast/pair.py).
        """
        rng = np.random.default_rng([self._seed, self.cycle])
        size = self._burst_packets
        chunk = size * max(1, CHUNK_PACKETS // size)
        source = self.release.layout.objects[0].source_symbols
        sought = self.sent_in_cycle
        for begin, end in pairwise(sorted({0, source, self.release.image_packets // 2, self.release.image_packets})):
            for window in range(max(begin, sought), end, chunk * WINDOW_CHUNKS):
                chunks = np.arange(window, min(window + chunk * WINDOW_CHUNKS, end), chunk)
                for chunk_begin in rng.permutation(chunks).tolist():
                    chunk_end = min(chunk_begin + chunk, end)
                    for first in range(chunk_begin, chunk_end, size):
                        yield first, min(size, chunk_end - first)

    def _digest_bursts(self) -> Iterator[tuple[int, int]]:
        """Yield bursts of the digest packets, round and round."""
        first_digest, size = self.release.image_packets, self._burst_packets
        end = self.release.layout.rows
        while True:
            for first in range(first_digest, end, size):
                yield first, min(size, end - first)
