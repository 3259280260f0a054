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

__all__ = ["Walks", "walk", "walk_street"]

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


class _Links:
    """Links that lose packets, one after the other: what comes next goes on where they are."""

    def __init__(self, chain: LossChain, count: int, rng: np.random.Generator) -> None:
        self._chain, self._rng = chain, rng
        self._is_bad = rng.random(count) < chain.bad_share

    def keep(self, are_kept: BoolMatrix) -> None:
        """Forget the other links."""
        self._is_bad = self._is_bad[are_kept]

    def lost(self, packets: int) -> BoolMatrix:
        """Draw which of the next packets are lost on each link: (links, packets)."""
        chain, shape = self._chain, (len(self._is_bad), packets)
        if chain.is_memoryless:
            drawn: BoolMatrix = self._rng.random(shape, dtype=np.float32) < chain.mean
            return drawn
        bad = self._bad(packets)
        if chain.h == 0 and chain.k == 1:
            return bad
        passes = np.where(bad, np.float32(chain.h), np.float32(chain.k))
        lost: BoolMatrix = self._rng.random(shape, dtype=np.float32) >= passes
        return lost

    def _bad(self, packets: int) -> BoolMatrix:
        """Draw when links are in the bad state, run by run."""
        chain, rng, links = self._chain, self._rng, len(self._is_bad)
        if not chain.r:
            return np.zeros((links, packets), dtype=np.bool_)
        pairs = int(1.2 * packets / (1 / chain.p + 1 / chain.r) + 9 * (packets * min(chain.p, chain.r)) ** 0.5 + 9)
        ends = np.empty((links, 2 * pairs), dtype=np.int64)
        ends[:, ::2], ends[:, 1::2] = rng.geometric(chain.p, (links, pairs)), rng.geometric(chain.r, (links, pairs))
        ends[self._is_bad, 0] = 0  # runs have no memory: it does not matter when one began
        np.minimum(np.cumsum(ends, axis=1, out=ends), packets, out=ends)
        turns = np.zeros((links, packets + 1), dtype=np.int8)
        rows = np.broadcast_to(np.arange(links)[:, None], ends.shape)
        np.bitwise_xor.at(turns, (rows, ends), 1)
        bad: BoolMatrix = np.bitwise_xor.accumulate(turns[:, :-1], axis=1).astype(np.bool_)
        self._is_bad = np.where(bad[:, -1], rng.random(links) >= chain.r, rng.random(links) < chain.p)
        return bad


def walk(
    timeline: Timeline, chain: LossChain, boxes: int, seed: tuple[int, ...], trunk: LossChain | None = None
) -> Walks:
    """Follow so many boxes that tune in at random moments, one in each part of the period.

    Hardly any of them sees it end, if it is longer than a box takes: its last two announcements are too close.
    """
    rng = np.random.default_rng([WALK_STREAM, *seed])
    air = _air_of(timeline)
    columns = _columns(air, chain, trunk)
    span_s = timeline.period_s * max(0.5, 1 - columns / len(air.symbol))
    starts_s = (rng.permutation(boxes) + rng.random(boxes)) / boxes * span_s
    at_once = max(8, int(CELLS_AT_ONCE / columns))
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
    luck = rng.random((len(first), len(air.sizes)))
    links, trunks = _Links(chain, len(first), rng), _Links(trunk, -(-len(first) // street), rng) if trunk else None
    lost = np.empty((len(first), 0), dtype=np.bool_)
    left, done = np.arange(len(first)), np.full(len(first), NEVER)
    while True:
        # The same losses go on for who is not done: were all drawn anew, and further, the last would be lost sight of
        # whenever all of some happen to be done soon.
        more = links.lost(length - lost.shape[1])
        if trunks is not None:
            more |= trunks.lost(more.shape[1])[left // street]
        lost = np.concatenate([lost, more], axis=1)
        done[left] = _done(air, first[left], lost, luck[left])
        is_left = done[left] == NEVER
        left, lost = left[is_left], lost[is_left]
        links.keep(is_left)
        if not len(left) or length >= most:
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


def _done(air: Air, first: IntArray, lost: BoolMatrix, luck: FloatArray) -> IntMatrix:
    """Return with which packet each box is done, `NEVER` if with none of these; `luck` is RaptorQ's, for each block."""
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
    extra = np.minimum((-np.log1p(-luck) / np.log(256)).astype(np.int64), air.repair)
    for number, size in enumerate(air.sizes.tolist()):
        mine = np.sort(got[:, air.block == number], axis=1)
        done = np.maximum(done, mine[np.arange(boxes), size - 1 + extra[:, number]])
    return done


def _first_of(turns: IntArray, turn: int, slots: IntMatrix, come: BoolMatrix) -> IntMatrix:
    """Return the first column in which a packet that goes at slots `turns` came, `NEVER` for none."""
    mine = np.zeros(turn, dtype=np.bool_)
    mine[turns] = True
    hit = mine[slots] & come
    return np.where(hit.any(axis=1), hit.argmax(axis=1), NEVER).astype(np.int32)
