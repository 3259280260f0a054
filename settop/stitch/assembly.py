"""Stitch one release together: symbols in, jobs out, digests from the top down.

Theory. The signed header proves the top digest level; each level proves the symbols of the one below; level 1
proves the image, block by block and symbol by symbol. Digest levels are checked symbol by symbol, always: they
are about 1 % of what arrives. The image takes the fast path while nobody attacks: symbols are stored on trust of
their CRC, and only whole blocks are hashed. On the first block that does not match, the box turns *suspicious*:
SORT jobs part good symbols from bad in all open blocks, and from then on each symbol whose digest is known is
checked when it arrives. Symbols that an earlier run left in the store count as held, on no better word than
those off the air; so a power cut costs what it tore, and no journal is needed.

    OPEN ──K held, digest known──► HASH or DECODE ──► good: DONE
     ▲ ▲                                  │ too few: wait for one more symbol
     │ └──────────────────────────────────┤
     └── SORT, when digests are known ◄───┘ mismatch: suspicious
"""

from array import array

import numpy as np
from numpy.typing import NDArray

from carousel.flute.interleave import transmit_places
from carousel.release.blocks import IntArray
from carousel.release.digests import symbol_digest
from carousel.release.header import SignedHeader
from carousel.release.layout import ReleaseLayout
from settop.stitch.digesttree import DigestTree
from settop.stitch.events import BlockVerified, Event, ImageVerified, Suspicion
from settop.stitch.holdings import BlockState, ObjectHoldings, Placed
from settop.stitch.jobs import BlockJob, BlockResult, BlockWork, Outcome
from settop.stitch.symbols import SymbolStore

__all__ = ["Assembly"]

LOSS_SAMPLE = 64
"""Packets of each batch whose order is looked at for loss: enough to know it, too few to slow the batch down."""
LOSS_EVERY = 4
"""Of batches larger than the sample, one in so many is looked at."""
LONGEST_GAP = 16
"""A larger step in transmit order is taken for a jump of the carousel, not for loss."""


class Assembly:
    """One release on its way in."""

    def __init__(self, header: SignedHeader, store: SymbolStore, can_decode: bool) -> None:
        self.header = header
        self.layout = ReleaseLayout.of_header(header)
        self.tree = DigestTree(self.layout, header.top_sha256, store)
        self.image = ObjectHoldings(self.layout.objects[0], 0)
        self.received_symbols = 0
        self.duplicate_symbols = 0
        self.rejected_symbols = 0
        self.expected_symbols = 0
        self.lost_symbols = 0
        self.last_heard_s = 0.0
        self.suspicious = False
        self._store = store
        self._can_decode = can_decode
        self._wanted = self.image.geometry.block_sizes.copy()
        self._suspect: set[int] = set()
        self._to_sort: set[int] = set()
        self._last_place = -LONGEST_GAP
        self._batches = 0
        if store.resumed:
            self.image.hold(store.leftover_rows(), checked=False)

    # --- symbols in -------------------------------------------------------------------------------------

    def receive(self, level: int, payload_ids: IntArray, symbols: NDArray[np.void], now: float) -> int:
        """Take symbols (n, V<T>) of the image or a digest level; return how many were out of range."""
        self.last_heard_s = now
        if level:
            return self.tree.receive(level, payload_ids, symbols)
        placed = self.image.place(payload_ids)
        self._count(placed)
        if self.suspicious:
            self._receive_checked(placed, symbols)
        elif placed.new.all():
            self._store.write_image(placed.sbn, placed.esi, symbols)
            self.image.hold(placed.rows, checked=False)
        elif placed.new.any():
            new = placed.new
            self._store.write_image(placed.sbn[new], placed.esi[new], symbols[new])
            self.image.hold(placed.rows[new], checked=False)
        return int(np.count_nonzero(~placed.in_range))

    def _receive_checked(self, placed: Placed, symbols: NDArray[np.void]) -> None:
        """Store new symbols, those of known digest only if they match."""
        new = np.flatnonzero(placed.new)
        known = self.tree.knows(0, placed.sbn[new], placed.esi[new])
        for index, is_known in zip(new.tolist(), known.tolist(), strict=True):
            sbn, esi = int(placed.sbn[index]), int(placed.esi[index])
            symbol = symbols[index : index + 1]
            if is_known and symbol_digest(0, sbn, esi, symbol.tobytes()) != self.tree.digest_of(0, sbn, esi):
                self.rejected_symbols += 1
                continue
            one = slice(index, index + 1)
            self._store.write_image(placed.sbn[one], placed.esi[one], symbol)
            self.image.hold(placed.rows[one], checked=is_known)

    def _count(self, placed: Placed) -> None:
        """Count what was heard, and estimate the network's loss from gaps in the transmit order."""
        count = len(placed.rows)
        self.received_symbols += count
        self.duplicate_symbols += count - int(np.count_nonzero(placed.new))
        self._batches += 1
        if count > LOSS_SAMPLE and self._batches % LOSS_EVERY:
            return
        some = slice(LOSS_SAMPLE) if placed.in_range.all() else slice(0)
        places = transmit_places(self.image.geometry, placed.sbn[some], placed.esi[some])
        steps = np.diff(places, prepend=self._last_place)
        self._last_place = int(places[-1]) if len(places) == count else -LONGEST_GAP
        near = steps[(steps > 0) & (steps <= LONGEST_GAP)]
        self.expected_symbols += int(near.sum())
        self.lost_symbols += int(near.sum()) - near.size

    # --- jobs out ---------------------------------------------------------------------------------------

    def next_job(self) -> BlockJob | None:
        """Return the most useful job that can run now; its block is BUSY until `finish_job`."""
        for find in (self._block_job, self._sort_job, self._level_job):
            job = find()
            if job is not None:
                return job
        return None

    def _block_job(self) -> BlockJob | None:
        image = self.image
        ripe = (image.state == BlockState.OPEN) & (image.held_in_block >= self._wanted)
        for sbn in np.flatnonzero(ripe).tolist():
            expected = self.tree.block_digest(sbn)
            if expected is None or not self._is_trusted_enough(sbn):
                continue
            is_whole = image.has_all_source(sbn)
            if not (is_whole or self._can_decode) or not self._store.flush_image(sbn):
                continue
            if is_whole:
                return self._start(BlockWork.HASH, sbn, expected=expected)
            esis = self._esis_to_decode(image, sbn, int(self._wanted[sbn]))
            return self._start(BlockWork.DECODE, sbn, expected=expected, esis=esis)
        return None

    def _is_trusted_enough(self, sbn: int) -> bool:
        """Say whether a block is worth trying: a suspect one only with enough proven symbols."""
        if sbn not in self._suspect:
            return True
        rows = self.image.geometry.block_rows(sbn)
        return bool(np.count_nonzero(self.image.checked[rows]) >= self._wanted[sbn])

    def _esis_to_decode(self, holdings: ObjectHoldings, sbn: int, count: int) -> bytes:
        """Return which symbols to decode from: source symbols first, proven ones only in a suspect block."""
        rows = holdings.geometry.block_rows(sbn)
        proven_only = holdings is not self.image or sbn in self._suspect
        usable = holdings.checked[rows] if proven_only else holdings.held[rows]
        return array("L", np.flatnonzero(usable)[:count].tolist()).tobytes()

    def _sort_job(self) -> BlockJob | None:
        for sbn in sorted(self._to_sort):
            if self.image.state[sbn] != BlockState.OPEN:
                continue
            digests = self.tree.symbol_digests_of_block(sbn)
            if digests is None or not self._store.flush_image(sbn):
                continue
            self._to_sort.discard(sbn)
            rows = self.image.geometry.block_rows(sbn)
            unproven = self.image.held[rows] & ~self.image.checked[rows]
            esis = array("L", np.flatnonzero(unproven).tolist()).tobytes()
            return self._start(BlockWork.SORT, sbn, digests=digests, esis=esis)
        return None

    def _level_job(self) -> BlockJob | None:
        """Complete digest levels, but only where symbols will be judged by themselves."""
        if not (self._can_decode and (self.suspicious or self._to_sort)):
            return None
        found = self.tree.decodable()
        if found is None:
            return None
        level, sbn = found
        holdings = self.tree.holdings(level)
        esis = self._esis_to_decode(holdings, sbn, int(holdings.geometry.block_sizes[sbn]) + 2)
        return self._start(BlockWork.DECODE, sbn, level=level, esis=esis)

    def _start(
        self,
        work: BlockWork,
        sbn: int,
        level: int = 0,
        expected: bytes | None = None,
        esis: bytes = b"",
        digests: bytes = b"",
    ) -> BlockJob:
        holdings = self.tree.holdings(level) if level else self.image
        geometry = holdings.geometry
        size = int(geometry.block_sizes[sbn])
        holdings.state[sbn] = BlockState.BUSY
        return BlockJob(
            work=work,
            release=self.header.release_id,
            level=level,
            sbn=sbn,
            symbol_size=geometry.symbol_size,
            source_row=holdings.first_row + int(geometry.first_rows[sbn]),
            source_symbols=size,
            repair_row=holdings.first_row + geometry.source_symbols + sbn * geometry.repair_per_block,
            esis=esis,
            expected=expected,
            digests=digests,
            afresh=self.suspicious,
        )

    # --- results in -------------------------------------------------------------------------------------

    def finish_job(self, result: BlockResult) -> list[Event]:
        """Take what came of a job."""
        job = result.job
        if job.level:
            return self._finish_level(result)
        self.image.state[job.sbn] = BlockState.OPEN
        if job.work is BlockWork.SORT:
            return self._finish_sort(result)
        if result.outcome is Outcome.GOOD:
            return self._finish_block(job.sbn)
        if result.outcome is Outcome.TOO_FEW:
            if job.work is BlockWork.DECODE:
                self._want_one_more(job.sbn)
            return []
        return self._finish_mismatch(job)

    def _want_one_more(self, sbn: int) -> None:
        """K symbols do not decode once in 200 times; but never want more than there are."""
        size = int(self.image.geometry.block_sizes[sbn])
        most = size + self.image.geometry.repair_per_block
        wanted = int(self._wanted[sbn]) + 1
        self._wanted[sbn] = wanted if wanted <= most else size

    def _finish_block(self, sbn: int) -> list[Event]:
        self.image.finish(sbn)
        self._to_sort.discard(sbn)
        events: list[Event] = [BlockVerified(self.header.release_id, sbn)]
        if self.is_verified:
            events.append(ImageVerified(self.header))
        return events

    def _finish_mismatch(self, job: BlockJob) -> list[Event]:
        """Sort a block that failed, and be suspicious of all others."""
        self._to_sort.add(job.sbn)
        self._suspect.add(job.sbn)
        if self.suspicious:
            return []
        self.suspicious = True
        self._to_sort.update(np.flatnonzero(self.image.state == BlockState.OPEN).tolist())
        return [Suspicion(self.header.release_id, job.sbn)]

    def _finish_sort(self, result: BlockResult) -> list[Event]:
        """Keep the symbols that proved good, drop those that were held and did not."""
        job, image = result.job, self.image
        rows = image.geometry.block_rows(job.sbn)
        judged = np.zeros(len(rows), dtype=np.bool_)
        judged[np.array(array("L", job.esis), dtype=np.int64)] = True
        good = np.zeros(len(rows), dtype=np.bool_)
        good[np.array(array("L", result.good_esis), dtype=np.int64)] = True
        held = image.held[rows]
        image.drop(rows[judged & ~good & held])
        image.hold(rows[good & ~held], checked=True)
        image.checked[rows[good]] = True
        self.rejected_symbols += int(np.count_nonzero(judged & ~good & held))
        return []

    def _finish_level(self, result: BlockResult) -> list[Event]:
        job = result.job
        holdings = self.tree.holdings(job.level)
        holdings.state[job.sbn] = BlockState.OPEN
        if result.outcome is Outcome.GOOD:
            self.tree.finish_block(job.level, job.sbn)
        return []

    # --- where it stands --------------------------------------------------------------------------------

    @property
    def is_verified(self) -> bool:
        """Whether every block of the image is proven."""
        return self.image.done_blocks == self.image.geometry.blocks

    @property
    def is_sated(self) -> bool:
        """Whether all symbols that are needed seem to be there, and only work is left."""
        if self.suspicious or self.tree.block_digest(self.image.geometry.blocks - 1) is None:
            return False
        enough = (self.image.held_in_block >= self._wanted) | (self.image.state == BlockState.DONE)
        can_finish = self._can_decode or bool(self.image.held[: self.needed_symbols].all())
        return can_finish and bool(enough.all())

    @property
    def needed_symbols(self) -> int:
        """The image's source symbols."""
        return self.image.geometry.source_symbols

    @property
    def useful_symbols(self) -> int:
        """How many of the needed symbols the box has, in effect: no block counts for more than its K."""
        sizes = self.image.geometry.block_sizes
        done = self.image.state == BlockState.DONE
        return int(np.where(done, sizes, np.minimum(self.image.held_in_block, sizes)).sum())

    @property
    def loss(self) -> float:
        """The share of packets that the network lost, seen from gaps in the transmit order."""
        return self.lost_symbols / self.expected_symbols if self.expected_symbols else 0.0
