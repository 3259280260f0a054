"""What a box holds of one object: which symbols, which of them proven, and where each block stands.

OPEN ──enough symbols──► (a job) BUSY ──good──► DONE
 ▲                                 │
 └──too few, or bad symbols dropped┘
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carousel.release.blocks import IntArray, ObjectGeometry

__all__ = ["BlockState", "BoolArray", "ObjectHoldings", "Placed"]

BoolArray = NDArray[np.bool_]


class BlockState(IntEnum):
    """Where a source block stands."""

    OPEN = 0
    BUSY = 1
    DONE = 2


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a batch of symbols belongs: rows of those in range, and which of the batch are new to us."""

    sbn: IntArray
    esi: IntArray
    rows: IntArray
    in_range: BoolArray
    new: BoolArray


class ObjectHoldings:
    """Bitmaps and counts for one object's encoding symbols. `first_row` is its first row in the release."""

    def __init__(self, geometry: ObjectGeometry, first_row: int) -> None:
        self.geometry = geometry
        self.first_row = first_row
        self.held: BoolArray = np.zeros(geometry.rows, dtype=np.bool_)
        self.checked: BoolArray = np.zeros(geometry.rows, dtype=np.bool_)
        self.state = np.zeros(geometry.blocks, dtype=np.uint8)
        self.held_in_block = np.zeros(geometry.blocks, dtype=np.int64)
        self._block_of_row = _block_of_row(geometry)
        self._claim = np.zeros(geometry.rows, dtype=np.uint16)

    def place(self, payload_ids: IntArray) -> Placed:
        """Split payload IDs into (SBN, ESI), find their rows, and tell the new ones (duplicates within, too)."""
        geometry = self.geometry
        shift = 24 if geometry.fec else 16
        sbn, esi = payload_ids >> shift, payload_ids & ((1 << shift) - 1)
        if int(sbn.max()) < geometry.blocks and int(esi.max()) < geometry.block_sizes[-1]:
            in_range, rows = np.ones(len(sbn), dtype=np.bool_), geometry.first_rows[sbn] + esi
        else:
            in_range, sbn, rows = self._rows_in_range(sbn, esi)
        new = in_range & ~self.held[rows]
        if self.state.any():
            new &= self.state[sbn] == BlockState.OPEN
        order = np.arange(len(rows), dtype=np.uint16)
        if new.all():
            self._claim[rows] = order
        else:
            self._claim[rows[new]] = order[new]
        new &= self._claim[rows] == order
        return Placed(sbn, esi, rows, in_range, new)

    def _rows_in_range(self, sbn: IntArray, esi: IntArray) -> tuple[BoolArray, IntArray, IntArray]:
        """Return which symbols exist, and their SBNs and rows, 0 for those that don't."""
        geometry = self.geometry
        in_range = sbn < geometry.blocks
        if not in_range.all():
            sbn = np.where(in_range, sbn, 0)
        in_range &= esi < geometry.block_sizes[sbn] + geometry.repair_per_block
        rows = geometry.row_of(sbn, esi)
        return in_range, sbn, rows if in_range.all() else np.where(in_range, rows, 0)

    def hold(self, rows: IntArray, checked: bool) -> None:
        """Mark new rows as held."""
        self.held[rows] = True
        if checked:
            self.checked[rows] = True
        self.held_in_block += np.bincount(self._block_of_row[rows], minlength=self.geometry.blocks)

    def drop(self, rows: IntArray) -> None:
        """Forget held rows: they turned out bad."""
        self.held[rows] = False
        self.checked[rows] = False
        self.held_in_block -= np.bincount(self._block_of_row[rows], minlength=self.geometry.blocks)

    def finish(self, sbn: int) -> None:
        """Mark a block as done: all its source symbols are there and proven."""
        self.state[sbn] = BlockState.DONE
        rows = self.source_rows(sbn)
        self.held[rows] = True
        self.checked[rows] = True
        self.held_in_block[sbn] = int(self.held[self.geometry.block_rows(sbn)].sum())

    def source_rows(self, sbn: int) -> slice:
        """Return the rows of a block's source symbols."""
        first = int(self.geometry.first_rows[sbn])
        return slice(first, first + int(self.geometry.block_sizes[sbn]))

    def has_all_source(self, sbn: int) -> bool:
        """Say whether a block needs no decoding."""
        return bool(self.held[self.source_rows(sbn)].all())

    @property
    def done_blocks(self) -> int:
        """How many blocks are done."""
        return int(np.count_nonzero(self.state == BlockState.DONE))


def _block_of_row(geometry: ObjectGeometry) -> NDArray[np.uint8]:
    blocks = np.arange(geometry.blocks, dtype=np.uint8)  # at most 255 blocks
    source = np.repeat(blocks, geometry.block_sizes)
    repair = np.repeat(blocks, geometry.repair_per_block)
    return np.concatenate([source, repair])
