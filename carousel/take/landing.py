"""Where the symbols of one object land, and what a take of packets brought.

A source symbol lands at its row of `source`: its place in the object, so that a block without losses is complete
where it lies. Repair symbols land in `repair`, a pool of slots handed out in the order of arrival: a part file with a
place for every repair symbol would touch twice the pages, and fresh pages cost more than packets. In a pool they are
touched strictly in order, can be populated ahead, and are used again when a block is done; the decoder takes its
rows wherever they lie.

`wanted` counts down what each block still takes. At 0 its packets cost a comparison and nothing else.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carousel.buffers import Bytes, IntArray
from carousel.distinct import distinct
from carousel.frozen import Frozen
from carousel.release.blocks import ObjectGeometry

__all__ = [
    "CAME_AGAIN",
    "HELD",
    "KEPT_OFF",
    "MAX_TARGETS",
    "PREFIX_BYTES",
    "Landing",
    "Piece",
    "Taken",
    "Target",
    "Targets",
]

MAX_TARGETS = 32
"""Levels times candidates; each packet is compared with each target's prefix."""
HELD, CAME_AGAIN, KEPT_OFF = 1, 2, 4
PREFIX_BYTES = 20
"""The bytes that are the same in every plain packet of an object (see `carousel.flute.alc`)."""
ESI_BITS_RAPTORQ = 24
ESI_BITS_NO_CODE = 16

Counts = NDArray[np.int32]


class Landing:
    """The memory and the marks of one object; nobody touches them while a take runs.

    `source` has shape (Kt, T), `repair` (slots, T), both C-contiguous and writable; the caller maps or allocates them.
    `surplus` is what a block takes beyond its K symbols: K + h of them fail to decode with probability 256^-(h+1).
    `slot_tables` is memory for `slot_sbn` and `slot_esi`, shape (2, slots), where they shall outlive the process.

    Marks, all written by a take:
        held         uint8 (rows,)   HELD where the row's symbol is held, 0 where it may land, KEPT_OFF where it may
                                     not (a draft stands there), with CAME_AGAIN where it came in vain; rows as in
                                     `ObjectGeometry.row_of`
        source_held  int32 (Z,)      source symbols held of each block
        repair_held  int32 (Z,)      repair symbols held of each block
        wanted       int32 (Z,)      symbols that the block still takes; 0 ignores its packets
        slot_sbn     int32 (slots,)  the block of the symbol in each slot, -1 where the slot is free
        slot_esi     int32 (slots,)  its ESI
        free         int32 (slots,)  free slots, a stack: the first `free_count[0]` entries

    And one that jobs leave:
        worked       bool (Z,)       one has begun on the block: rows that are not held may have been written
    """

    def __init__(
        self,
        geometry: ObjectGeometry,
        source: Bytes,
        repair: Bytes | None = None,
        surplus: int = 0,
        slot_tables: Counts | None = None,
    ) -> None:
        size = geometry.symbol_size
        if repair is None:
            repair = np.empty((0, size), dtype=np.uint8)
        for name, rows, count in (("source", source, geometry.source_symbols), ("repair", repair, len(repair))):
            if rows.dtype != np.uint8 or rows.shape != (count, size) or not rows.flags.carray:
                raise ValueError(f"{name} rows of shape {rows.shape} for {count} symbols of {size} bytes")
        self.geometry = geometry
        self.source = source
        self.repair = repair
        self.esi_bits = ESI_BITS_RAPTORQ if geometry.repair_per_block else ESI_BITS_NO_CODE
        self.block_sizes = geometry.block_sizes.astype(np.int32)
        self.first_rows = geometry.first_rows.astype(np.int32)
        self.held = np.zeros(geometry.rows, dtype=np.uint8)
        self.source_held = np.zeros(geometry.blocks, dtype=np.int32)
        self.repair_held = np.zeros(geometry.blocks, dtype=np.int32)
        self.wanted = self.block_sizes + np.int32(surplus)
        self.worked = np.zeros(geometry.blocks, dtype=np.bool_)
        tables = np.empty((2, len(repair)), dtype=np.int32) if slot_tables is None else slot_tables
        self.slot_sbn, self.slot_esi = tables
        self.slot_sbn[:] = -1
        self.slot_esi[:] = 0
        self.free = np.arange(len(repair), dtype=np.int32)[::-1].copy()
        self.free_count = np.array([len(repair)], dtype=np.int32)

    def missing(self, sbn: int) -> IntArray:
        """Return the ESIs of a block's source symbols that are not held."""
        first = int(self.first_rows[sbn])
        return np.flatnonzero(self.held[first : first + int(self.block_sizes[sbn])] == 0)

    def repair_symbols(self, sbn: int) -> tuple[IntArray, IntArray]:
        """Return the (rows of `repair`, ESIs) of the repair symbols held of a block, as the codec takes them."""
        slots = np.flatnonzero(self.slot_sbn == sbn)
        return slots, self.slot_esi[slots].astype(np.int64)

    def block(self, sbn: int) -> Bytes:
        """Return the rows (K, T) of a block's source symbols, without copying."""
        first = int(self.first_rows[sbn])
        return self.source[first : first + int(self.block_sizes[sbn])]

    def finish(self, sbn: int) -> None:
        """Take no more of this block, and give the slots of its repair symbols back."""
        self.wanted[sbn] = 0
        self._give_back(np.flatnonzero(self.slot_sbn == sbn))
        self.repair_held[sbn] = 0

    def restore(self, rows: IntArray) -> None:
        """Mark source rows as held that are at their places already: after a power cut."""
        fresh = distinct(rows[self.held[rows] == 0])
        self.held[fresh] = HELD
        counts = self._counts(fresh)
        self.source_held += counts
        self.wanted -= np.minimum(self.wanted, counts)

    def restore_repair(self, slots: IntArray, sbn: IntArray, esi: IntArray) -> None:
        """Mark repair symbols as held that lie in these slots already; who is told nonsense passes it over."""
        fits = (sbn >= 0) & (sbn < self.geometry.blocks)
        size = self.block_sizes[np.where(fits, sbn, 0)]
        fits &= (esi >= size) & (esi < size + self.geometry.repair_per_block)
        slots, sbn, esi = slots[fits], sbn[fits], esi[fits]
        rows, first = np.unique(self.geometry.row_of(sbn, esi), return_index=True)
        fresh = self.held[rows] == 0
        rows, first = rows[fresh], first[fresh]
        self.held[rows] = HELD
        self.slot_sbn[slots[first]] = sbn[first]
        self.slot_esi[slots[first]] = esi[first]
        counts = self._counts(rows)
        self.repair_held += counts
        self.wanted -= np.minimum(self.wanted, counts)
        free = np.flatnonzero(self.slot_sbn < 0)[::-1]
        self.free[: len(free)] = free
        self.free_count[0] = len(free)

    def discard(self, sbn: int, esis: IntArray) -> None:
        """Forget symbols of a block (forged ones): their rows are not held any more, and wanted again."""
        rows = self.geometry.row_of(np.full(len(esis), sbn, dtype=np.int64), esis)
        esis = distinct(esis[self.held[rows] != 0])
        self.held[rows] = 0
        is_repair = esis >= self.block_sizes[sbn]
        self._give_back(np.flatnonzero((self.slot_sbn == sbn) & np.isin(self.slot_esi, esis[is_repair])))
        self.repair_held[sbn] -= np.count_nonzero(is_repair)
        self.source_held[sbn] -= np.count_nonzero(~is_repair)
        self.wanted[sbn] += len(esis)

    def _counts(self, rows: IntArray) -> Counts:
        sbn, _ = self.geometry.symbols_of(rows)
        return np.bincount(sbn, minlength=self.geometry.blocks).astype(np.int32)

    def _give_back(self, slots: IntArray) -> None:
        count = int(self.free_count[0])
        self.slot_sbn[slots] = -1
        self.free[count : count + len(slots)] = slots[::-1]
        self.free_count[0] = count + len(slots)


class Target(Frozen, eq=False):
    """Packets that begin with these 20 bytes (the plain header up to its CRC) belong to this landing."""

    prefix: bytes
    landing: Landing

    def __post_init__(self) -> None:
        if len(self.prefix) != PREFIX_BYTES:
            raise ValueError(f"a prefix of {len(self.prefix)} bytes")


class Targets:
    """A table of targets, made once and used by many takes; `handle` is what a taker keeps with it."""

    def __init__(self, targets: Sequence[Target]) -> None:
        if len(targets) > MAX_TARGETS:
            raise ValueError(f"{len(targets)} targets, at most {MAX_TARGETS} are served")
        if len({target.prefix for target in targets}) != len(targets):
            raise ValueError("two targets have the same prefix")
        self.targets = tuple(targets)
        self.handle: Any = None

    def __iter__(self) -> Iterator[Target]:
        return iter(self.targets)

    def __len__(self) -> int:
        return len(self.targets)


class Piece(NamedTuple):
    """`size` bytes from `offset` of the buffer: packets of `stride` bytes, the last one may be shorter (UDP_GRO)."""

    offset: int
    stride: int
    size: int


class Taken(Frozen):
    """What a take brought.

    `rows` has one array for each target: the rows (as `ObjectGeometry.row_of`) that are held now and were not before,
    in the order of arrival. `unmatched` has shape (m, 2): (offset, size) of each packet that no target knows, for the
    cold path. `filled` are the (target, SBN) whose `wanted` came down to 0, in any order.
    """

    rows: tuple[IntArray, ...]
    unmatched: IntArray
    heard: tuple[int, ...]
    """Packets of each target, whatever became of them."""
    filled: tuple[tuple[int, int], ...] = ()
    duplicates: int = 0
    ignored: int = 0
    """Packets of blocks that want no more."""
    corrupt: int = 0
    """Packets whose CRC-32 is wrong."""
    out_of_range: int = 0
    """Packets whose SBN or ESI the object does not have."""
    no_room: int = 0
    """Repair symbols for which no slot was free."""

    @property
    def taken(self) -> int:
        """Symbols held now that were not before."""
        return sum(len(rows) for rows in self.rows)
