"""Blocks that are decoded before they are full.

Theory. Where nothing is lost, all blocks fill within the same round of the carousel, and a box would decode them one
after the other when nothing comes any more. So a block that lacks few symbols is *drafted*: decoded but for those that
are still to come, whichever they will be (`carousel.fec.Codec.draft`). When they are there, little is left to do.

    OPEN ──few lack──► DRAFTED (a job, then a draft that waits) ──full──► OPEN, and finished by it
                          └──── suspicion, or symbols that nobody expected ──► OPEN, and decoded

A draft writes to the rows of source symbols that are not expected any more; as long as it stands nobody lands there.
Where one comes for them all the same, the draft is given up. It is believed no more than a decoding: the block's digest
decides, and what does not match is decoded anew. Where losses make blocks fill one by one nothing is drafted: it would
cost and bring nothing.
"""

import numpy as np

from carousel.buffers import IntArray
from carousel.distinct import distinct
from carousel.fec import MOST_LACKING, Draft
from carousel.release.blocks import ObjectGeometry
from settop.stitch.holdings import BlockState, Holdings
from settop.stitch.jobs import Present

__all__ = ["MOST_DRAFT_BYTES", "Drafts", "Late"]

MOST_LATE = MOST_LACKING
"""So many symbols may lack: each more makes a draft earlier, and its end longer."""
CHUNK_PACKETS, WINDOW_PACKETS, LEAST_WINDOWS, FEWEST_CHUNKS = 44, 1408, 16, 2
"""How a carousel shuffles (headend/cast/wheel.py, by the same names): what comes is at most two windows ahead."""
MORE_ROUNDS = 16
"""For head-ends whose bursts, and so whose chunks, are longer."""
STEADY_PACKETS = 128
"""So many of one kind, source or repair, tell where the carousel is."""
MOST_DRAFT_BYTES = 8 << 20
"""Of memory for all drafts of an image: about the symbols of four windows."""

Late = tuple[Draft, IntArray, IntArray]
"""A draft, and the (rows of `Landing.repair`, ESIs) of symbols that came since it was made."""


class _Drafted:
    def __init__(self, esi: int, coming: IntArray, lacking: int, size_bytes: int) -> None:
        self.esi, self.coming, self.lacking, self.size_bytes = esi, coming, lacking, size_bytes
        self.is_under_way = True
        self.draft: Draft | None = None


class _Place:
    """Where the carousel stands, seen from what lands: nowhere, while it turns from source to repair symbols or back.

    So it is nowhere as long as two head-ends take turns, half a cycle apart (headend/cast/pair.py).
    """

    def __init__(self, geometry: ObjectGeometry) -> None:
        self._geometry = geometry
        self._row: int | None = None
        self._unsteady_packets = 0

    def heard(self, rows: IntArray) -> None:
        """Take note of symbols that have just landed."""
        sources = np.count_nonzero(rows < self._geometry.source_symbols)
        was_source = bool(sources) if self._row is None else self._row < self._geometry.source_symbols
        turns = 0 < sources < len(rows) or bool(sources) != was_source
        self._unsteady_packets = STEADY_PACKETS if turns else max(0, self._unsteady_packets - len(rows))
        self._row = int(rows[-1])

    @property
    def esi(self) -> int | None:
        """The ESI of the last symbol: other blocks' symbols with about the same one go out at about the same time."""
        if self._row is None or self._unsteady_packets:
            return None
        return int(self._geometry.symbols_of(np.array([self._row]))[1][0])


class Drafts:
    """Which blocks of one image are drafted. `most_bytes`: of memory; 0 for none at all."""

    def __init__(self, image: Holdings, most_bytes: int) -> None:
        self._image = image
        self._spare_bytes = most_bytes
        self._drafted: dict[int, _Drafted] = {}
        self._tried: set[int] = set()
        self._later: dict[int, int] = {}
        """Blocks that could not be drafted, and where the carousel was."""
        self._place = _Place(image.geometry)

    def heard(self, rows: IntArray) -> None:
        """Take note of image symbols that have just landed: what comes next lies near them."""
        self._place.heard(rows)

    def _symbols_of(self, sbn: int) -> int:
        geometry = self._image.geometry
        return int(geometry.block_sizes[sbn]) + geometry.repair_per_block

    def _window(self, sbn: int) -> int:
        """Return how many rounds a window has at most: so many symbols of each block are shuffled."""
        geometry = self._image.geometry
        chunk_rounds = -(-CHUNK_PACKETS // geometry.blocks)
        rounds = min(WINDOW_PACKETS // geometry.blocks, int(geometry.block_sizes[sbn]) // LEAST_WINDOWS)
        return MORE_ROUNDS + max(FEWEST_CHUNKS * chunk_rounds, rounds)

    def begin(self) -> tuple[int, Present, IntArray] | None:
        """Choose a block to draft: (SBN, what it is drafted from, ESIs that may come); None if none is due."""
        esi = self._place.esi
        self._give_up(esi)
        sbn = None if esi is None else self._due(esi)
        if esi is None or sbn is None:
            return None
        present, coming = self._image.present(sbn), self._coming(sbn, esi)
        lacking = len(present.missing) - len(present.slots)
        size_bytes = len(coming) * self._image.geometry.symbol_size + len(present.missing) * (lacking + 12)
        if not 1 <= lacking <= min(MOST_LATE, len(coming)) or size_bytes > self._spare_bytes:
            self._later[sbn] = esi
            return None
        self._tried.add(sbn)
        self._spare_bytes -= size_bytes
        self._drafted[sbn] = _Drafted(esi, coming, lacking, size_bytes)
        is_coming = np.zeros(self._symbols_of(sbn), dtype=np.bool_)
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
        return None if found.draft is None or len(esis) < found.lacking else (found.draft, late_rows, esis)

    def end_all(self) -> None:
        """Open all blocks again; those that are under way will be as soon as they are made."""
        for sbn in [sbn for sbn, each in self._drafted.items() if not each.is_under_way]:
            self._end(sbn)

    def _give_up(self, esi: int | None) -> None:
        """Open blocks again for which others will come, or come: much is lost, the carousel jumps, or one forges."""
        missed = self._image.missed() if self._drafted else []
        for sbn, each in [*self._drafted.items()]:
            if not each.is_under_way and (sbn in missed or (esi is not None and self._is_past(sbn, each.esi, esi))):
                self._end(sbn)

    def _is_past(self, sbn: int, then_esi: int, esi: int) -> bool:
        """Say whether the carousel is more than a window away from where it was."""
        return self._window(sbn) < (esi - then_esi) % self._symbols_of(sbn) < self._symbols_of(sbn) - self._window(sbn)

    def _end(self, sbn: int) -> None:
        self._spare_bytes += self._drafted.pop(sbn).size_bytes
        self._image.undraft(sbn)

    def _due(self, esi: int) -> int | None:
        """Return the block that lacks fewest symbols, if at least as many blocks lack few as lack more."""
        if not self._spare_bytes:
            return None
        wanted, state = self._image.landing.wanted, self._image.state
        is_near = (wanted > 0) & (wanted <= MOST_LATE)
        if np.count_nonzero(is_near) < np.count_nonzero(wanted > MOST_LATE):
            return None
        is_near &= (state == BlockState.OPEN) & (self._image.landing.repair_held > 0)
        near = [sbn for sbn in np.flatnonzero(is_near).tolist() if sbn not in self._tried and self._may(sbn, esi)]
        return min(near, key=lambda sbn: int(wanted[sbn]), default=None)

    def _may(self, sbn: int, esi: int) -> bool:
        """Say whether it is time to look at a block (again)."""
        return sbn not in self._later or (esi - self._later[sbn]) % self._symbols_of(sbn) >= MORE_ROUNDS

    def _coming(self, sbn: int, esi: int) -> IntArray:
        """Return the ESIs of a block that are on their way: those not held, a window back and two ahead.

        Behind the last source symbol comes the first repair symbol, behind the last of these the first source symbol.
        """
        geometry, window, count = self._image.geometry, self._window(sbn), self._symbols_of(sbn)
        near = (esi + np.arange(-window, 2 * window + 1)) % count
        near = distinct(near) if len(near) < count else np.arange(count)
        rows = geometry.row_of(np.full(len(near), sbn), near)
        coming: IntArray = near[self._image.landing.held[rows] == 0]
        return coming
