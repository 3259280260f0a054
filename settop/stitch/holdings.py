"""What a box holds of one object: a landing and its marks, which symbols are proven, and where each block stands.

    OPEN ──full, or digests known──► (a job) BUSY ──good──► DONE
    │  ▲                                      │
    │  ├── too few, or forged symbols dropped ┘
    ▼  │
    DRAFTED (settop/stitch/drafts.py)

A block is *full* when its landing wants no more of it. A busy block wants nothing either; a drafted one goes on taking
what its draft expects.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carousel.buffers import Bytes, IntArray
from carousel.distinct import distinct
from carousel.take import CAME_AGAIN, HELD, KEPT_OFF, Landing
from settop.stitch.jobs import Present

__all__ = ["BlockState", "BoolArray", "Holdings"]

BoolArray = NDArray[np.bool_]
NEWEST_SLOTS = 4096
"""A wake-up's symbols are among so many that were stored last, as a rule."""


class BlockState(IntEnum):
    """Where a source block stands."""

    OPEN = 0
    BUSY = 1
    DONE = 2
    DRAFTED = 3


class Holdings:
    """A landing and what is known of its symbols. Rows are the object's (`ObjectGeometry.row_of`)."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self.geometry = landing.geometry
        self.proven: BoolArray = np.zeros(self.geometry.rows, dtype=np.bool_)
        """Symbols whose own digest, or whose block's, was right."""
        self.state = np.zeros(self.geometry.blocks, dtype=np.uint8)
        self.done_blocks = 0
        """How many blocks are done; counted, for it is asked at every wake-up."""
        self._paused = np.zeros(self.geometry.blocks, dtype=np.int32)
        self._drafted_rows: dict[int, IntArray] = {}
        self._kept_off: IntArray | None = None

    # --- blocks -----------------------------------------------------------------------------------------

    def is_full(self, sbn: int) -> bool:
        """Say whether a block is open and wants no more symbols."""
        return bool(self.state[sbn] == BlockState.OPEN and self.landing.wanted[sbn] <= 0)

    def begin(self, sbn: int) -> None:
        """Keep symbols off a block: a job works on it."""
        self.state[sbn] = BlockState.BUSY
        self.landing.worked[sbn] = True
        self._paused[sbn] = self.landing.wanted[sbn]
        self.landing.wanted[sbn] = 0

    def end(self, sbn: int) -> None:
        """Let a block have symbols again."""
        self.state[sbn] = BlockState.OPEN
        self.landing.wanted[sbn] += self._paused[sbn]
        self._paused[sbn] = 0

    def draft(self, sbn: int, esis: IntArray) -> None:
        """Keep symbols off these source rows of a block, which are not held: a draft of it stands there."""
        rows = int(self.geometry.first_rows[sbn]) + esis
        self.state[sbn] = BlockState.DRAFTED
        self.landing.worked[sbn] = True
        self.landing.held[rows] = KEPT_OFF
        self._drafted_rows[sbn] = rows
        self._kept_off = None

    def missed(self) -> list[int]:
        """Return the blocks of which a packet came for a row that a draft keeps off: it may be lost."""
        if self._kept_off is None:
            self._kept_off = np.concatenate([*self._drafted_rows.values()])
        if not (self.landing.held[self._kept_off] & CAME_AGAIN).any():
            return []  # as a rule: this is asked at every wake-up
        return [sbn for sbn, rows in self._drafted_rows.items() if (self.landing.held[rows] & CAME_AGAIN).any()]

    def undraft(self, sbn: int) -> None:
        """Let these rows have symbols again: the draft is done with."""
        self.landing.held[self._drafted_rows.pop(sbn)] = 0
        self._kept_off = None
        self.state[sbn] = BlockState.OPEN

    def finish(self, sbn: int) -> None:
        """Mark a block as done: all its source symbols are there and proven."""
        self.end(sbn)
        self.landing.finish(sbn)
        rows = self.source_rows(sbn)
        self.landing.held[rows] = HELD
        self.proven[rows] = True
        self.landing.source_held[sbn] = self.geometry.block_sizes[sbn]
        self.state[sbn] = BlockState.DONE
        self.done_blocks += 1

    def want_more(self, sbn: int, count: int) -> int:
        """Want so many more symbols of a block, at most as many as there are; return how many."""
        rows = self.geometry.block_rows(sbn)
        left = len(rows) - int(np.count_nonzero(self.landing.held[rows])) - int(self.landing.wanted[sbn])
        more = max(0, min(count, left))
        self.landing.wanted[sbn] += more
        return more

    def source_rows(self, sbn: int) -> slice:
        """Return the rows of a block's source symbols."""
        first = int(self.geometry.first_rows[sbn])
        return slice(first, first + int(self.geometry.block_sizes[sbn]))

    def proven_count(self, sbn: int) -> int:
        """Return how many symbols of a block are proven."""
        geometry = self.geometry
        first = geometry.source_symbols + sbn * geometry.repair_per_block
        repair = self.proven[first : first + geometry.repair_per_block]
        return int(np.count_nonzero(self.proven[self.source_rows(sbn)])) + int(np.count_nonzero(repair))

    @property
    def useful_symbols(self) -> int:
        """How many source symbols the box has, in effect: no block counts for more than its K."""
        sizes = self.geometry.block_sizes
        held = self.landing.source_held + self.landing.repair_held
        return int(np.where(self.state == BlockState.DONE, sizes, np.minimum(held, sizes)).sum())

    # --- symbols ----------------------------------------------------------------------------------------

    def held_rows(self, sbn: int) -> IntArray:
        """Return the rows held of a block, in ESI order."""
        rows = self.geometry.block_rows(sbn)
        held: IntArray = rows[self.landing.held[rows] != 0]
        return held

    def present(self, sbn: int, proven_only: bool = False) -> Present:
        """Return what a block can be decoded from."""
        source = self.source_rows(sbn)
        is_there = self.proven[source] if proven_only else self.landing.held[source] != 0
        slots, esis = self.landing.repair_symbols(sbn)
        if proven_only:
            repair_rows = self.geometry.row_of(np.full(len(esis), sbn), esis)
            slots, esis = slots[self.proven[repair_rows]], esis[self.proven[repair_rows]]
        return Present(np.flatnonzero(~is_there), slots, esis)

    def symbols(self, rows: IntArray) -> Bytes:
        """Return held symbols, copied, shape (n, T)."""
        found = np.empty((len(rows), self.geometry.symbol_size), dtype=np.uint8)
        is_source = rows < self.geometry.source_symbols
        found[is_source] = self.landing.source[rows[is_source]]
        if not is_source.all():
            found[~is_source] = self.landing.repair[self._slots_of(rows[~is_source])]
        return found

    def _slots_of(self, rows: IntArray) -> IntArray:
        """Return the slots that hold repair symbols; those of the newest take lie on top of the stack of free slots."""
        landing = self.landing
        begin = int(landing.free_count[0])
        newest = landing.free[begin : begin + NEWEST_SLOTS].astype(np.int64)
        found, is_found = self._among(newest[landing.slot_sbn[newest] >= 0], rows)
        if not is_found.all():
            found, _ = self._among(np.flatnonzero(landing.slot_sbn >= 0), rows)
        return found

    def _among(self, slots: IntArray, rows: IntArray) -> tuple[IntArray, BoolArray]:
        """Return for each row which of these slots holds it, and whether it does."""
        if not len(slots):
            return np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
        held = self._rows_in(slots)
        order = np.argsort(held)
        places = order[np.minimum(np.searchsorted(held, rows, sorter=order), len(slots) - 1)]
        return slots[places], held[places] == rows

    def _rows_in(self, slots: IntArray) -> IntArray:
        """Return the row of the symbol in each slot, none of which is free."""
        landing = self.landing
        return self.geometry.row_of(landing.slot_sbn[slots].astype(np.int64), landing.slot_esi[slots].astype(np.int64))

    def discard(self, rows: IntArray) -> None:
        """Forget held symbols: they are forged, or nobody knows. They are wanted again."""
        sbn, esi = self.geometry.symbols_of(rows)
        for block in distinct(sbn).tolist():
            self.landing.discard(block, esi[sbn == block])
        self.proven[rows] = False
