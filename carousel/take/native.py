"""The take of the native core."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from carousel.buffers import Buffer, IntArray
from carousel.native import Core
from carousel.take.landing import Landing, Piece, Taken, Target, Targets

__all__ = ["NativeTaker"]


class NativeTaker:
    """One C call for the pieces of a wake-up, without the interpreter lock (see `Taker`)."""

    name = "native"

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ffi: Any = core.ffi

    def take(self, targets: Targets, buffer: Buffer, pieces: Iterable[Piece] | IntArray) -> Taken:
        """Take the packets of all these pieces of the buffer (see `Taker`)."""
        table = np.array(pieces if isinstance(pieces, np.ndarray) else list(pieces), dtype=np.int64).reshape(-1, 3)
        if (table[:, 1] < 1).any() or (table[:, 2] < 0).any():
            raise ValueError("a piece of packets of no bytes")
        room = int((-(-table[:, 2] // np.maximum(table[:, 1], 1))).sum())
        rows, owners = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.uint8)
        unmatched, filled = np.empty((room, 2), dtype=np.int64), np.empty((room, 2), dtype=np.int32)
        place = self._ffi.from_buffer
        pointers = (
            place("int64_t[]", rows),
            place("uint8_t[]", owners),
            place("int64_t[]", unmatched),
            place("int32_t[]", filled),
        )
        taken = self._ffi.new("bc_taken *", [0] * 8 + [room, *pointers])
        read = place("uint8_t[]", buffer)
        code = self._core.lib.bc_take(
            self._structs(targets), len(targets), read, len(read), place("int64_t[]", table), len(table), taken
        )
        self._core.status(code, f"a piece lies outside of a buffer of {len(read)} bytes")
        return Taken(
            rows=_rows_of_targets(len(targets), rows[: taken.taken], owners[: taken.taken]),
            heard=tuple(taken.heard[target] for target in range(len(targets))),
            unmatched=unmatched[: taken.unmatched],
            filled=tuple(map(tuple, filled[: taken.filled].tolist())),
            duplicates=taken.duplicates,
            ignored=taken.ignored,
            corrupt=taken.corrupt,
            out_of_range=taken.out_of_range,
            no_room=taken.no_room,
        )

    def _structs(self, targets: Targets) -> Any:
        """Return the table's structures, made at its first take; they hold on to the memory that they point to."""
        if targets.handle is None:
            structs = self._ffi.new("bc_target[]", len(targets))
            pointers = [self._fill(struct, target) for struct, target in zip(structs, targets, strict=True)]
            targets.handle = (structs, pointers)
        return targets.handle[0]

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


def _rows_of_targets(count: int, rows: IntArray, owners: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[IntArray, ...]:
    if count == 1:
        return (rows,)
    return tuple(rows[owners == target] for target in range(count))
