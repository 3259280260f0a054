"""A head-end and a box across a fake link, in virtual time: the real broadcaster, the real receiver, no sockets.

For tests and benchmarks alike. One seed reproduces a run: the link's faults, and where the box tunes in.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from carousel.batch import Batch
from carousel.flute.releasefile import Release
from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from settop.stitch.assembly import Assembly
from settop.stitch.events import Event
from settop.stitch.jobs import BlockWorkshop
from settop.stitch.policy import BoxProfile
from settop.stitch.receiver import Receiver
from settop.stitch.symbols import MemorySymbols

__all__ = ["FaultyLink", "InlineBox", "PairResult", "run_pair"]


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


class InlineBox:
    """A receiver whose jobs run at once, in memory. `stores` and `events` show what became of it."""

    def __init__(
        self,
        box: BoxProfile,
        tsi: int,
        can_decode: bool = True,
        stores: dict[ReleaseId, MemorySymbols] | None = None,
    ) -> None:
        self.stores = stores if stores is not None else {}
        self.events: list[Event] = []
        self.receiver = Receiver(box, tsi, self._allocate, can_decode)
        self._workshop = BlockWorkshop()

    def _allocate(self, header: SignedHeader, layout: ReleaseLayout) -> MemorySymbols:
        store = self.stores.setdefault(header.release_id, MemorySymbols(layout))
        return store

    def receive(self, batch: Batch, now: float) -> None:
        """Take a batch, and do all work that it makes possible."""
        self.events += self.receiver.receive(batch, now)
        self.work()

    def work(self) -> None:
        """Do the jobs that there are."""
        while (job := self.receiver.next_job()) is not None:
            memory = self.stores[job.release].rows.data.cast("B")
            self.events += self.receiver.finish_job(self._workshop.run(job, memory))

    def image(self, assembly: Assembly) -> bytes:
        """Return the image that an assembly has stitched together."""
        rows = self.stores[assembly.header.release_id].rows
        return rows[: assembly.needed_symbols].tobytes()[: assembly.header.image_size]


@dataclass(frozen=True)
class PairResult:
    """How a run ended. `announced_s` and `verified_s` count from when the box tuned in; None if it didn't."""

    announced_s: float | None
    verified_s: float | None
    assembly: Assembly | None
    box: InlineBox
    counts: Counter[str] = field(default_factory=Counter)


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
    while now - tuned_in_s < limit_s:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        # A packet has arrived when its last bit has.
        arrival_s = now + batch.count * batch.stride * 8 / rate_bps
        for arrived in link.carry(batch):
            box.receive(arrived, arrival_s)
        if announced_s is None and box.receiver.assemblies:
            announced_s = arrival_s - tuned_in_s
        chosen = box.receiver.choose(arrival_s, tuned_in_s)
        if chosen is not None:
            return PairResult(announced_s, arrival_s - tuned_in_s, chosen, box, box.receiver.counts)
    return PairResult(announced_s, None, None, box, box.receiver.counts)
