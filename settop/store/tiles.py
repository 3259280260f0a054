"""Tiles: memory in which image symbols wait to be written in runs, shared with the worker that writes them.

A *tile* is some rounds of all blocks: `depth` symbols of each, from the same ESI on, source or repair symbols. A
carousel in transmit order fills one after the other, and each block's part of a tile is one run in the file.

    free part ──symbols come──► live ──full, or the oldest──► on its way to the worker ──written──► free
"""

from array import array
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from carousel.release.blocks import IntArray, ObjectGeometry
from carousel.release.identity import ReleaseId
from settop.stitch.jobs import TileJob

__all__ = ["TileHand", "Tiles"]

TILE_BYTES = 4 << 20
LIVE_TILES = 2
PARTS = 3
"""One more than live tiles: while a tile is written, the next one fills."""
SHARE_WORTH_A_TILE = 16
"""A tile that gets one in so many symbols of a batch is worth memory."""
WRITTEN_ALONE = 2
"""Where a tile holds so many symbols of a block on average, blocks are not written by themselves."""


class TileHand(Protocol):
    """Who writes tiles while reception goes on: it tells the part file when a job is done."""

    def allocate(self, size_bytes: int) -> tuple[int, memoryview]:
        """Return (offset, memory) of memory that both sides see."""

    def release(self, offset: int) -> None:
        """Take memory back: nobody uses it any more."""

    def write(self, job: TileJob) -> None:
        """Begin a job."""

    def wait(self) -> None:
        """Return when a job may have ended."""


class Tiles:
    """The tiles of one release's image, in one array, so that a batch that touches several is stored by one call.

    A tile's key is twice its number, plus one for repair symbols.
    """

    def __init__(self, image: ObjectGeometry, release: ReleaseId, hand: TileHand | None) -> None:
        self._image = image
        self._release = release
        self._size = image.symbol_size
        self.depth = max(1, TILE_BYTES // (image.blocks * self._size))
        self._tile_symbols = image.blocks * self.depth
        total_bytes = PARTS * self._tile_symbols * self._size
        self.offset, self.memory = hand.allocate(total_bytes) if hand else (0, memoryview(bytearray(total_bytes)))
        self._symbols = np.frombuffer(self.memory, dtype=f"V{self._size}")
        self._filled = np.zeros((PARTS * image.blocks, self.depth), dtype=np.bool_)
        self._filled_flat = self._filled.reshape(-1)
        self._room = [0] * PARTS
        self.live: dict[int, int] = {}
        """Which part of the memory each live tile has, the tile made first in front."""
        self.free = list(range(PARTS))
        self.under_way: set[int] = set()
        """The parts that are on their way to the file."""

    def keys_of(self, sbn: IntArray, esi: IntArray) -> tuple[IntArray, IntArray]:
        """Return (keys, places within their tile) of symbols."""
        size = self._image.block_sizes[sbn]
        is_repair = esi >= size
        number = np.where(is_repair, esi - size, esi) if is_repair.any() else esi
        tile = number // self.depth
        return tile * 2 + is_repair, sbn * self.depth + number - tile * self.depth

    def parts_of_live(self, keys: IntArray) -> tuple[IntArray, dict[int, int]] | None:
        """Return the part of each symbol, and how many go to each tile; None if they need other tiles, too."""
        parts, counts, found = np.empty(len(keys), dtype=np.int64), {}, 0
        for key, part in self.live.items():
            mine = keys == key
            if count := int(np.count_nonzero(mine)):
                parts[mine] = part
                counts[key] = count
                found += count
        return (parts, counts) if found == len(keys) else None

    def worth_staging(self, keys: list[int], counts: list[int]) -> list[int]:
        """Choose the tiles of a batch that are live, for which there is room, or that get a good share of it.

        So a flood of random symbols can't make tiles come and go.
        """
        worth = [key for key in keys if key in self.live]
        room = LIVE_TILES - len(self.live)
        for key, count in zip(keys, counts, strict=True):
            if key in self.live or len(worth) == LIVE_TILES:
                continue
            if room > 0 or count * SHARE_WORTH_A_TILE >= sum(counts):
                worth.append(key)
                room -= 1
        return worth

    def begin(self, key: int) -> int:
        """Make a tile live in a free part; return the part."""
        part = self.free.pop()
        self.live[key] = part
        rounds = range((key >> 1) * self.depth, ((key >> 1) + 1) * self.depth)
        if key & 1:
            self._room[part] = min(len(rounds), self._image.repair_per_block - rounds.start) * self._image.blocks
        else:
            self._room[part] = int(np.clip(self._image.block_sizes - rounds.start, 0, len(rounds)).sum())
        return part

    def stage(self, parts: IntArray, places: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols into live tiles; each place is filled once."""
        at = parts * self._tile_symbols + places
        self._symbols[at] = symbols
        self._filled_flat[at] = True

    def count(self, key: int, symbols: int) -> bool:
        """Count what was put into a live tile; say whether it is full."""
        part = self.live[key]
        self._room[part] -= symbols
        return self._room[part] <= 0

    def is_worth_writing(self, key: int) -> bool:
        """Say whether a live tile holds so much that a block of it is no reason to write that block alone."""
        return int(np.count_nonzero(self._filled_of(self.live[key]))) > WRITTEN_ALONE * self._image.blocks

    def _filled_of(self, part: int) -> NDArray[np.bool_]:
        return self._filled[part * self._image.blocks : (part + 1) * self._image.blocks]

    def holds(self, sbn: int) -> tuple[list[int], bool]:
        """Return the live tiles that hold symbols of a block, and whether a tile under way does."""
        of_parts = [bool(rounds.any()) for rounds in self._filled[sbn :: self._image.blocks]]
        return [key for key, part in self.live.items() if of_parts[part]], any(
            of_parts[part] for part in self.under_way
        )

    def job(self, key: int, blocks: IntArray) -> TileJob:
        """Return the job that writes some blocks' symbols of a live tile: in as few runs as they form."""
        part, first = self.live[key], (key >> 1) * self.depth
        rows = part * self._image.blocks + blocks
        lines, starts, ends = _runs(self._filled[rows])
        if key & 1:
            first_rows = self._image.source_symbols + blocks * self._image.repair_per_block + first
        else:
            first_rows = self._image.first_rows[blocks] + first
        places = (rows[lines] * self.depth + starts) * self._size
        runs = np.stack([blocks[lines], first + starts, places, first_rows[lines] + starts, ends - starts], axis=1)
        numbers = array("L", runs.ravel().tolist()).tobytes()
        return TileJob(self._release, part, self.offset, self._size, not key & 1, numbers)

    def clear(self, key: int, blocks: IntArray) -> None:
        """Forget some blocks' symbols of a live tile: they are in the file."""
        self._filled[self.live[key] * self._image.blocks + blocks] = False

    def give_up(self, key: int) -> None:
        """A live tile is on its way to the file."""
        self.under_way.add(self.live.pop(key))

    def finish(self, part: int) -> None:
        """A tile is in the file."""
        self.under_way.remove(part)
        self._filled_of(part)[:] = False
        self.free.append(part)


def _runs(filled: NDArray[np.bool_]) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of what is filled in each line of an array: (line, start, end) of each run."""
    edges = np.diff(filled.view(np.int8), axis=1, prepend=0, append=0)
    lines, starts = np.nonzero(edges > 0)
    return lines, starts, np.nonzero(edges < 0)[1]
