"""A head-end and a box across a fake link, in virtual time: the real broadcaster, the real receiver, no sockets.

For tests and benchmarks alike. One seed reproduces a run: the link's faults, and where the box tunes in.
"""

from dataclasses import dataclass

import numpy as np

from bench.virtual.box import InlineBox
from carousel.batch import Batch
from carousel.flute.releasefile import Release
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from settop.stitch.assembly import Assembly
from settop.stitch.seam import WireStats

__all__ = ["FaultyLink", "PairResult", "run_pair"]


@dataclass
class FaultyLink:
    """Drops, duplicates, reorders (within a batch) and corrupts (one bit) packets at random."""

    rng: np.random.Generator
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0

    def carry(self, batch: Batch) -> list[Batch]:
        """Return what arrives of a batch."""
        rows = batch.as_rows()
        order = np.arange(batch.count)
        if self.loss:
            order = order[self.rng.random(len(order)) >= self.loss]
        if self.duplicate:
            order = np.repeat(order, 1 + (self.rng.random(len(order)) < self.duplicate))
        if self.reorder and self.rng.random() < self.reorder:
            self.rng.shuffle(order)
        if len(order) == batch.count and not (self.duplicate or self.reorder or self.corrupt):
            return [batch]
        if not len(order):
            return []
        arrived = rows[order]
        for row in np.flatnonzero(self.rng.random(len(order)) < self.corrupt).tolist():
            bit = int(self.rng.integers(batch.stride * 8))
            arrived[row, bit // 8] ^= 1 << (bit % 8)
        return [Batch(arrived.data.cast("B"), batch.stride, len(order))]


@dataclass(frozen=True)
class PairResult:
    """How a run ended. `announced_s` and `verified_s` count from when the box tuned in; None if it didn't."""

    announced_s: float | None
    verified_s: float | None
    assembly: Assembly | None
    box: InlineBox
    stats: WireStats


def run_pair(
    releases: list[Release],
    box: InlineBox,
    link: FaultyLink,
    rate_bps: float,
    start_packets: int = 0,
    limit_s: float = 3600.0,
    seed: int = 0,
) -> PairResult:
    """Cast to one box that tunes in after `start_packets` packets, until it has an image or `limit_s` is over."""
    broadcaster = Broadcaster(releases, BroadcastSettings(rate_bps, seed=seed), now=0.0)
    now, sent = 0.0, 0
    while sent < start_packets:
        now = max(now, broadcaster.due(now))
        sent += broadcaster.next_batch(now).count
    tuned_in_s, announced_s = now, None
    box.tune_in(now)
    while now - tuned_in_s < limit_s:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        # A packet has arrived when its last bit has.
        arrival_s = now + batch.count * batch.stride * 8 / rate_bps
        for arrived in link.carry(batch):
            box.receive(arrived, arrival_s)
        if announced_s is None and box.assemblies:
            announced_s = arrival_s - tuned_in_s
        chosen = box.receiver.choose(arrival_s)
        if chosen is not None:
            return PairResult(announced_s, arrival_s - tuned_in_s, chosen, box, box.wire.stats)
    return PairResult(announced_s, None, None, box, box.wire.stats)
