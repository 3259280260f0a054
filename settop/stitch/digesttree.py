"""The digest levels of one release as they arrive: each symbol proven by the level above, the top by the header.

A symbol whose digest is not known yet is held unproven, and judged when the level above has it. Level 0, the
image, is not held here; the tree answers for its symbols and blocks.
"""

import hashlib

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.distinct import distinct
from carousel.release.digests import BLOCK_DIGEST_BYTES, SYMBOL_DIGEST_BYTES, symbol_digests
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing
from settop.stitch.holdings import BlockState, BoolArray, Holdings

__all__ = ["DigestTree"]


class DigestTree:
    """Levels 1 to top of a release; `landings` of all levels, the image's included."""

    def __init__(self, layout: ReleaseLayout, top_sha256: bytes, landings: list[Landing]) -> None:
        self._layout = layout
        self._top_sha256 = top_sha256
        self._levels = {level: Holdings(landings[level]) for level in range(1, layout.top + 1)}
        self._leftover = {level: np.zeros(len(each.proven), dtype=np.bool_) for level, each in self._levels.items()}
        self._fresh_level_1: list[IntArray] = []
        self.forged_symbols = 0

    def resume(self) -> None:
        """Judge what an earlier run left; what it had not written is no forgery, whenever that is found."""
        self._leftover = {level: holdings.landing.held != 0 for level, holdings in self._levels.items()}
        self._judge_from(self._layout.top)

    def take(self, level: int, rows: IntArray) -> None:
        """Judge symbols of a level that have landed, and those below that hang on them."""
        if self._judge(level, rows):
            self._judge_from(level - 1)

    def _judge_from(self, level: int) -> None:
        """Judge the unproven symbols of a level, and of those below as far as that proves anything new."""
        while level >= 1:
            holdings = self._levels[level]
            held = (holdings.landing.held != 0) & ~holdings.proven
            if not self._judge(level, np.flatnonzero(held)):
                return
            level -= 1

    def _judge(self, level: int, rows: IntArray) -> bool:
        """Judge those unproven symbols of one level whose digests are known; say whether any was proven."""
        holdings = self._levels[level]
        rows = rows[(holdings.landing.held[rows] != 0) & ~holdings.proven[rows]]
        sbn, esi = holdings.geometry.symbols_of(rows)
        # Of a block that is done, repair symbols that nobody proved have given their slots back.
        known = self.knows(level, sbn, esi) & (holdings.state[sbn] != BlockState.DONE)
        rows, sbn, esi = rows[known], sbn[known], esi[known]
        if not len(rows):
            return False
        good = self._good(level, rows, sbn, esi)
        holdings.proven[rows[good]] = True
        if level == 1 and good.any():
            self._fresh_level_1.append(rows[good])
        bad = rows[~good]
        if len(bad):
            holdings.discard(bad)
            self.forged_symbols += int(np.count_nonzero(~self._leftover[level][bad]))
            self._leftover[level][bad] = False
        return bool(good.any())

    def _good(self, level: int, rows: IntArray, sbn: IntArray, esi: IntArray) -> BoolArray:
        """Compare held symbols with their digests, which must be known."""
        symbols = self._levels[level].symbols(rows)
        if level == self._layout.top:
            size = self._layout.objects[level].transfer_length
            is_top = [
                hashlib.sha256(each[:size]).digest() == self._top_sha256 and not each[size:].any() for each in symbols
            ]
            return np.array(is_top)
        return self.are_good(level, sbn, esi, symbols)

    # --- answers ----------------------------------------------------------------------------------------

    def knows(self, level: int, sbn: IntArray, esi: IntArray) -> BoolArray:
        """Say for each symbol of a level whether its digest is there and proven."""
        if level == self._layout.top:
            return np.ones(len(sbn), dtype=np.bool_)
        offsets = self._layout.digest_offsets(level, sbn, esi)
        proven = self._levels[level + 1].proven
        size = self._layout.symbol_size
        known: BoolArray = proven[offsets // size] & proven[(offsets + SYMBOL_DIGEST_BYTES - 1) // size]
        return known

    def digests(self, level: int, sbn: IntArray, esi: IntArray) -> Bytes:
        """Return the digests of symbols below the top, as rows of 16 bytes; ask `knows` first."""
        offsets = self._layout.digest_offsets(level, sbn, esi)
        found: Bytes = self._flat(level + 1)[offsets[:, None] + np.arange(SYMBOL_DIGEST_BYTES)]
        return found

    def are_good(self, level: int, sbn: IntArray, esi: IntArray, symbols: Bytes) -> BoolArray:
        """Compare symbols below the top, shape (n, T), with their digests; ask `knows` first."""
        good: BoolArray = (symbol_digests(level, sbn, esi, symbols) == self.digests(level, sbn, esi)).all(axis=1)
        return good

    def block_digest(self, sbn: int) -> bytes | None:
        """Return the digest that a block of the image must have, or None as long as it isn't proven."""
        size = self._layout.symbol_size
        first, last = BLOCK_DIGEST_BYTES * sbn // size, (BLOCK_DIGEST_BYTES * (sbn + 1) - 1) // size
        if not self._levels[1].proven[first : last + 1].all():
            return None
        return self._flat(1)[BLOCK_DIGEST_BYTES * sbn : BLOCK_DIGEST_BYTES * (sbn + 1)].tobytes()

    @property
    def has_all_block_digests(self) -> bool:
        """Whether every block of the image can be proven: till then a box must not stop listening."""
        needed = -(-BLOCK_DIGEST_BYTES * self._layout.objects[0].blocks // self._layout.symbol_size)
        return bool(self._levels[1].proven[:needed].all())

    @property
    def proven_symbols(self) -> int:
        """Symbols of all levels that are proven: nobody who does not have the release can make them grow."""
        return sum(int(np.count_nonzero(holdings.proven)) for holdings in self._levels.values())

    def _flat(self, level: int) -> Bytes:
        """Return the bytes of a level, one symbol behind the other; not all need be there, or proven."""
        return self._levels[level].landing.source.reshape(-1)

    # --- completing levels ------------------------------------------------------------------------------

    def fresh_image_rows(self) -> IntArray:
        """Return the rows of the image's symbols whose digests became known since the last call."""
        if not self._fresh_level_1:
            return np.empty(0, dtype=np.int64)
        rows = np.concatenate(self._fresh_level_1)
        self._fresh_level_1.clear()
        image, size = self._layout.objects[0], self._layout.symbol_size
        # Where a repair symbol would stand no digest begins any more: it names none.
        begin = rows * size - BLOCK_DIGEST_BYTES * image.blocks
        first = np.maximum(begin, 0) // SYMBOL_DIGEST_BYTES
        last = np.minimum(np.maximum(begin + size - 1, 0) // SYMBOL_DIGEST_BYTES, image.rows - 1)
        index = distinct(np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)] or [first]))
        sbn = np.searchsorted(image.first_symbol_index, index, side="right") - 1
        return image.row_of(sbn, index - image.first_symbol_index[sbn])

    def decodable(self) -> tuple[int, int] | None:
        """Return (level, SBN) of a block that repair symbols can complete now, or None."""
        for level, holdings in self._levels.items():
            for sbn in np.flatnonzero(holdings.state == BlockState.OPEN).tolist():
                rows = holdings.geometry.block_rows(sbn)
                size = int(holdings.geometry.block_sizes[sbn])
                if holdings.proven[rows[:size]].all():
                    continue
                if np.count_nonzero(holdings.proven[rows]) >= min(size + 2, len(rows)):
                    return level, sbn
        return None

    def holdings(self, level: int) -> Holdings:
        """Return what is held of a level."""
        return self._levels[level]

    def finish_block(self, level: int, sbn: int) -> None:
        """Take a level's block as decoded from proven symbols, and judge what hangs on it."""
        holdings = self._levels[level]
        holdings.finish(sbn)
        if level == 1:
            self._fresh_level_1.append(holdings.geometry.block_rows(sbn)[: int(holdings.geometry.block_sizes[sbn])])
        self._judge_from(level - 1)
