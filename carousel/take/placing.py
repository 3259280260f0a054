"""Put symbols that stand by themselves, outside of plain packets, where they belong: whole batches, as a take does."""

import numpy as np
from numpy.typing import NDArray

from carousel.buffers import Bytes, IntArray
from carousel.frozen import Frozen
from carousel.take.landing import CAME_AGAIN, HELD, Landing

__all__ = ["Placed", "place"]

BoolArray = NDArray[np.bool_]


class Placed(Frozen):
    """What placing brought: rows that are held now and were not before, and what became of the others."""

    rows: IntArray
    filled: tuple[int, ...] = ()
    duplicates: int = 0
    ignored: int = 0
    out_of_range: int = 0
    no_room: int = 0


def place(landing: Landing, sbn: IntArray, esi: IntArray, symbols: Bytes) -> Placed:
    """Put symbols (n, T) of one object into its landing, in order; they were checked before."""
    geometry = landing.geometry
    in_range = (sbn >= 0) & (sbn < geometry.blocks) & (esi >= 0)
    in_range &= esi < landing.block_sizes[np.where(in_range, sbn, 0)] + geometry.repair_per_block
    out_of_range = int(np.count_nonzero(~in_range))
    if out_of_range:
        sbn, esi, symbols = sbn[in_range], esi[in_range], symbols[in_range]
    rows = geometry.row_of(sbn, esi)
    is_wanted = landing.wanted[sbn] > 0
    is_held = landing.held[rows] != 0
    landing.held[rows[is_wanted & is_held]] |= CAME_AGAIN
    is_new = is_wanted & ~is_held & _are_first(rows)
    duplicates = int(np.count_nonzero(is_wanted & ~is_new))
    ignored = len(rows) - int(np.count_nonzero(is_wanted))
    new = np.flatnonzero(is_new)
    is_repair = esi[new] >= landing.block_sizes[sbn[new]]
    if np.count_nonzero(is_repair) > landing.free_count[0] and len(new) > 1:
        return _place_in_turn(
            landing, sbn[new], esi[new], symbols[new], Placed(rows, (), duplicates, ignored, out_of_range)
        )
    if np.count_nonzero(is_repair) > landing.free_count[0]:
        return Placed(rows[:0], (), duplicates, ignored, out_of_range, no_room=1)
    within = _ranks(sbn[new]) < landing.wanted[sbn[new]]
    ignored += len(new) - int(np.count_nonzero(within))
    filled = _put(landing, sbn[new], esi[new], rows[new], symbols[new], within)
    return Placed(rows[new[within]], filled, duplicates, ignored, out_of_range)


def _place_in_turn(landing: Landing, sbn: IntArray, esi: IntArray, symbols: Bytes, so_far: Placed) -> Placed:
    """Place new symbols one by one: there are more repair symbols than slots, and what lacks room fills no block."""
    parts = [place(landing, sbn[at : at + 1], esi[at : at + 1], symbols[at : at + 1]) for at in range(len(sbn))]
    return Placed(
        np.concatenate([part.rows for part in parts]),
        tuple(number for part in parts for number in part.filled),
        so_far.duplicates + sum(part.duplicates for part in parts),
        so_far.ignored + sum(part.ignored for part in parts),
        so_far.out_of_range,
        sum(part.no_room for part in parts),
    )


def _put(
    landing: Landing, sbn: IntArray, esi: IntArray, rows: IntArray, symbols: Bytes, within: BoolArray
) -> tuple[int, ...]:
    """Put new symbols, those within what their blocks want, and count them; return the blocks that want no more."""
    blocks, is_repair = landing.geometry.blocks, esi >= landing.block_sizes[sbn]
    source, repair = np.flatnonzero(within & ~is_repair), np.flatnonzero(within & is_repair)
    landing.source[rows[source]] = symbols[source]
    landing.source_held += np.bincount(sbn[source], minlength=blocks).astype(np.int32)
    if len(repair):
        _place_repair(landing, sbn[repair], esi[repair], symbols[repair])
    landing.held[rows[within]] = HELD
    counts = np.bincount(sbn[within], minlength=blocks).astype(np.int32)
    landing.wanted -= counts
    return tuple(np.flatnonzero((counts > 0) & (landing.wanted == 0)).tolist())


def _place_repair(landing: Landing, sbn: IntArray, esi: IntArray, symbols: Bytes) -> None:
    """Put repair symbols into free slots, in the order in which a take hands them out."""
    left = int(landing.free_count[0]) - len(sbn)
    slots = landing.free[left : left + len(sbn)][::-1]
    landing.repair[slots] = symbols
    landing.slot_sbn[slots] = sbn
    landing.slot_esi[slots] = esi
    landing.repair_held += np.bincount(sbn, minlength=landing.geometry.blocks).astype(np.int32)
    landing.free_count[0] = left


def _are_first(rows: IntArray) -> BoolArray:
    """Say of each row whether it is the first of its number."""
    first = np.zeros(len(rows), dtype=np.bool_)
    first[np.unique(rows, return_index=True)[1]] = True
    return first


def _ranks(numbers: IntArray) -> IntArray:
    """Return how many of the same number stand before each."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    ranks = np.empty(len(numbers), dtype=np.int64)
    ranks[order] = np.arange(len(numbers)) - starts
    return ranks
