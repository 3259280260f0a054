"""Pages of a part file, made ready ahead of the symbols: a carousel brings symbol e of all blocks, then e + 1, so what
comes next is known; repair symbols fill their pool in order.

Fresh pages cost a box more than packets do. The kernel makes them cheapest where a program writes many at once; by
touching a mapped file it makes them one by one. So zeros are written first, where nothing has been written yet, and
then the pages are mapped (`populate`): half the time of mapping alone (bench: 0.5 and 1.2 CPU s/GB with ext4). What is
written begins and ends at round places of the file, so that the kernel takes pages by sixteen: 0.6 of the time again.

Decoding writes the rows that never came. Their pages are made ready, too, while the last symbols come: who waits for
the image waits for decoding. Not earlier, for a slow carousel's zeros would go to flash before they are written over.
"""

import errno
import os
from bisect import bisect_right
from itertools import takewhile
from typing import NamedTuple

from carousel.buffers import Bytes, IntArray
from carousel.take import Landing, populate

__all__ = ["Ahead"]

AHEAD_BYTES = 8 << 20
"""So much is made ready at once: once symbols have come to its first half's end, what follows it is, too."""
MANY_BYTES = 1 << 20
"""A wake-up that brings so much is one of a fast carousel: twice as much is made ready at once, for fewer calls. Zeros
so far ahead of a slow one would go to flash before they are written over."""
LEAST_RUN_BYTES = 16 << 10
ROUND_BYTES = 64 << 10
"""Zeros are written from one multiple of it to another, or of less where runs are shorter."""
LAST_BYTES = 8 << 20
"""While the first half of so many last bytes comes, the pages of what will be decoded are made ready."""
ZEROS = memoryview(bytes(2 * AHEAD_BYTES + (1 << 17)))
"""Never touched, so it takes no memory; what is written at once is at most two runs, a symbol and `ROUND_BYTES`
longer."""


class _Zeros(NamedTuple):
    """Where zeros go, and the rows that they touch."""

    begin_bytes: int
    size_bytes: int
    rows: slice


class Ahead:
    """Keeps the pages of one landing ready; its source rows and its slots lie at these places of the file."""

    def __init__(
        self, landing: Landing, descriptor: int, source_begin: int, repair_begin: int, will_decode: bool
    ) -> None:
        geometry = landing.geometry
        self._landing = landing
        self._descriptor = descriptor
        self._source_begin, self._repair_begin = source_begin, repair_begin
        self._is_over = False
        self._will_decode = will_decode
        self._first_rows = geometry.first_rows.tolist()
        run_bytes = max(AHEAD_BYTES // geometry.blocks, LEAST_RUN_BYTES)
        self._run = max(1, run_bytes // geometry.symbol_size)
        self._round_bytes = min(ROUND_BYTES, 1 << (self._run * geometry.symbol_size).bit_length() - 1)
        self._runs = -(-geometry.largest_block // self._run)
        self._ready_runs: set[int] = set()
        self._ready_slots = 0
        self._slots_ahead = AHEAD_BYTES // geometry.symbol_size

    def follow(self, rows: IntArray) -> None:
        """Populate what comes after these rows: of every block the run that they are in, and what is half one ahead."""
        if self._is_over or not len(rows):
            return
        if not self.is_done:
            most = 2 if len(rows) * self._landing.geometry.symbol_size >= MANY_BYTES else 1
            for run in sorted(self._runs_of(rows)):
                self._source(run, most)
        used = len(self._landing.repair) - int(self._landing.free_count[0])
        if used and used + self._slots_ahead // 2 > self._ready_slots < len(self._landing.repair):
            self._slots(used + self._slots_ahead)
        if self._will_decode and not self.is_done:
            self._missing()

    @property
    def is_done(self) -> bool:
        """Whether no page of the source rows is made ready any more."""
        return self._is_over or len(self._ready_runs) == self._runs

    def _missing(self) -> None:
        """Populate what has not come, so much of it as behoves the time: from the end, for the begin may still come."""
        last_bytes = int(self._landing.wanted.sum()) * self._landing.geometry.symbol_size
        may_wait = self._runs * max(0.0, 2 * last_bytes / LAST_BYTES - 1)
        for run in reversed(range(self._runs)):
            if self._runs - len(self._ready_runs) <= may_wait:
                return
            self._source(run)

    def _runs_of(self, rows: IntArray) -> set[int]:
        """Return the runs of some of these rows, the last one among them, and of what is half a run ahead of those.

        Few, and one by one: NumPy would take longer to begin.
        """
        geometry, firsts = self._landing.geometry, self._first_rows
        few = rows[:: -1 - len(rows) // 8].tolist()
        esis = [row - firsts[bisect_right(firsts, row) - 1] for row in few if row < geometry.source_symbols]
        esis += [esi + max(1, self._run // 2) for esi in esis]
        return {esi // self._run % self._runs for esi in esis}

    def _source(self, run: int, most: int = 1) -> None:
        """Populate a run of every block, and with it those that follow, `most` in all, as far as they are not ready."""
        runs = list(takewhile(lambda each: each not in self._ready_runs, range(run, min(run + most, self._runs))))
        if not runs:
            return
        self._ready_runs.update(runs)
        landing = self._landing
        for sbn, (begin, size) in enumerate(zip(self._first_rows, landing.geometry.block_sizes.tolist(), strict=True)):
            first, end = begin + run * self._run, begin + min((runs[-1] + 1) * self._run, size)
            if end <= first:
                continue
            zeros = self._zeros(self._source_begin, (first, end), (begin, begin + size))
            if not (landing.worked[sbn] or landing.held[zeros.rows].any()):
                self._write(zeros)
            self._populate(landing.source[first:end])

    def _slots(self, end: int) -> None:
        landing, first = self._landing, self._ready_slots
        end = self._ready_slots = min(end, len(landing.repair))
        zeros = self._zeros(self._repair_begin, (first, end), (0, len(landing.repair)))
        if (landing.slot_sbn[zeros.rows] < 0).all():
            self._write(zeros)
        self._populate(landing.repair[first:end])

    def _zeros(self, offset: int, rows: tuple[int, int], of_rows: tuple[int, int]) -> _Zeros:
        """Return what to write for rows, from the first to before the end, of those that lie together at `offset`."""
        size = self._landing.geometry.symbol_size
        (first, end), (least, most) = rows, of_rows
        begin_bytes = offset + first * size if first == least else self._rounded(offset + first * size)
        end_bytes = min(self._rounded(offset + end * size), offset + most * size)
        touched = slice((begin_bytes - offset) // size, -((offset - end_bytes) // size))
        return _Zeros(begin_bytes, max(0, end_bytes - begin_bytes), touched)

    def _rounded(self, place_bytes: int) -> int:
        return -(-place_bytes // self._round_bytes) * self._round_bytes

    def _write(self, zeros: _Zeros) -> None:
        """Write rows of which nothing is held, and that no job has ever worked on: just their bytes."""
        if zeros.size_bytes:
            os.pwrite(self._descriptor, ZEROS[: zeros.size_bytes], zeros.begin_bytes)

    def _populate(self, rows: Bytes) -> None:
        code = populate(rows)
        if code == errno.EINVAL:
            self._is_over = True  # an old kernel: pages come as they are touched
        elif code:
            raise OSError(errno.EIO if code == errno.EFAULT else code, "the part file's disk takes no more pages")
