"""Packets that lost their row to a forged one of the same wake-up, to be taken once more.

Of packets for one row the first one lands, and the others are duplicates. When the symbol that landed proves forged,
its row is free, but the genuine packet would be gone: who is always a moment ahead of the carousel, and so shares a
wake-up with each true packet, could starve a box. So what is contested is offered again as long as the wake-up's bytes
are there, each time in another order that nobody can foresee.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.flute.alc import PLAIN_HEADER_BYTES, split_payload_id
from carousel.take import Piece, Targets
from carousel.take.landing import PREFIX_BYTES, Target

__all__ = ["Lots", "contested"]

PAYLOAD_ID_OFFSET = 24


class Lots:
    """Orders that nobody foresees who does not know the seed: by a hash, since boards carry no `numpy.random`."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "big")
        self._drawn = 0

    def order(self, count: int) -> IntArray:
        """Return the numbers below `count` in another order each time."""
        self._drawn += 1
        drawn = hashlib.shake_128(self._key + self._drawn.to_bytes(8, "big")).digest(8 * count)
        return np.argsort(np.frombuffer(drawn, dtype=np.uint64))


def contested(targets: Targets, flat: Bytes, pieces: Sequence[Piece], lots: Lots) -> IntArray:
    """Return the packets of free rows that more than one packet is for, as pieces (n, 3), in random order."""
    offsets, sizes = _packets(pieces)
    found = [_of_target(target, flat, offsets, sizes) for target in targets]
    chosen = np.concatenate([np.empty((0, 2), dtype=np.int64), *found])
    chosen = chosen[lots.order(len(chosen))]
    return np.column_stack([chosen[:, 0], chosen[:, 1], chosen[:, 1]])


def _packets(pieces: Sequence[Piece]) -> tuple[IntArray, IntArray]:
    """Return (offsets, sizes) of the packets that fill their piece's stride."""
    table = np.array(pieces, dtype=np.int64).reshape(-1, 3)
    counts = table[:, 2] // table[:, 1]
    which = np.repeat(np.arange(len(table)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return table[which, 0] + within * table[which, 1], table[which, 1]


def _of_target(target: Target, flat: Bytes, offsets: IntArray, sizes: IntArray) -> IntArray:
    landing, geometry = target.landing, target.landing.geometry
    offsets = offsets[sizes == PLAIN_HEADER_BYTES + geometry.symbol_size]
    heads = flat[offsets[:, None] + np.arange(PLAIN_HEADER_BYTES)]
    is_mine = (heads[:, :PREFIX_BYTES] == np.frombuffer(target.prefix, dtype=np.uint8)).all(axis=1)
    offsets, heads = offsets[is_mine], heads[is_mine]
    payload = np.ascontiguousarray(heads[:, PAYLOAD_ID_OFFSET:]).view(">u4").reshape(-1).astype(np.int64)
    sbn, esi = split_payload_id(payload, geometry.fec)
    in_range = sbn < geometry.blocks
    in_range &= esi < geometry.block_sizes[np.where(in_range, sbn, 0)] + geometry.repair_per_block
    offsets, rows = offsets[in_range], geometry.row_of(sbn[in_range], esi[in_range])
    is_free = landing.held[rows] == 0
    offsets, rows = offsets[is_free], rows[is_free]
    _, which, counts = np.unique(rows, return_inverse=True, return_counts=True)
    offsets = offsets[counts[which] > 1]
    return np.column_stack([offsets, np.full(len(offsets), PLAIN_HEADER_BYTES + geometry.symbol_size)])
