"""What a reception may have of anonymous memory, on small boards: how many threads, which releases.

The part file's pages are the file's, and the kernel takes them back when it needs them; they don't count here.
"""

from carousel.frozen import Frozen
from carousel.release.blocks import ObjectGeometry
from carousel.release.layout import ReleaseLayout
from settop.stitch.drafts import MOST_DRAFT_BYTES

__all__ = ["LEAST_BYTES", "MemoryBudget"]

BASE_BYTES = 24 << 20
"""The interpreter, NumPy, the socket's buffer, what is kept of releases not announced yet: measured, and a margin."""
THREAD_BYTES = 2 << 20
"""A thread and the decoder's plan, beside the copy of a block in doubt."""
LEAST_BYTES = BASE_BYTES + THREAD_BYTES
"""With less than this there is no release so small that it could be received."""
USUAL_BLOCK_BYTES = 4 << 20
"""For the number of threads, which are there before a release is known."""
MARKS_BYTES_A_SYMBOL = 3
"""Held, proven, left over: bytes for each source and repair symbol."""
FREE_BYTES_A_SLOT = 4
"""The stack of free slots; the slots' tables lie in the part file."""


class MemoryBudget(Frozen):
    """How `limit_bytes` are spent; None: without a limit."""

    limit_bytes: int | None

    @property
    def draft_bytes(self) -> int:
        """What drafts of one image may take: they save time alone, so where memory is short there are none."""
        return MOST_DRAFT_BYTES if self.limit_bytes is None else 0

    def threads(self, wanted: int) -> int:
        """Return how many threads there may be, at least one."""
        if self.limit_bytes is None:
            return wanted
        spare = (self.limit_bytes - BASE_BYTES) // 2  # the other half is for releases
        return max(1, min(wanted, spare // (THREAD_BYTES + USUAL_BLOCK_BYTES)))

    def allows(self, layouts: list[ReleaseLayout], threads: int) -> bool:
        """Say whether these releases can be received side by side by so many threads."""
        if self.limit_bytes is None:
            return True
        return self.needed_bytes(layouts, threads) <= self.limit_bytes

    def needed_bytes(self, layouts: list[ReleaseLayout], threads: int) -> int:
        """Return what they need."""
        copies = max((_block_bytes(layout.objects[0]) for layout in layouts), default=0)
        marks = sum(_marks_bytes(geometry) for layout in layouts for geometry in layout.objects)
        return BASE_BYTES + threads * (THREAD_BYTES + copies) + marks


def _block_bytes(image: ObjectGeometry) -> int:
    return image.largest_block * image.symbol_size


def _marks_bytes(geometry: ObjectGeometry) -> int:
    slots = min(geometry.repair_symbols, 2 * geometry.source_symbols)
    return MARKS_BYTES_A_SYMBOL * geometry.rows + FREE_BYTES_A_SLOT * slots
