"""Source blocks and encoding symbols of one object (RFC 6330 4.4.1.2, RFC 5052 9.1)."""

from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from carousel.frozen import Frozen

__all__ = ["FecId", "IntArray", "ObjectGeometry", "partition"]

IntArray = NDArray[np.int64]


class FecId(IntEnum):
    """FEC Encoding IDs (RFC 5052) that a release can use; they double as the LCT codepoint."""

    NO_CODE = 0
    """Compact No-Code, RFC 5445."""
    RAPTORQ = 6
    """RaptorQ, RFC 6330."""


def partition(items: int, parts: int) -> tuple[int, int, int, int]:
    """Return (IL, IS, JL, JS) of RFC 6330 4.4.1.2: JL parts of IL items, then JS parts of IS items."""
    large, small = -(-items // parts), items // parts
    large_count = items - small * parts
    return large, small, large_count, parts - large_count


class ObjectGeometry(Frozen):
    """How an object of `transfer_length` bytes is cut: Z source blocks of T-byte symbols, R repair each.

    A *row* numbers the object's encoding symbols: the Kt source symbols in order, then the repair symbols
    block by block. A source row is thus also the symbol's place in the object.
    """

    transfer_length: int
    symbol_size: int
    blocks: int
    repair_per_block: int

    def __post_init__(self) -> None:
        if self.transfer_length < 1 or self.symbol_size < 1 or self.repair_per_block < 0:
            raise ValueError(f"an impossible object: {self}")
        if not 1 <= self.blocks <= self.source_symbols:
            raise ValueError(f"{self.blocks} blocks for {self.source_symbols} source symbols")

    @cached_property
    def source_symbols(self) -> int:
        """Kt, the source symbols of all blocks."""
        return -(-self.transfer_length // self.symbol_size)

    @property
    def repair_symbols(self) -> int:
        """The prepared repair symbols of all blocks."""
        return self.blocks * self.repair_per_block

    @property
    def rows(self) -> int:
        """All encoding symbols."""
        return self.source_symbols + self.repair_symbols

    @property
    def fec(self) -> FecId:
        """RaptorQ where repair symbols were prepared, else no code."""
        return FecId.RAPTORQ if self.repair_per_block else FecId.NO_CODE

    @property
    def largest_block(self) -> int:
        """KL, the source symbols of the first block, which is the largest."""
        return partition(self.source_symbols, self.blocks)[0]

    @cached_property
    def block_sizes(self) -> IntArray:
        """K of each block, shape (Z,)."""
        large, small, large_count, small_count = partition(self.source_symbols, self.blocks)
        return np.repeat(np.array([large, small], dtype=np.int64), [large_count, small_count])

    @cached_property
    def first_rows(self) -> IntArray:
        """The row of each block's first source symbol, shape (Z,)."""
        return np.cumsum(self.block_sizes) - self.block_sizes

    @cached_property
    def first_symbol_index(self) -> IntArray:
        """The index of each block's first symbol when symbols go block by block in ESI order (digests)."""
        return self.first_rows + np.arange(self.blocks) * self.repair_per_block

    def row_of(self, sbn: IntArray, esi: IntArray) -> IntArray:
        """Return the row of each (SBN, ESI); both must be in range."""
        size = self.block_sizes[sbn]
        repair_row = self.source_symbols + sbn * self.repair_per_block + esi - size
        return np.where(esi < size, self.first_rows[sbn] + esi, repair_row)

    def symbols_of(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return the (SBN, ESI) of each row."""
        is_source = rows < self.source_symbols
        repair = rows - self.source_symbols
        sbn = np.searchsorted(self.first_rows, rows, side="right") - 1
        if self.repair_per_block:
            sbn = np.where(is_source, sbn, repair // self.repair_per_block)
        repair_esi = repair - sbn * self.repair_per_block + self.block_sizes[sbn]
        return sbn, np.where(is_source, rows - self.first_rows[sbn], repair_esi)

    def block_rows(self, sbn: int) -> IntArray:
        """Return the rows of one block's symbols in ESI order, shape (K + R,)."""
        first, size = int(self.first_rows[sbn]), int(self.block_sizes[sbn])
        repair = self.source_symbols + sbn * self.repair_per_block
        source_rows = np.arange(first, first + size)
        return np.concatenate([source_rows, np.arange(repair, repair + self.repair_per_block)])
