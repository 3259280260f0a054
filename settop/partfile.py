"""A release on its way in, as one file: rows of symbols, the image first.

Image symbols go through *tiles*: some rounds of all blocks, collected in memory and written in runs, a block's
run by one call. (A memory map costs a page fault for every 4 KiB, 3.5 µs on ext4; tiles write at three times the
speed.) Digest levels are few and read often: they go through a memory map of their part of the same file.
"""

import errno
import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carousel.blocks import IntArray
from carousel.errors import OperatorError
from carousel.layout import ReleaseLayout
from carousel.quantities import format_size_bytes

__all__ = ["PartFile"]

TILE_BYTES = 3 << 20
LIVE_TILES = 3
SHARE_WORTH_A_TILE = 16
"""A tile that gets one in so many symbols of a batch is worth memory."""
_ROWS_AT_ONCE = 2048


class _Staging:
    """Memory for some live tiles: `depth` symbols of each block each, from the same ESI on.

    A tile's key is twice its number, plus one for repair symbols. All tiles lie in one array, so that a batch
    that touches several is still stored by one call.
    """

    def __init__(self, blocks: int, depth: int, symbol_size: int) -> None:
        self.depth = depth
        self.tile_symbols = blocks * depth
        self.bytes = np.empty((LIVE_TILES * blocks, depth, symbol_size), dtype=np.uint8)
        self.symbols = self.bytes.reshape(-1, symbol_size).view(f"V{symbol_size}")[:, 0]
        self.filled = np.zeros((LIVE_TILES * blocks, depth), dtype=np.bool_)
        self.filled_flat = self.filled.reshape(-1)
        self.live: dict[int, int] = {}
        """Which part of the memory each live tile has, the tile made first in front."""


class PartFile:
    """The symbols of one release in a file (`SymbolStore`)."""

    def __init__(self, path: Path, layout: ReleaseLayout) -> None:
        self.path = path
        self.resumed = path.exists()
        self._layout = layout
        self._image = layout.objects[0]
        self._size = layout.symbol_size
        depth = max(8, TILE_BYTES // (self._image.blocks * self._size))
        self._staging = _Staging(self._image.blocks, depth, self._size)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._reserve(layout.rows * self._size)
            self._map = mmap.mmap(self._descriptor, layout.rows * self._size)
        except BaseException:
            os.close(self._descriptor)
            if not self.resumed:
                path.unlink()
            raise
        self._rows = np.frombuffer(self._map, dtype=np.uint8).reshape(layout.rows, self._size)
        self._symbols = self._rows.view(f"V{self._size}")[:, 0]

    def _reserve(self, size_bytes: int) -> None:
        """Claim the space now: later, a full disk would come as a bus error."""
        try:
            os.posix_fallocate(self._descriptor, 0, size_bytes)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            raise OperatorError(
                f"receiving needs {format_size_bytes(size_bytes)} in {self.path.parent}, which is more than is "
                "free there; make room and start again, what is received so far is kept"
            ) from None

    def close(self) -> None:
        """Write out what is in memory, and let go of the file."""
        for key in list(self._staging.live):
            self._write_out(key)
        del self._rows, self._symbols
        self._map.close()
        os.close(self._descriptor)

    def leftover_rows(self) -> IntArray:
        """Return the image rows that an earlier run seems to have written whole.

        What a power cut tears, it tears at pages, and what was never written reads as zeros: a row counts if
        neither its first nor its last 8 bytes are zero. That is a guess; blocks are proven by their digests.
        """
        found = []
        for first in range(0, self._image.rows, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, self._image.rows - first)
            raw = os.pread(self._descriptor, count * self._size, first * self._size)
            words = np.frombuffer(raw, dtype=np.uint64).reshape(count, self._size // 8)
            found.append(first + np.flatnonzero((words[:, 0] != 0) & (words[:, -1] != 0)))
        return np.concatenate(found)

    def write_image(self, sbn: IntArray, esi: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols (n, V<T>) into the tiles they belong to.

        Only a tile that gets a good share of the batch is worth memory: stray symbols are written one by one,
        so that a flood of random ones can't make tiles come and go.
        """
        size = self._image.block_sizes[sbn]
        is_repair = esi >= size
        number = np.where(is_repair, esi - size, esi) if is_repair.any() else esi
        depth = self._staging.depth
        tile = number // depth
        keys = tile * 2 + is_repair
        base = sbn * depth + number - tile * depth
        first = int(keys[0])
        if (keys == first).all():
            self._stage(self._parts_of({first})[first] * self._staging.tile_symbols + base, symbols)
            return
        found, counts = np.unique(keys, return_counts=True)
        parts = self._parts_of(self._worth_staging(found.tolist(), counts.tolist()))
        table = np.full(int(keys.max()) + 1, -1, dtype=np.int64)
        table[list(parts)] = list(parts.values())
        part = table[keys]
        place = part * self._staging.tile_symbols + base
        if len(parts) == len(found):
            self._stage(place, symbols)
            return
        staged = part >= 0
        self._stage(place[staged], symbols[staged])
        rows = self._image.row_of(sbn[~staged], esi[~staged])
        for row, symbol in zip(rows.tolist(), symbols[~staged], strict=True):
            os.pwrite(self._descriptor, symbol.tobytes(), row * self._size)

    def _worth_staging(self, keys: list[int], counts: list[int]) -> set[int]:
        """Choose the tiles of a batch that are live, or that get a good share of it."""
        worth = {key for key in keys if key in self._staging.live}
        for key, count in zip(keys, counts, strict=True):
            if count * SHARE_WORTH_A_TILE >= sum(counts) and len(worth) < LIVE_TILES:
                worth.add(key)
        return worth

    def _stage(self, place: IntArray, symbols: NDArray[np.void]) -> None:
        self._staging.symbols[place] = symbols
        self._staging.filled_flat[place] = True

    def _parts_of(self, keys: set[int]) -> dict[int, int]:
        """Return the memory parts of these tiles (at most `LIVE_TILES`); the oldest of the others make room."""
        live = self._staging.live
        for key in keys - live.keys():
            if len(live) < LIVE_TILES:
                live[key] = len(live)
            else:
                oldest = next(old for old in live if old not in keys)
                live[key] = self._write_out(oldest)
        return {key: live[key] for key in keys}

    def write_level(self, rows: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols (n, V<T>) of a digest level into rows."""
        self._symbols[rows] = symbols

    def _write_out(self, key: int) -> int:
        """Write a tile and give it up; return the memory part that it had."""
        blocks = np.arange(self._image.blocks)
        self._write_blocks(key, blocks)
        return self._staging.live.pop(key)

    def _write_blocks(self, key: int, blocks: IntArray) -> None:
        """Write some blocks' symbols of a tile: only those that came, in as few runs as they form."""
        staging, first_esi = self._staging, (key >> 1) * self._staging.depth
        parts = staging.live[key] * self._image.blocks + blocks
        if key & 1:
            first_rows = self._image.source_symbols + blocks * self._image.repair_per_block + first_esi
        else:
            first_rows = self._image.first_rows[blocks] + first_esi
        lines, starts, ends = _runs(staging.filled[parts])
        offsets = (first_rows[lines] + starts) * self._size
        runs = np.stack([parts[lines], starts, ends, offsets], axis=1)
        for part, start, end, offset in runs.tolist():
            os.pwrite(self._descriptor, staging.bytes[part, start:end].data, offset)
        staging.filled[parts] = False

    def view(self, first_row: int, count: int) -> NDArray[np.uint8]:
        """Return rows of the digest levels as an array (count, T)."""
        return self._rows[first_row : first_row + count]

    def flush_image(self, sbn: int) -> None:
        """Write out a block's symbols."""
        for key in self._staging.live:
            self._write_blocks(key, np.array([sbn]))

    def write_through(self) -> None:
        """Write out all that waits in memory, so that a killed box loses little."""
        for key in list(self._staging.live):
            self._staging.live[key] = self._write_out(key)

    def settled_esi(self) -> int:
        """Return the first ESI that a tile of source symbols may still have in memory."""
        live = [(key >> 1) * self._staging.depth for key in self._staging.live if not key & 1]
        return min(live, default=self._image.largest_block)


def _runs(filled: NDArray[np.bool_]) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of what is filled in each line of an array: (line, start, end) of each run."""
    edges = np.diff(filled.view(np.int8), axis=1, prepend=0, append=0)
    lines, starts = np.nonzero(edges > 0)
    return lines, starts, np.nonzero(edges < 0)[1]
