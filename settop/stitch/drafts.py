"""Blocks that are decoded before they are full.

Theory. Where nothing is lost, all blocks fill within the same round of the carousel, and a box would decode them one
after the other when nothing comes any more. So a block that lacks few symbols is *drafted*: decoded but for those that
are still to come, whichever they will be (`carousel.fec.Codec.draft`). When they are there, little is left to do.

    OPEN ──few lack──► DRAFTED (a job, then a draft that waits) ──full──► OPEN, and finished by it
                          └──── suspicion, or symbols that nobody expected ──► OPEN, and decoded

A draft writes to the rows of source symbols that are not expected any more; as long as it stands these count as held,
so that nobody lands there. Where one comes for them all the same, the draft is given up. It is believed no more than a
decoding: the digest decides, and a block that does not match is decoded anew. Where losses make blocks fill one
by one nothing is drafted: it would cost and bring nothing.
"""

import numpy as np

from carousel.buffers import IntArray
from carousel.distinct import distinct
from carousel.fec import MOST_LACKING, Draft
from settop.stitch.holdings import BlockState, Holdings
from settop.stitch.jobs import Present

__all__ = ["MOST_DRAFT_BYTES", "Drafts", "Late"]

MOST_LATE = MOST_LACKING
"""So many symbols may lack: each more makes a draft earlier, and its end longer."""
WINDOW_PACKETS = 1452
"""A carousel shuffles so many (headend/cast/wheel.py): what comes is not further ahead than two windows, ..."""
WINDOW_SHARE = 1 / 16
"""... and in small images a window is such a share of a block."""
MORE_ROUNDS = 16
MOST_DRAFT_BYTES = 8 << 20
"""Of memory for all drafts of an image: about the symbols of three windows."""

Late = tuple[Draft, IntArray, IntArray]
"""A draft, and the (rows of `Landing.repair`, ESIs) of symbols that came since it was made."""


class _Drafted:
    def __init__(self, coming: IntArray, size_bytes: int) -> None:
        self.coming, self.size_bytes = coming, size_bytes
        self.is_under_way = True
        self.draft: Draft | None = None


class Drafts:
    """Which blocks of one image are drafted. `most_bytes`: of memory; 0 for none at all."""

    def __init__(self, image: Holdings, most_bytes: int) -> None:
        self._image = image
        self._spare_bytes = most_bytes
        self._drafted: dict[int, _Drafted] = {}
        self._tried: set[int] = set()
        self._newest_row = 0

    def heard(self, rows: IntArray) -> None:
        """Take note of image symbols that have just landed: what comes next lies near them."""
        self._newest_row = int(rows[-1])

    def begin(self) -> tuple[int, Present, IntArray] | None:
        """Choose a block to draft: (SBN, what it is drafted from, ESIs that may come); None if none is due."""
        self._give_up()
        sbn = self._due()
        if sbn is None:
            return None
        self._tried.add(sbn)
        present = self._image.present(sbn)
        lacking = len(present.missing) - len(present.slots)
        coming = self._coming(sbn)
        size_bytes = len(coming) * self._image.geometry.symbol_size + len(present.missing) * (lacking + 12)
        if not 1 <= lacking <= MOST_LATE or size_bytes > self._spare_bytes:
            return None
        self._spare_bytes -= size_bytes
        self._drafted[sbn] = _Drafted(coming, size_bytes)
        geometry = self._image.geometry
        is_coming = np.zeros(int(geometry.block_sizes[sbn]) + geometry.repair_per_block, dtype=np.bool_)
        is_coming[coming] = True
        self._image.draft(sbn, present.missing[~is_coming[present.missing]])
        return sbn, present, coming

    def made(self, sbn: int, draft: Draft | None) -> None:
        """Keep a draft; or open its block again, where none was made."""
        self._drafted[sbn].is_under_way, self._drafted[sbn].draft = False, draft
        if draft is None:
            self._end(sbn)

    def is_under_way(self, sbn: int) -> bool:
        """Say whether a block is being drafted just now."""
        return sbn in self._drafted and self._drafted[sbn].is_under_way

    def take(self, sbn: int) -> Late | None:
        """Open a block again; return its draft and what came meanwhile, if it has one, and enough came."""
        found = self._drafted.get(sbn)
        if found is None or found.is_under_way:
            return None
        self._end(sbn)
        image, coming = self._image, found.coming
        rows = image.geometry.row_of(np.full(len(coming), sbn), coming)
        esis = coming[image.landing.held[rows] != 0]
        is_repair = esis >= image.geometry.block_sizes[sbn]
        slots, of_slots = image.landing.repair_symbols(sbn)
        order = np.argsort(of_slots)
        late_rows = np.zeros(len(esis), dtype=np.int64)
        late_rows[is_repair] = slots[order[np.searchsorted(of_slots, esis[is_repair], sorter=order)]]
        return None if found.draft is None else (found.draft, late_rows, esis)

    def end_all(self) -> None:
        """Open all blocks again; those that are under way will be as soon as they are made."""
        for sbn in [sbn for sbn, each in self._drafted.items() if not each.is_under_way]:
            self._end(sbn)

    def _give_up(self) -> None:
        """Open blocks again for which other symbols come: the carousel has jumped, or somebody forges."""
        for sbn in [sbn for sbn, each in self._drafted.items() if not each.is_under_way]:
            if self._image.is_missed(sbn):
                self._end(sbn)

    def _end(self, sbn: int) -> None:
        self._spare_bytes += self._drafted.pop(sbn).size_bytes
        self._image.undraft(sbn)

    def _due(self) -> int | None:
        """Return the block that lacks fewest symbols, if at least as many blocks lack few as lack more."""
        if not self._spare_bytes:
            return None
        wanted, state = self._image.landing.wanted, self._image.state
        is_near = (wanted > 0) & (wanted <= MOST_LATE)
        if np.count_nonzero(is_near) < np.count_nonzero(wanted > MOST_LATE):
            return None
        is_near &= (state == BlockState.OPEN) & (self._image.landing.repair_held > 0)
        near = [sbn for sbn in np.flatnonzero(is_near).tolist() if sbn not in self._tried]
        return min(near, key=lambda sbn: int(wanted[sbn]), default=None)

    def _coming(self, sbn: int) -> IntArray:
        """Return the ESIs of a block that are on their way: those not held, a window back and two ahead.

        Behind the last source symbol comes the first repair symbol, behind the last of these the first source symbol.
        """
        geometry = self._image.geometry
        size, (_, newest) = int(geometry.block_sizes[sbn]), geometry.symbols_of(np.array([self._newest_row]))
        window = MORE_ROUNDS + min(WINDOW_PACKETS // geometry.blocks, int(WINDOW_SHARE * size))
        count = size + geometry.repair_per_block
        near = (int(newest[0]) + np.arange(-window, 2 * window + 1)) % count
        near = distinct(near) if len(near) < count else np.arange(count)
        rows = geometry.row_of(np.full(len(near), sbn), near)
        coming: IntArray = near[self._image.landing.held[rows] == 0]
        return coming
