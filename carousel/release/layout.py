"""What a release consists of: everything follows from its signed header, nothing is believed from the network.

`ReleaseLayout` lists the objects (the image, then the digest levels) with their geometry, numbers all
their encoding symbols in one row space, and knows where in which level each digest lies.
"""

from functools import cached_property

import numpy as np

from carousel.distinct import distinct
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.release.blocks import IntArray, ObjectGeometry
from carousel.release.digests import BLOCK_DIGEST_BYTES, SYMBOL_DIGEST_BYTES
from carousel.release.header import HeaderFields
from carousel.release.limits import (
    MAX_BLOCK_SYMBOLS,
    MAX_BLOCKS,
    MAX_LEVEL_BLOCK_SYMBOLS,
    MAX_LEVELS,
    MAX_REPAIR_PER_BLOCK,
    MAX_SYMBOL_BYTES,
    MIN_SYMBOL_BYTES,
    TARGET_BLOCK_SYMBOLS,
)

__all__ = ["ReleaseLayout", "blocks_of_image"]


def blocks_of_image(source_symbols: int) -> int:
    """Return Z for an image of Kt symbols; `ValueError` where it is too large for 255 blocks of 7000."""
    blocks = min(-(-source_symbols // TARGET_BLOCK_SYMBOLS), MAX_BLOCKS)
    if source_symbols > blocks * MAX_BLOCK_SYMBOLS:
        raise ValueError(f"{source_symbols} symbols are more than {MAX_BLOCKS} blocks of {MAX_BLOCK_SYMBOLS}")
    return blocks


def _level_geometries(image: ObjectGeometry) -> list[ObjectGeometry]:
    """Derive the geometry of each digest level, level 1 first, from the image's."""
    levels: list[ObjectGeometry] = []
    below, prefix = image, BLOCK_DIGEST_BYTES * image.blocks
    while True:
        size = prefix + SYMBOL_DIGEST_BYTES * below.rows
        symbols = -(-size // image.symbol_size)
        blocks = -(-symbols // MAX_LEVEL_BLOCK_SYMBOLS)
        is_top = symbols == 1
        repair = -(-symbols // blocks) if image.repair_per_block and not is_top else 0
        levels.append(ObjectGeometry(size, image.symbol_size, blocks, repair))
        if is_top:
            return levels
        if len(levels) == MAX_LEVELS:
            raise ValueError(f"more than {MAX_LEVELS} digest levels: take larger symbols")
        below, prefix = levels[-1], 0


class ReleaseLayout(Frozen):
    """The objects of a release, index 0 the image, index i digest level i."""

    objects: tuple[ObjectGeometry, ...]

    @classmethod
    def of_image(cls, image: ObjectGeometry) -> "ReleaseLayout":
        """Lay out a release around an image; `ValueError` where it can't be done."""
        return cls((image, *_level_geometries(image)))

    @classmethod
    def of_header(cls, header: HeaderFields) -> "ReleaseLayout":
        """Lay out the release of a header; `FormatError("geometry")` for an impossible one.

        The limits hold for authentic headers too: no signature makes a box allocate without bound.
        """
        if not MIN_SYMBOL_BYTES <= header.symbol_size <= MAX_SYMBOL_BYTES or header.symbol_size % 8:
            raise FormatError("geometry")
        if header.repair_per_block > MAX_REPAIR_PER_BLOCK or not 1 <= header.source_blocks <= MAX_BLOCKS:
            raise FormatError("geometry")
        try:
            image = ObjectGeometry(header.image_size, header.symbol_size, header.source_blocks, header.repair_per_block)
            if image.largest_block > MAX_BLOCK_SYMBOLS:
                raise FormatError("geometry")
            return cls.of_image(image)
        except ValueError:
            raise FormatError("geometry") from None

    @property
    def symbol_size(self) -> int:
        """T, the same for all objects."""
        return self.objects[0].symbol_size

    @property
    def top(self) -> int:
        """The number of the highest digest level, which is one symbol."""
        return len(self.objects) - 1

    @cached_property
    def first_rows(self) -> IntArray:
        """Where each object's rows begin when all objects' rows are numbered through, shape (levels + 1,)."""
        sizes = np.array([geometry.rows for geometry in self.objects], dtype=np.int64)
        return np.cumsum(sizes) - sizes

    @cached_property
    def rows(self) -> int:
        """All encoding symbols of all objects."""
        return sum(geometry.rows for geometry in self.objects)

    def digest_offsets(self, level: int, sbn: IntArray, esi: IntArray) -> IntArray:
        """Return where in level + 1 the digests of these symbols of `level` begin, in bytes."""
        prefix = BLOCK_DIGEST_BYTES * self.objects[0].blocks if level == 0 else 0
        return prefix + SYMBOL_DIGEST_BYTES * (self.objects[level].first_symbol_index[sbn] + esi)

    def urgent_symbols(self) -> tuple[tuple[int, int], ...]:
        """Return (level, source row) of what every box needs before its first block can be called good.

        The first symbols of level 1 hold the block digests; the chain above them proves these symbols.
        """
        return self._proof_of(BLOCK_DIGEST_BYTES * self.objects[0].blocks)

    def chain_symbols(self) -> tuple[tuple[int, int], ...]:
        """Return (level, source row) of what proves level 1, and of the block digests; the top first."""
        proof = self._proof_of(self.objects[1].transfer_length)
        urgent = self.urgent_symbols()
        return tuple(reversed([place for place in proof if place[0] > 1 or place in urgent]))

    def _proof_of(self, needed_bytes: int) -> tuple[tuple[int, int], ...]:
        """Return (level, source row) of the first bytes of level 1, and of what proves them.

        Not of what holds digests of repair symbols alone: those of digest levels are not on the air.
        """
        proof: list[tuple[int, int]] = []
        rows = np.arange(-(-needed_bytes // self.symbol_size))
        for level in range(1, self.top + 1):
            proof += [(level, row) for row in rows.tolist()]
            first = self.digest_offsets(level, *self.objects[level].symbols_of(rows))
            rows = distinct(np.concatenate([first, first + SYMBOL_DIGEST_BYTES - 1]) // self.symbol_size)
        return tuple(proof)

    def first_digested(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return (SBN, ESI) of the first image symbol whose digest begins in each source row of level 1, or before."""
        image = self.objects[0]
        begin = rows * self.symbol_size - BLOCK_DIGEST_BYTES * image.blocks
        index = np.maximum(begin, 0) // SYMBOL_DIGEST_BYTES
        sbn = np.searchsorted(image.first_symbol_index, index, side="right") - 1
        return sbn, index - image.first_symbol_index[sbn]
