"""A release on its way in, as one mapped file, where symbols land and are worked on.

    image source rows | repair pool | level 1 source rows | repair pool | ... | slot tables

All at multiples of a page. The image lies at byte 0: installed, the file is cut to its size and gets another name. The
slot tables say which repair symbol lies in which slot of its pool, so that a later run finds them.

A page that is touched first costs more than a packet, and on a full or failing disk a process's life (SIGBUS). So the
space is claimed when the file is made, and pages are made ready ahead of the symbols (settop/store/ahead.py), where
trouble is an error number. All that is read of an earlier run is read by `pread`.
"""

import errno
import mmap
import os
from pathlib import Path

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.console.quantities import format_size_bytes
from carousel.errors import OperatorError
from carousel.release.blocks import ObjectGeometry
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing
from settop.store.ahead import Ahead

__all__ = ["NoRoomError", "PartFile"]

PAGE_BYTES = mmap.PAGESIZE
_ROWS_AT_ONCE = 2048


class NoRoomError(OperatorError):
    """The disk is too full for a release."""


class PartFile:
    """The memory of one release: `landings[0]` of the image, `landings[i]` of digest level i.

    `resumed` says that the landings hold symbols of an earlier run, unproven. `with_repair` False leaves out room for
    the image's repair symbols, which then are not taken. `surplus` as in `Landing`.
    """

    def __init__(self, path: Path, layout: ReleaseLayout, with_repair: bool = True, surplus: int = 0) -> None:
        self.path = path
        self.layout = layout
        self._plan = _Plan(layout, with_repair)
        is_new = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            left = os.fstat(self._descriptor).st_size
            self._reserve(self._plan.size_bytes)
            self._map = mmap.mmap(self._descriptor, self._plan.size_bytes)
            self._map.madvise(mmap.MADV_RANDOM)
        except BaseException:
            os.close(self._descriptor)
            if is_new:
                path.unlink()
            raise
        self.resumed = bool(left)
        self.is_closed = False
        old = [self._old_slots(level) for level in range(layout.top + 1)] if self.resumed else []
        self.landings = [self._landing(level, surplus) for level in range(layout.top + 1)]
        plan, self._may_read_ahead = self._plan, False
        places = zip(self.landings, plan.source_bytes, plan.repair_bytes, strict=True)
        self._ahead = [
            Ahead(landing, self._descriptor, source_bytes, repair_bytes, will_decode=level == 0 and with_repair)
            for level, (landing, source_bytes, repair_bytes) in enumerate(places)
        ]
        for level, slots in enumerate(old):
            self._restore(level, slots)

    def _reserve(self, size_bytes: int) -> None:
        try:
            os.ftruncate(self._descriptor, size_bytes)
            os.posix_fallocate(self._descriptor, 0, size_bytes)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            raise NoRoomError(
                f"receiving needs {format_size_bytes(size_bytes)} in {self.path.parent}, which is more than is "
                "free there; make room and start again, what is received so far is kept"
            ) from None

    def _landing(self, level: int, surplus: int) -> Landing:
        """Lay a landing over its parts of the file; digest levels take all symbols there are, for each is judged."""
        geometry, plan = self._plan.objects[level], self._plan
        source = self._rows(plan.source_bytes[level], geometry.source_symbols, geometry.symbol_size)
        repair = self._rows(plan.repair_bytes[level], plan.slots[level], geometry.symbol_size)
        flat = np.frombuffer(self._map, np.int32, 2 * plan.slots[level], plan.table_bytes[level])
        tables = flat.reshape(2, plan.slots[level])
        return Landing(geometry, source, repair, geometry.repair_per_block if level else surplus, tables)

    def _rows(self, offset: int, count: int, size: int) -> Bytes:
        return np.frombuffer(self._map, np.uint8, count * size, offset).reshape(count, size)

    def make_ready(self, level: int, rows: IntArray) -> None:
        """Make the pages ready that symbols are going to need after these rows; `OSError` where the disk fails."""
        self._ahead[level].follow(rows)
        if not self._may_read_ahead and not level and self._ahead[0].is_done:
            # Before, it would have made pages of what lies ahead by reading them. Slots go on being made ready, and
            # those of a block lie far apart.
            self._may_read_ahead = True
            begin = self._plan.source_bytes[0]
            self._map.madvise(mmap.MADV_NORMAL, begin, self._plan.repair_bytes[0] - begin)

    def close(self) -> None:
        """Let go of the file; its memory goes with the last landing that somebody holds."""
        self.is_closed = True
        self.landings = []
        self._ahead = []
        os.close(self._descriptor)

    # --- what an earlier run left -----------------------------------------------------------------------

    def _old_slots(self, level: int) -> IntArray:
        """Return (SBN, ESI) of each slot as an earlier run left them, shape (2, slots)."""
        slots = self._plan.slots[level]
        raw = os.pread(self._descriptor, 8 * slots, self._plan.table_bytes[level])
        return np.frombuffer(raw, dtype=np.int32).reshape(2, slots).astype(np.int64)

    def _restore(self, level: int, slots: IntArray) -> None:
        geometry, landing = self._plan.objects[level], self.landings[level]
        source = self._written(self._plan.source_bytes[level], geometry.source_symbols, geometry.symbol_size)
        landing.restore(source)
        used = int(np.flatnonzero(slots[0] >= 0).max(initial=-1)) + 1
        written = self._written(self._plan.repair_bytes[level], used, geometry.symbol_size)
        landing.restore_repair(written, slots[0, written], slots[1, written])

    def _written(self, offset: int, count: int, size: int) -> IntArray:
        """Return the rows that an earlier run seems to have written whole.

        What a power cut tears, it tears at pages, and what was never written reads as zeros: a row counts if
        neither its first nor its last 8 bytes are zero. That is a guess; blocks are proven by their digests.
        """
        found = [np.empty(0, dtype=np.int64)]
        for first in range(0, count, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, count - first)
            raw = os.pread(self._descriptor, rows * size, offset + first * size)
            words = np.frombuffer(raw, dtype=np.uint64).reshape(rows, size // 8)
            ends = words[:, -1] != 0
            ends[-1:] |= first + rows == count  # an object's last symbol may end with padding
            found.append(first + np.flatnonzero((words[:, 0] != 0) & ends))
        return np.concatenate(found)


class _Plan:
    """Where everything lies in the file."""

    def __init__(self, layout: ReleaseLayout, with_repair: bool) -> None:
        self.objects = layout.objects
        self.slots = [_slots_of(geometry, level, with_repair) for level, geometry in enumerate(layout.objects)]
        self.source_bytes: list[int] = []
        self.repair_bytes: list[int] = []
        self.table_bytes: list[int] = []
        self.size_bytes = 0
        for geometry, slots in zip(self.objects, self.slots, strict=True):
            self.source_bytes.append(self._claim(geometry.source_symbols * geometry.symbol_size))
            self.repair_bytes.append(self._claim(slots * geometry.symbol_size))
        for slots in self.slots:
            self.table_bytes.append(self._claim(8 * slots))

    def _claim(self, size_bytes: int) -> int:
        begin = self.size_bytes
        self.size_bytes += -(-size_bytes // PAGE_BYTES) * PAGE_BYTES
        return begin


def _slots_of(geometry: ObjectGeometry, level: int, with_repair: bool) -> int:
    """Return how many repair symbols can wait: for the image as many as it has source symbols, no decoder needs more.

    (An eighth more for blocks in doubt; see settop/stitch/suspicion.py.)
    """
    if level:
        return geometry.repair_symbols
    return min(geometry.repair_symbols, geometry.source_symbols + geometry.source_symbols // 8) if with_repair else 0
