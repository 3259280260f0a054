"""One box after the other, from docs/protocol.md alone: the oracle of the sampled fleet. Shares no code with it.

The packets of some cycles are laid out as the page says (order, shuffled chunks, digest packets, announcements, the
FDT), with the times at which they end at the carousel's rate. A box tunes in at any moment, loses what its own link and
its street's trunk lose, keeps 4 MiB until it hears the announcement, and is done when it has heard that, the packets
that prove the block digests, and of each block K symbols, or a few more as RaptorQ's luck has it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

DATA_HEADER, SIGNED_HEADER, FDT_BYTES = 28, 256, 1000
CHUNK, WINDOW, WINDOWS, FEWEST_CHUNKS = 44, 1408, 16, 2
URGENT_PASSES, CHAIN_PASSES = 5, 3
EARLY_BYTES = 4 << 20
CELLS_AT_ONCE = 6_000_000
NEVER = np.int32(2**31 - 1)
HEADER, FDT, URGENT, OTHER, IMAGE = range(-4, 1)


@dataclass(frozen=True)
class Loss:
    """Mean loss, and how many in a row on average (None: independent)."""

    mean: float = 0.0
    burst: float | None = None

    def begin(self, boxes, rng):
        """Say which links would have lost the packet before the first."""
        return rng.random(boxes) < self.mean

    def runs(self, before, packets, rng):
        """Say of each packet (boxes, packets) whether it is lost, after one that was or was not."""
        boxes = len(before)
        if not self.mean:
            return np.zeros((boxes, packets), dtype=bool)
        if self.burst is None:
            return rng.random((boxes, packets), dtype=np.float32) < self.mean
        to_bad, to_good = self.mean / (self.burst * (1 - self.mean)), 1 / self.burst
        pairs = int(packets / (1 / to_bad + 1 / to_good) * 1.2 + 8 * (packets * to_bad) ** 0.5 + 8)
        lengths = np.empty((boxes, 2 * pairs), dtype=np.int64)
        lengths[:, ::2], lengths[:, 1::2] = (
            rng.geometric(to_bad, (boxes, pairs)),
            rng.geometric(to_good, (boxes, pairs)),
        )
        turns_up = rng.random(boxes)
        lengths[np.where(before, turns_up >= to_good, turns_up < to_bad), 0] = 0
        ends = np.minimum(np.cumsum(lengths, axis=1), packets)
        turns = np.zeros((boxes, packets + 1), dtype=np.int8)
        rows = np.arange(boxes)[:, None]
        np.add.at(turns, (rows, ends[:, ::2]), 1)
        np.add.at(turns, (rows, ends[:, 1::2]), -1)
        return np.cumsum(turns[:, :-1], axis=1, dtype=np.int8) > 0


@dataclass(frozen=True)
class Setting:
    """What is on air; sizes in bytes, the rate in bit/s of UDP payload."""

    image: int
    rate: float
    repair: float = 1.0
    symbol: int = 1440
    releases: int = 1
    announce_s: float = 0.25


def kind_of(numbers):
    """Return what a packet with digests is, by the number of what a box needs."""
    return np.where(numbers < 0, OTHER, URGENT - 1000 - numbers)


def splitmix(numbers):
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class Carousel:
    """The packets of enough cycles: `what` (a symbol's number, or one of the kinds above) and `end_s` of each."""

    def __init__(self, setting, seed):
        self.rng, self.setting = np.random.default_rng(seed), setting
        self.source = -(-setting.image // setting.symbol)
        self.blocks = min(255, -(-self.source // 4000))
        small, large = self.source // self.blocks, -(-self.source // self.blocks)
        count_large = self.source - small * self.blocks
        self.sizes = np.repeat([large, small], [count_large, self.blocks - count_large])
        self.spare = int(np.ceil(large * setting.repair))
        self.rows = self.source + self.blocks * self.spare
        self.block_of, self.order = self._transmit_order()
        self._count_digests()
        cycles = max(2, min(300, 150_000 // self.rows))
        self._lay_out(cycles)

    def _transmit_order(self):
        block, esi = [], []
        for number, size in enumerate(self.sizes.tolist()):
            block.append(np.full(size + self.spare, number))
            esi.append(np.arange(size + self.spare))
        block, esi = np.concatenate(block), np.concatenate(esi)
        size, small = self.sizes[block], int(self.sizes[-1])
        repair = esi >= size
        turn_of = np.where(repair, esi - size, esi)
        turn = (splitmix(turn_of + repair * small) % np.uint64(self.blocks)).astype(np.int64)
        within = np.where(~repair & (turn_of == small), block, (block + turn) % self.blocks)
        order = np.lexsort((within, turn_of, repair))
        return block, order

    def _count_digests(self):
        """Number what a box needs from 0 (`urgent` of these); what only proves all of level 1 is -1."""
        size = self.setting.symbol
        bytes_of = proving_bytes = 32 * self.blocks + 16 * self.rows
        urgent_bytes = 32 * self.blocks
        self.urgent, self.chain, self.level_1 = 0, [], []
        while True:
            symbols, proving, needed = (-(-each // size) for each in (bytes_of, proving_bytes, urgent_bytes))
            numbers = [*range(self.urgent, self.urgent + needed), *[-1] * (proving - needed)]
            self.urgent += needed
            self.chain += numbers if self.level_1 else numbers[:needed]
            self.level_1 = self.level_1 or numbers
            if symbols == 1:
                return
            spare = -(-symbols // -(-symbols // 1000)) * -(-symbols // 1000) if self.spare else 0
            urgent_bytes, proving_bytes, bytes_of = 16 * needed, 16 * proving, 16 * (symbols + spare)

    @property
    def _chunk(self):
        """How many packets are shuffled as one: whole rounds."""
        return self.blocks * -(-CHUNK // self.blocks)

    @property
    def _window(self):
        """How many chunks are shuffled among each other."""
        return max(FEWEST_CHUNKS, min(WINDOW, self.source // WINDOWS) // self._chunk)

    def _cycle(self):
        shuffled, chunk = [], self._chunk
        borders = sorted({0, self.source, self.rows // 2, self.rows})
        for part in (self.order[begin:end] for begin, end in pairwise(borders)):
            for begin in range(0, len(part), chunk * self._window):
                chunks = range(begin, min(begin + chunk * self._window, len(part)), chunk)
                whole = (chunks.stop - begin) // chunk
                order = [*self.rng.permutation(whole).tolist(), *range(whole, len(chunks))]
                shuffled += [part[chunks[k] : min(chunks[k] + chunk, chunks.stop)] for k in order]
        return np.concatenate(shuffled)

    def _lay_out(self, cycles):
        """Merge the image's packets with digest packets by their share, then announcements by time."""
        image = np.concatenate([self._cycle() for _ in range(cycles)])
        packets = len(image)
        chain_at, chain = [], []
        for passes, ring in (
            (URGENT_PASSES, [x for x in self.chain if x >= 0]),
            (CHAIN_PASSES, [-1] * self.chain.count(-1)),
        ):
            at = np.arange(0, packets, self.source / (passes * max(1, len(ring))))[: packets if ring else 0]
            chain_at.append(at)
            chain.append(np.array(ring, dtype=np.int64)[np.arange(len(at)) % max(1, len(ring))])
        chain_at, chain = np.concatenate(chain_at), np.concatenate(chain)
        # Level 1 goes out in step: each symbol a window before the first of the symbols whose digests it holds.
        rows = np.maximum(0, -(-(np.arange(len(self.level_1)) * self.setting.symbol - 32 * self.blocks) // 16))
        place = np.argsort(self.order)[np.minimum(rows, self.rows - 1)] - self._chunk * self._window
        digest_at = (np.arange(cycles)[:, None] * self.rows + np.sort(place % self.rows)[None]).ravel()
        digest = np.tile(np.array(self.level_1)[np.argsort(place % self.rows, kind="stable")], cycles)
        at = np.concatenate([np.arange(packets) + 0.5, chain_at, digest_at])
        what = np.concatenate([image, kind_of(chain), kind_of(digest)])
        what = what[np.argsort(at, kind="stable")]
        packet_s = (DATA_HEADER + self.setting.symbol) * 8 / self.setting.rate
        # Other releases of the same size take turns with this one.
        header_s = (DATA_HEADER + SIGNED_HEADER) * 8 / self.setting.rate * self.setting.releases
        fdt_s = FDT_BYTES * 8 / self.setting.rate
        share = header_s / self.setting.announce_s + fdt_s
        each_s = packet_s * self.setting.releases
        end_s = each_s * np.arange(1, len(what) + 1) / (1 - share)
        headers_s = np.arange(0, end_s[-1], self.setting.announce_s) + each_s / 2
        fdts_s = np.arange(0, end_s[-1], 1.0) + each_s / 2 + 1e-6
        others = (self.setting.releases - 1) * len(what)
        kinds = [what, np.full(len(headers_s), HEADER), np.full(len(fdts_s), FDT), np.full(others, FDT)]
        times = [end_s, headers_s, fdts_s, np.repeat(end_s, self.setting.releases - 1) + 1e-9]
        order = np.argsort(np.concatenate(times), kind="stable")
        self.what, self.end_s = np.concatenate(kinds)[order], np.concatenate(times)[order]
        self.span_s = float(self.end_s[-1])


def times_s(setting, own, boxes, seed, trunk=None, street=1, starts_s=None, cycles=40.0):
    """Return how long each box takes, by simulation; infinity where `cycles` cycles were not enough.

    `street` boxes in a row share what `trunk` loses, and power up together; `starts_s` is within what span boxes
    power up (None: anywhere).
    """
    rng = np.random.default_rng([seed, 77])
    carousel = Carousel(setting, seed)
    found = []
    for first in range(0, boxes, _at_once(carousel, street)):
        count = min(_at_once(carousel, street), boxes - first)
        # Who tunes in late enough to see the laid-out cycles end would hear two announcements in a row too early.
        span_s = carousel.span_s * 0.8 if starts_s is None else starts_s
        begin_s = np.repeat(rng.random(-(-count // street)) * span_s, street)[:count] % carousel.span_s
        found.append(_walk(carousel, own, trunk, street, begin_s, rng, cycles))
    return np.concatenate(found)


def _at_once(carousel, street):
    packets = 3 * carousel.rows + _announcements(carousel, 2)
    return max(street, int(CELLS_AT_ONCE / packets) // street * street)


def _walk(carousel, own, trunk, street, begin_s, rng, most_cycles):
    """Look at more and more packets, until all boxes are done."""
    first = np.searchsorted(carousel.end_s, begin_s, side="right")
    ideal = carousel.source * len(carousel.what) / np.count_nonzero(carousel.what >= 0)
    passing = (1 - own.mean) * (1 - (trunk.mean if trunk else 0.0))
    length = int(ideal / passing * 1.15 + 5 * (own.burst or 1) + 400 + _announcements(carousel, 1))
    if carousel.setting.repair < 1:
        length = int(max(length, 3 * carousel.rows))
    most = int(most_cycles * carousel.rows * len(carousel.what) / np.count_nonzero(carousel.what >= 0))
    luck = rng.random((len(begin_s), carousel.blocks))
    streets = np.arange(len(begin_s)) // street
    before, trunk_before = own.begin(len(begin_s), rng), trunk.begin(streets[-1] + 1, rng) if trunk else None
    lost, left = np.zeros((len(begin_s), 0), dtype=bool), np.arange(len(begin_s))
    done = np.full(len(begin_s), NEVER)
    while len(left):
        # Who is not done goes on with what was lost so far: drawn anew, the latest would be forgotten where few are.
        more = own.runs(before[left], length - lost.shape[1], rng)
        before[left] = more[:, -1]
        if trunk is not None:
            shared = trunk.runs(trunk_before, more.shape[1], rng)
            trunk_before = shared[:, -1]
            more |= shared[streets[left]]
        lost = np.concatenate([lost, more], axis=1)
        done[left] = _done(carousel, first[left], lost, luck[left])
        lost, left = lost[done[left] == NEVER], left[done[left] == NEVER]
        if length >= most:
            break
        length = min(most, 2 * length)
    at = np.minimum(done, length - 1) + first
    turns, place = np.divmod(at, len(carousel.what))
    taken = carousel.end_s[place] + turns * carousel.span_s - begin_s
    return np.where(done < NEVER, taken, np.inf)


def _announcements(carousel, count):
    return int(count * carousel.setting.announce_s / carousel.span_s * len(carousel.what))


def _done(carousel, first, lost, luck):
    """Return at which packet each box is done."""
    boxes, length = lost.shape
    what = carousel.what[(first[:, None] + np.arange(length, dtype=np.int64)[None]) % len(carousel.what)]
    heard = np.where((what == HEADER) & ~lost, np.arange(length, dtype=np.int32)[None], NEVER).min(axis=1)
    done = heard.copy()
    # What comes before the announcement is kept while there is room.
    bulk = ((what >= 0) | (what <= URGENT - 1000) | (what == OTHER)) & ~lost
    kept = np.cumsum(bulk, axis=1, dtype=np.int32) * (DATA_HEADER + carousel.setting.symbol) <= EARLY_BYTES
    come = bulk & (kept | (np.arange(length)[None] > heard[:, None]))
    for number in range(carousel.urgent):
        mine = come & (what == URGENT - 1000 - number)
        done = np.maximum(done, np.where(mine.any(axis=1), mine.argmax(axis=1), NEVER))
    box, place = np.nonzero(come & (what >= 0))
    got = np.full((boxes, carousel.rows), NEVER, dtype=np.int32)
    backwards = np.flip(np.stack([box, what[box, place], place]), axis=1).copy()  # the first of each is written last
    got[backwards[0], backwards[1]] = backwards[2]
    for number, size in enumerate(carousel.sizes.tolist()):
        mine = np.sort(got[:, carousel.block_of == number], axis=1)
        extra = np.minimum(np.floor(-np.log1p(-luck[:, number]) / np.log(256)).astype(np.int64), carousel.spare)
        done = np.maximum(done, mine[np.arange(boxes), size - 1 + extra])
    return done
