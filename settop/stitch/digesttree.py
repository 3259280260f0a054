"""The digest levels of one release as they arrive: each symbol proven by the level above, the top by the header.

A symbol whose digest is not known yet is held unproven, and judged when the level above has it. Level 0, the
image, is not held here; the tree answers for its symbols and blocks.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from carousel.release.blocks import IntArray
from carousel.release.digests import BLOCK_DIGEST_BYTES, SYMBOL_DIGEST_BYTES, symbol_digest
from carousel.release.layout import ReleaseLayout
from settop.stitch.holdings import BlockState, BoolArray, ObjectHoldings
from settop.stitch.symbols import SymbolStore

__all__ = ["DigestTree"]


class DigestTree:
    """Levels 1 to top of a release."""

    def __init__(self, layout: ReleaseLayout, top_sha256: bytes, store: SymbolStore) -> None:
        self._layout = layout
        self._top_sha256 = top_sha256
        self._store = store
        self._levels = {
            level: ObjectHoldings(layout.objects[level], int(layout.first_rows[level]))
            for level in range(1, layout.top + 1)
        }
        self.forged_symbols = 0
        if store.resumed:
            for holdings in self._levels.values():
                holdings.hold(np.arange(holdings.geometry.rows), checked=False)
            self._recheck_from(layout.top)
            self.forged_symbols = 0  # what an earlier run had not written is no forgery

    def receive(self, level: int, payload_ids: IntArray, symbols: NDArray[np.void]) -> int:
        """Take symbols (n, V<T>) of a level; return how many were out of range."""
        holdings = self._levels[level]
        placed = holdings.place(payload_ids)
        if placed.new.any():
            rows = placed.rows[placed.new]
            self._store.write_level(rows + holdings.first_row, symbols[placed.new])
            holdings.hold(rows, checked=False)
            self._recheck_from(level)
        return int(np.count_nonzero(~placed.in_range))

    def _recheck_from(self, level: int) -> None:
        """Judge the unproven symbols of a level, and of those below as far as that proves anything new."""
        while level >= 1 and self._recheck(level):
            level -= 1

    def _recheck(self, level: int) -> bool:
        """Judge unproven symbols of one level whose digests are known; say whether any was proven."""
        holdings = self._levels[level]
        rows = np.flatnonzero(holdings.held & ~holdings.checked)
        sbn, esi = holdings.geometry.symbols_of(rows)
        known = self.knows(level, sbn, esi)
        rows, sbn, esi = rows[known], sbn[known], esi[known]
        good = self._good(level, rows + holdings.first_row, sbn, esi)
        holdings.checked[rows[good]] = True
        holdings.drop(rows[~good])
        self.forged_symbols += int(np.count_nonzero(~good))
        return bool(good.any())

    def _good(self, level: int, rows: IntArray, sbn: IntArray, esi: IntArray) -> BoolArray:
        """Compare symbols, in the release's rows, with their digests, which must be known."""
        symbols = [self._store.view(row, 1).tobytes() for row in rows.tolist()]
        if level == self._layout.top:
            size = self._layout.objects[level].transfer_length
            found = [
                hashlib.sha256(symbol[:size]).digest() == self._top_sha256 and not any(symbol[size:])
                for symbol in symbols
            ]
        else:
            offsets = self._layout.digest_offsets(level, sbn, esi).tolist()
            found = [
                symbol_digest(level, one_sbn, one_esi, symbol) == self._bytes_of(level + 1, offset, SYMBOL_DIGEST_BYTES)
                for symbol, one_sbn, one_esi, offset in zip(symbols, sbn.tolist(), esi.tolist(), offsets, strict=True)
            ]
        return np.array(found, dtype=np.bool_)

    def knows(self, level: int, sbn: IntArray, esi: IntArray) -> BoolArray:
        """Say for each symbol of a level whether its digest is there and proven."""
        if level == self._layout.top:
            return np.ones(len(sbn), dtype=np.bool_)
        offsets = self._layout.digest_offsets(level, sbn, esi)
        checked = self._levels[level + 1].checked
        size = self._layout.symbol_size
        known: BoolArray = checked[offsets // size] & checked[(offsets + SYMBOL_DIGEST_BYTES - 1) // size]
        return known

    def digest_of(self, level: int, sbn: int, esi: int) -> bytes:
        """Return the digest of one symbol below the top; ask `knows` first."""
        offset = int(self._layout.digest_offsets(level, np.array([sbn]), np.array([esi]))[0])
        return self._bytes_of(level + 1, offset, SYMBOL_DIGEST_BYTES)

    def block_digest(self, sbn: int) -> bytes | None:
        """Return the SHA-256 that a block of the image must have, or None as long as it isn't proven."""
        return self._proven_bytes(1, BLOCK_DIGEST_BYTES * sbn, BLOCK_DIGEST_BYTES)

    def symbol_digests_of_block(self, sbn: int) -> bytes | None:
        """Return the digests of all symbols of an image block in ESI order, or None as long as one is missing."""
        image = self._layout.objects[0]
        first = int(self._layout.digest_offsets(0, np.array([sbn]), np.array([0]))[0])
        count = int(image.block_sizes[sbn]) + image.repair_per_block
        return self._proven_bytes(1, first, SYMBOL_DIGEST_BYTES * count)

    def _proven_bytes(self, level: int, offset: int, size: int) -> bytes | None:
        symbol_size = self._layout.symbol_size
        rows = slice(offset // symbol_size, (offset + size - 1) // symbol_size + 1)
        if not self._levels[level].checked[rows].all():
            return None
        return self._bytes_of(level, offset, size)

    def _bytes_of(self, level: int, offset: int, size: int) -> bytes:
        symbol_size = self._layout.symbol_size
        first, last = offset // symbol_size, (offset + size - 1) // symbol_size
        rows = self._store.view(self._levels[level].first_row + first, last - first + 1)
        start = offset - first * symbol_size
        return rows.tobytes()[start : start + size]

    def decodable(self) -> tuple[int, int] | None:
        """Return (level, SBN) of a block that repair symbols can complete now, or None."""
        for level, holdings in self._levels.items():
            for sbn in np.flatnonzero(holdings.state == BlockState.OPEN).tolist():
                if holdings.has_all_source(sbn):
                    continue
                rows = holdings.geometry.block_rows(sbn)
                if np.count_nonzero(holdings.checked[rows]) >= holdings.geometry.block_sizes[sbn]:
                    return level, sbn
        return None

    def holdings(self, level: int) -> ObjectHoldings:
        """Return what is held of a level."""
        return self._levels[level]

    def finish_block(self, level: int, sbn: int) -> None:
        """Take a level's block as decoded from proven symbols, and judge what hangs on it."""
        self._levels[level].finish(sbn)
        self._recheck_from(level - 1)
