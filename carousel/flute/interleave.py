"""The order of an object's encoding symbols on the wire, before a cycle shuffles its bursts.

A *phase* is one pass over all source symbols or over all repair symbols. Within a phase symbols go in rounds:
round e holds symbol e of every block, the blocks in turn, from a block that a hash of the round picks. So
neighbours belong to different blocks (a burst of losses is shared out), and losses with a period hit no block
more than another. Source and repair phases take turns, so that every window of Kt symbols, from any start, is of
distinct symbols: at R = K a box that misses nothing needs exactly one image's worth, wherever it tunes in.
"""

import numpy as np

from carousel.release.blocks import IntArray, ObjectGeometry

__all__ = ["transmit_places"]


def transmit_places(geometry: ObjectGeometry, sbn: IntArray, esi: IntArray) -> IntArray:
    """Return the place of each symbol in transmit order, the source phase first.

    The order is part of the format: the head-end's files follow it, and a receiver sees from gaps in it what
    the network lost. So it rests on plain arithmetic and not on a library's random stream.
    """
    blocks, small = geometry.blocks, int(geometry.block_sizes[-1])
    is_repair = esi >= geometry.block_sizes[sbn]
    round_number = np.where(is_repair, esi - geometry.block_sizes[sbn], esi)
    # Rounds of both phases count through. The last source round may have the larger blocks alone, unturned.
    turn = _hash(round_number + is_repair * small) % np.uint64(blocks)
    in_round = (sbn + turn.astype(np.int64)) % blocks
    in_round = np.where(~is_repair & (round_number == small), sbn, in_round)
    places: IntArray = is_repair * geometry.source_symbols + round_number * blocks + in_round
    return places


def _hash(numbers: IntArray) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]":
    """Return SplitMix64 of each number."""
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
