"""The take of the native core."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from carousel.buffers import Buffer, IntArray
from carousel.native import Core
from carousel.take.landing import Landing, Piece, Taken, Target, Targets

__all__ = ["NativeTaker"]

LEAST_ROOM = 512
NO_ROWS = np.empty(0, dtype=np.int64)


class _Handle:
    """What a table of targets has with this taker: its structures, and room for what a take brings, used again.

    A table is used by one thread at a time, as its landings are.
    """

    def __init__(self, ffi: Any, structs: tuple[Any, list[list[Any]]]) -> None:
        self._ffi = ffi
        self.structs, self._pointers = structs
        self.taken = ffi.new("bc_taken *")
        self.make_room(LEAST_ROOM)

    def make_room(self, packets: int) -> None:
        """Let so many packets be taken at once."""
        if packets <= self.taken.room:
            return
        self.rows = np.empty(packets, dtype=np.int64)
        self.owners = np.empty(packets, dtype=np.uint8)
        self.unmatched = np.empty((packets, 2), dtype=np.int64)
        self.filled = np.empty((packets, 2), dtype=np.int32)
        self.taken.rows = self._ffi.from_buffer("int64_t[]", self.rows)
        self.taken.owners = self._ffi.from_buffer("uint8_t[]", self.owners)
        self.taken.unmatched_packets = self._ffi.from_buffer("int64_t[]", self.unmatched)
        self.taken.filled_blocks = self._ffi.from_buffer("int32_t[]", self.filled)
        self.taken.room = packets

    def rows_of_targets(self, heard: tuple[int, ...]) -> tuple[IntArray, ...]:
        """Return the rows that were taken of each target."""
        taken = self.taken.taken
        rows, owners = self.rows[:taken], self.owners[:taken]
        if sum(map(bool, heard)) == 1:
            return tuple(rows.copy() if packets else NO_ROWS for packets in heard)
        return tuple(rows[owners == target] if packets else NO_ROWS for target, packets in enumerate(heard))


class NativeTaker:
    """One C call for the pieces of a wake-up, without the interpreter lock (see `Taker`)."""

    name = "native"

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ffi: Any = core.ffi

    def take(self, targets: Targets, buffer: Buffer, pieces: Iterable[Piece] | IntArray) -> Taken:
        """Take the packets of all these pieces of the buffer (see `Taker`)."""
        flat = (
            pieces.reshape(-1).tolist() if isinstance(pieces, np.ndarray) else [each for one in pieces for each in one]
        )
        room = 0
        for stride, size in zip(flat[1::3], flat[2::3], strict=True):
            if stride < 1 or size < 0:
                raise ValueError("a piece of packets of no bytes")
            room += -(-size // stride)
        if targets.handle is None:
            targets.handle = _Handle(self._ffi, self._structs(targets))
        handle: _Handle = targets.handle
        handle.make_room(room)
        read, taken = self._ffi.from_buffer("uint8_t[]", buffer), handle.taken
        code = self._core.lib.bc_take(
            handle.structs, len(targets), read, len(read), self._ffi.new("int64_t[]", flat), len(flat) // 3, taken
        )
        self._core.status(code, f"a piece lies outside of a buffer of {len(read)} bytes")
        heard = tuple(self._ffi.unpack(taken.heard, len(targets)))
        return Taken(
            rows=handle.rows_of_targets(heard),
            heard=heard,
            unmatched=handle.unmatched[: taken.unmatched].copy(),
            filled=tuple(map(tuple, handle.filled[: taken.filled].tolist())) if taken.filled else (),
            duplicates=taken.duplicates,
            ignored=taken.ignored,
            corrupt=taken.corrupt,
            out_of_range=taken.out_of_range,
            no_room=taken.no_room,
        )

    def _structs(self, targets: Targets) -> tuple[Any, list[list[Any]]]:
        """Return the table's structures, and what holds on to the memory that they point to."""
        structs = self._ffi.new("bc_target[]", len(targets))
        return structs, [self._fill(struct, target) for struct, target in zip(structs, targets, strict=True)]

    def _fill(self, struct: Any, target: Target) -> list[Any]:
        landing = target.landing
        geometry = landing.geometry
        struct.prefix = list(target.prefix)
        struct.symbol_size = geometry.symbol_size
        struct.blocks = geometry.blocks
        struct.repair_per_block = geometry.repair_per_block
        struct.esi_bits = landing.esi_bits
        struct.source_rows = geometry.source_symbols
        struct.held_rows = geometry.rows
        struct.slots = len(landing.repair)
        return [self._point(struct, field, array) for field, array in _arrays_of(landing).items()]

    def _point(self, struct: Any, field: str, array: np.ndarray[Any, Any]) -> Any:
        kind = "uint8_t[]" if array.dtype == np.uint8 else "int32_t[]"
        pointer = self._ffi.from_buffer(kind, array)
        setattr(struct, field, pointer)
        return pointer


def _arrays_of(landing: Landing) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "block_sizes": landing.block_sizes,
        "first_rows": landing.first_rows,
        "source": landing.source,
        "repair": landing.repair,
        "held": landing.held,
        "source_held": landing.source_held,
        "repair_held": landing.repair_held,
        "wanted": landing.wanted,
        "slot_sbn": landing.slot_sbn,
        "slot_esi": landing.slot_esi,
        "free_slots": landing.free,
        "free_count": landing.free_count,
    }
