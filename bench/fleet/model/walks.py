"""Boxes one by one: what the law claims is measured by, and what stands in for it where it does not hold.

A walk follows one box over the real order on air (timeline.py), packet by packet: its own link's losses and its
trunk's, the announcement, the 4 MiB kept before it, the packets that prove the block digests, symbols that come round
again. Nothing is approximated; but it shows no more of the tail than there are walks.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.chains import LossChain
from bench.fleet.model.timeline import Timeline
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.release.blocks import IntArray
from settop.wire.early import MAX_BYTES as EARLY_BYTES

__all__ = ["Walks", "lost_matrix", "walk", "walk_street"]

FloatArray = NDArray[np.float64]
BoolMatrix = NDArray[np.bool_]
IntMatrix = NDArray[np.int32]
NEVER = np.int32(2**31 - 1)
CELLS_AT_ONCE = 3_000_000
MOST_CYCLES = 60
WALK_STREAM = 31


@dataclass(frozen=True, eq=False)
class Air:
    """What is on air in one period, every packet: `symbol` (rows of the image by place, -1 for others), `end_s`;
    slots of headers and, for each urgent packet, of its turns.
    """

    symbol: IntMatrix
    end_s: FloatArray
    is_kept: BoolMatrix
    headers: IntArray
    urgent: tuple[IntArray, ...]
    period_s: float
    block: IntMatrix
    sizes: IntArray
    repair: int
    packet_bytes: int

    @classmethod
    def of(cls, timeline: Timeline) -> "Air":
        """Lay a timeline's packets out in the order in which they end."""
        image = timeline.layout.objects[0]
        headers_s = np.arange(
            timeline.announce_lag_s, timeline.period_s, timeline.announce_interval_s, dtype=np.float64
        )
        parts = [timeline.slot_s, headers_s, *timeline.urgent_s]
        kinds = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
        times_s = np.concatenate(parts)
        # Other releases and other digest packets go between: what counts is how many went before.
        order = np.argsort(times_s, kind="stable")
        kinds = kinds[order]
        symbol = np.full(len(kinds), -1, dtype=np.int32)
        symbol[kinds == 0] = timeline.place
        return cls(
            symbol, times_s[order], kinds != 1, np.flatnonzero(kinds == 1),
            tuple(np.flatnonzero(kinds == number) for number in range(2, len(parts))), timeline.period_s,
            timeline.block_of_place.astype(np.int32), image.block_sizes, image.repair_per_block,
            PLAIN_HEADER_BYTES + timeline.layout.symbol_size,
        )  # fmt: skip


@dataclass(frozen=True)
class Walks:
    """Times of single boxes, sorted; infinity where `MOST_CYCLES` were not enough."""

    times_s: FloatArray

    def late(self, edges_s: FloatArray) -> FloatArray:
        """Return the share of walks that took longer than each of these times."""
        return 1 - np.searchsorted(self.times_s, edges_s, side="right") / len(self.times_s)


def lost_matrix(chain: LossChain, boxes: int, packets: int, rng: np.random.Generator) -> BoolMatrix:
    """Draw which packets are lost on each of some links: (boxes, packets)."""
    if chain.is_memoryless:
        drawn: BoolMatrix = rng.random((boxes, packets), dtype=np.float32) < chain.mean
        return drawn
    bad = _bad_matrix(chain, boxes, packets, rng)
    if chain.h == 0 and chain.k == 1:
        return bad
    passes = np.where(bad, np.float32(chain.h), np.float32(chain.k))
    lost: BoolMatrix = rng.random((boxes, packets), dtype=np.float32) >= passes
    return lost


def _bad_matrix(chain: LossChain, boxes: int, packets: int, rng: np.random.Generator) -> BoolMatrix:
    """Draw when links are in the bad state, run by run."""
    if not chain.r:
        return np.zeros((boxes, packets), dtype=np.bool_)
    pairs = int(1.2 * packets / (1 / chain.p + 1 / chain.r) + 9 * (packets * min(chain.p, chain.r)) ** 0.5 + 9)
    ends = np.empty((boxes, 2 * pairs), dtype=np.int64)
    ends[:, ::2], ends[:, 1::2] = rng.geometric(chain.p, (boxes, pairs)), rng.geometric(chain.r, (boxes, pairs))
    ends[rng.random(boxes) < chain.bad_share, 0] = 0  # runs have no memory: the first may have begun before
    np.minimum(np.cumsum(ends, axis=1, out=ends), packets, out=ends)
    turns = np.zeros((boxes, packets + 1), dtype=np.int8)
    rows = np.broadcast_to(np.arange(boxes)[:, None], ends.shape)
    np.bitwise_xor.at(turns, (rows, ends), 1)
    bad: BoolMatrix = np.bitwise_xor.accumulate(turns[:, :-1], axis=1).astype(np.bool_)
    return bad


def walk(
    timeline: Timeline, chain: LossChain, boxes: int, seed: tuple[int, ...], trunk: LossChain | None = None
) -> Walks:
    """Follow so many boxes that tune in at random moments, one in each part of the period."""
    rng = np.random.default_rng([WALK_STREAM, *seed])
    air = _air_of(timeline)
    starts_s = (rng.permutation(boxes) + rng.random(boxes)) / boxes * timeline.period_s
    at_once = max(8, int(CELLS_AT_ONCE / _columns(air, chain, trunk)))
    found = [_follow(air, chain, trunk, starts_s[first : first + at_once], rng) for first in range(0, boxes, at_once)]
    return Walks(np.sort(np.concatenate(found)))


def walk_street(
    timeline: Timeline, chain: LossChain, trunk: LossChain, boxes: int, start_s: float, seed: tuple[int, ...]
) -> Walks:
    """Follow boxes of one street: they power up together, and share what the trunk loses."""
    rng = np.random.default_rng([WALK_STREAM, *seed])
    starts_s = np.full(boxes, start_s % timeline.period_s)
    return Walks(np.sort(_follow(_air_of(timeline), chain, trunk, starts_s, rng, boxes)))


@lru_cache(maxsize=8)
def _air_of(timeline: Timeline) -> Air:
    return Air.of(timeline)


def _follow(
    air: Air, chain: LossChain, trunk: LossChain | None, starts_s: FloatArray, rng: np.random.Generator, street: int = 1
) -> FloatArray:
    """Look at more and more packets until all are done; return how long each took."""
    first = np.searchsorted(air.end_s, starts_s, side="right")
    turn, length = len(air.symbol), _columns(air, chain, trunk)
    most = max(length, int(MOST_CYCLES * len(air.block) * turn / np.count_nonzero(air.symbol >= 0)))
    while True:
        lost = lost_matrix(chain, len(first), length, rng)
        if trunk is not None:
            lost |= np.repeat(lost_matrix(trunk, -(-len(first) // street), length, rng), street, axis=0)[: len(first)]
        done = _done(air, first, lost, rng)
        # Drawn anew, and further, if any box was not done: to go on with the others' losses would favour none.
        if (done < NEVER).all() or length >= most:
            break
        length = min(most, 2 * length)
    turns, place = np.divmod(np.minimum(done, length - 1) + first, turn)
    return np.where(done < NEVER, air.end_s[place] + turns * air.period_s - starts_s, np.inf)


def _columns(air: Air, chain: LossChain, trunk: LossChain | None) -> int:
    """Return how many packets nearly every box will have heard enough of."""
    loss = 1 - (1 - chain.mean) * (1 - (trunk.mean if trunk else 0.0))
    symbols, turn = int(air.sizes.sum()), len(air.symbol)
    each = turn / np.count_nonzero(air.symbol >= 0)
    passes = 1.1 / (1 - loss) if air.repair else 1.2 + np.log(100 * symbols) / -np.log(max(loss, 1e-9))
    return int(symbols * passes * each + (1 + 2 * loss) * turn / len(air.headers) + 64)


def _done(air: Air, first: IntArray, lost: BoolMatrix, rng: np.random.Generator) -> IntMatrix:
    """Return with which packet each box is done, `NEVER` if with none of these."""
    boxes, length = lost.shape
    turn = len(air.symbol)
    columns = np.arange(length, dtype=np.int32)
    slots = (first.astype(np.int32)[:, None] + columns) % np.int32(turn)
    come = ~lost
    done = _first_of(air.headers, turn, slots, come)
    kept = np.cumsum(come & air.is_kept[slots], axis=1, dtype=np.int32) <= EARLY_BYTES // air.packet_bytes
    come &= kept | (columns > done[:, None])
    for turns in air.urgent:
        done = np.maximum(done, _first_of(turns, turn, slots, come))
    symbol = air.symbol[slots]
    rows = len(air.block)
    backwards = np.flatnonzero(come & (symbol >= 0))[::-1].copy()  # so that the first of each is written last
    got = np.full(boxes * rows, NEVER, dtype=np.int32)
    got[backwards // length * rows + symbol.ravel()[backwards]] = backwards % length
    got = got.reshape(boxes, rows)
    extra = np.zeros(boxes, dtype=np.int64)
    for number, size in enumerate(air.sizes.tolist()):
        if air.repair:
            extra = np.minimum((-np.log(rng.random(boxes)) / np.log(256)).astype(np.int64), air.repair)
        mine = np.sort(got[:, air.block == number], axis=1)
        done = np.maximum(done, mine[np.arange(boxes), size - 1 + extra])
    return done


def _first_of(turns: IntArray, turn: int, slots: IntMatrix, come: BoolMatrix) -> IntMatrix:
    """Return the first column in which a packet that goes at slots `turns` came, `NEVER` for none."""
    mine = np.zeros(turn, dtype=np.bool_)
    mine[turns] = True
    hit = mine[slots] & come
    return np.where(hit.any(axis=1), hit.argmax(axis=1), NEVER).astype(np.int32)
