"""A release on its way in, as one file: rows of symbols, the image first.

Image symbols go through tiles (tiles.py): collected in memory and written in runs, a block's run by one call. (A
memory map costs a page fault for every 4 KiB, 3.5 µs on ext4; tiles write at three times the speed.) On a box a
worker process does it, which hashes them on the way. Digest levels are few and read often: they go through a
memory map of their part of the same file.
"""

import errno
import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carousel.console.quantities import format_size_bytes
from carousel.errors import OperatorError
from carousel.release.blocks import IntArray
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from settop.stitch.jobs import TileJob
from settop.store.tiles import LIVE_TILES, TileHand, Tiles

__all__ = ["PartFile"]

_ROWS_AT_ONCE = 2048


class PartFile:
    """The symbols of one release in a file (`SymbolStore`). Without a `hand`, it writes its tiles itself."""

    def __init__(
        self, path: Path, layout: ReleaseLayout, hand: TileHand | None = None, release: ReleaseId | None = None
    ) -> None:
        self.path = path
        self.resumed = path.exists()
        self._layout = layout
        self._image = layout.objects[0]
        self._size = layout.symbol_size
        self._hand = hand
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
        self._tiles = Tiles(self._image, release or ReleaseId(bytes(16)), hand)
        self._all_blocks = np.arange(self._image.blocks)

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
        self.write_through()
        while self._tiles.under_way:
            self._await_tile()
        if self._hand is not None:
            self._hand.release(self._tiles.offset)
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
        """Put symbols (n, V<T>) into the tiles they belong to; stray ones are written one by one."""
        keys, places = self._tiles.keys_of(sbn, esi)
        live = self._tiles.parts_of_live(keys)
        if live is not None:
            self._tiles.stage(live[0], places, symbols)
            self._count(live[1])
            return
        unique, counts = np.unique(keys, return_counts=True)
        found = dict(zip(unique.tolist(), counts.tolist(), strict=True))
        parts = self._parts_of(self._tiles.worth_staging(list(found), list(found.values())))
        table = np.full(int(unique[-1]) + 1, -1, dtype=np.int64)
        table[list(parts)] = list(parts.values())
        part = table[keys]
        if len(parts) == len(found):
            self._tiles.stage(part, places, symbols)
        else:
            staged = part >= 0
            self._tiles.stage(part[staged], places[staged], symbols[staged])
            self._write_strays(sbn[~staged], esi[~staged], symbols[~staged])
        self._count({key: found[key] for key in parts})

    def _write_strays(self, sbn: IntArray, esi: IntArray, symbols: NDArray[np.void]) -> None:
        rows = self._image.row_of(sbn, esi)
        for row, symbol in zip(rows.tolist(), symbols, strict=True):
            os.pwrite(self._descriptor, symbol.tobytes(), row * self._size)

    def _parts_of(self, keys: list[int]) -> dict[int, int]:
        """Return the memory parts of these tiles (at most `LIVE_TILES`); the oldest of the others make room."""
        live = self._tiles.live
        for key in keys:
            if key in live:
                continue
            if len(live) == LIVE_TILES:
                self._write_out(next(old for old in live if old not in keys))
            while not self._tiles.free:
                self._await_tile()
            self._tiles.begin(key)
        return {key: live[key] for key in keys}

    def _count(self, symbols: dict[int, int]) -> None:
        for key, count in symbols.items():
            if self._tiles.count(key, count):
                self._write_out(key)

    def _write_out(self, key: int) -> None:
        """Send a live tile on its way to the file."""
        job = self._tiles.job(key, self._all_blocks)
        self._tiles.give_up(key)
        if self._hand is None:
            self.finish_tile(job, is_written=False)
        else:
            self._hand.write(job)

    def _await_tile(self) -> None:
        """Wait for the hand that writes: it calls `finish_tile`."""
        assert self._hand is not None
        self._hand.wait()

    def finish_tile(self, job: TileJob, is_written: bool) -> None:
        """Take a tile's memory back; write it first if nobody else did."""
        if not is_written:
            self._write_runs(job)
        self._tiles.finish(job.part)

    def _write_runs(self, job: TileJob) -> None:
        for _, _, offset, run in job.of_tiles(self._tiles.memory):
            os.pwrite(self._descriptor, run, offset)

    def flush_image(self, sbn: int) -> bool:
        """Write out a block's symbols, with its whole tile if that holds much; say whether all are in the file now."""
        live, is_under_way = self._tiles.holds(sbn)
        block = np.array([sbn])
        for key in live:
            if self._hand is not None and self._tiles.is_worth_writing(key):
                self._write_out(key)
                is_under_way = True
                continue
            self._write_runs(self._tiles.job(key, block))
            self._tiles.clear(key, block)
        return not is_under_way

    def write_level(self, rows: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols (n, V<T>) of a digest level into rows."""
        self._symbols[rows] = symbols

    def view(self, first_row: int, count: int) -> NDArray[np.uint8]:
        """Return rows of the digest levels as an array (count, T)."""
        return self._rows[first_row : first_row + count]

    def write_through(self) -> None:
        """Write out all that waits in memory, so that a killed box loses little."""
        for key in list(self._tiles.live):
            self._write_out(key)
