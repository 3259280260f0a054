"""Stitch one release together: symbols in, jobs out, digests from the top down.

Theory. The signed header proves the top digest level; each level proves the symbols of the one below; level 1
proves the image, block by block and symbol by symbol. Digest levels are checked symbol by symbol, always: they
are about 1 % of what arrives. The image takes the fast path while nobody attacks: symbols are held on trust of
their CRC, and only whole blocks are hashed. What happens when a block does not match is told in suspicion.py.
Symbols that an earlier run left count as held, on no better word than those off the air; so a power cut costs what it
tore, and no journal is needed.

    OPEN ──full, digest known──► HASH, DECODE or LEAVE OUT ──► good: DONE
     ▲ ▲                              │ too few: wait for one more symbol
     │ └──────────────────────────────┤ failed: try again, then afresh
     └── more symbols, SORT ◄─────────┘ mismatch: drop what was left over, else suspicion; more, or proven ones
"""

import numpy as np

from carousel.release.header import SignedHeader
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing
from settop.events import BlockVerified, Event, Suspicion
from settop.stitch.digesttree import DigestTree
from settop.stitch.drafts import MOST_DRAFT_BYTES, Drafts, Late
from settop.stitch.holdings import BlockState, Holdings
from settop.stitch.jobs import (
    DecodeJob,
    DraftJob,
    Finding,
    FinishJob,
    HashJob,
    Job,
    JobResult,
    LeaveOutJob,
    SortJob,
    WholeJob,
)
from settop.stitch.proof import ImageProof
from settop.stitch.seam import Symbols
from settop.stitch.suspicion import Inquiry

__all__ = ["MOST_DIGESTS_WAITING", "Assembly"]

MAX_ATTEMPTS = 3
"""A job that fails is tried so often; then its block begins afresh."""
MOST_DIGESTS_WAITING = 16
"""Wake-ups with digest symbols that are not judged yet."""


class Assembly:
    """One release on its way in. `landings[i]` has the memory and marks of level i, restored if `resumed`."""

    def __init__(
        self,
        header: SignedHeader,
        layout: ReleaseLayout,
        landings: list[Landing],
        resumed: bool,
        can_decode: bool,
        most_draft_bytes: int = MOST_DRAFT_BYTES,
    ) -> None:
        self.header = header
        self.layout = layout
        self.landings = landings
        self.image = Holdings(landings[0])
        self.tree = DigestTree(layout, header.top_sha256, landings)
        self.inquiry = Inquiry(self.image, self.tree, can_decode)
        self.drafts = Drafts(self.image, most_draft_bytes if can_decode else 0)
        self.failed_jobs = 0
        self._can_decode = can_decode
        self._full: set[int] = set()
        self._is_whole_wrong = False
        self._attempts: dict[tuple[int, int], int] = {}
        self._events: list[Event] = []
        self._leftover = landings[0].held != 0
        self._digests: list[Symbols] = []
        if resumed:
            self.tree.resume()
            self._full.update(np.flatnonzero(landings[0].wanted <= 0).tolist())

    # --- symbols in -------------------------------------------------------------------------------------

    def take(self, symbols: Symbols) -> bool:
        """Take note of symbols that have landed; say whether any were dropped as forged: rows are free again."""
        rejected = self.rejected_symbols
        self._take(symbols)
        return self.rejected_symbols > rejected

    def _take(self, symbols: Symbols) -> None:
        if symbols.level:
            self._digests.append(symbols)
            if self.inquiry.is_open or len(self._digests) > MOST_DIGESTS_WAITING or not self.tree.has_all_block_digests:
                self._judge_digests()
            return
        self._full.update(symbols.filled)
        self.drafts.heard(symbols.rows)
        if self.inquiry.is_open:
            self._full.update(self.inquiry.judge(symbols.rows))
            self.inquiry.make_room()
        elif self.inquiry.is_sample_due(len(symbols.rows)):
            self._judge_digests()
            if self.inquiry.sample(symbols.rows):
                self._suspect(int(self.image.geometry.symbols_of(symbols.rows[:1])[0][0]))

    def _judge_digests(self) -> None:
        """Judge digest symbols. While nobody is suspected they wait for the next sample: few at a time cost as much."""
        waiting, self._digests = self._digests, []
        if not waiting:
            return
        for level in sorted({symbols.level for symbols in waiting}, reverse=True):
            self.tree.take(level, np.concatenate([symbols.rows for symbols in waiting if symbols.level == level]))
        if self.tree.forged_symbols:
            self._suspect(0)
        if self.inquiry.is_open:
            self._full.update(self.inquiry.learn())

    def _suspect(self, sbn: int) -> None:
        """Be suspicious from now on, and tell it with the next job's events."""
        if not self.inquiry.is_open:
            self.inquiry.begin()
            self.drafts.end_all()
            self._events.append(Suspicion(self.header.release_id, sbn))
            self._judge_digests()

    # --- jobs out ---------------------------------------------------------------------------------------

    def next_job(self) -> Job | None:
        """Return the most useful job that can run now; its block is BUSY until `finish_job`."""
        return self._sort_job() or self._block_job() or self._level_job() or self._whole_job() or self._draft_job()

    def _block_job(self) -> Job | None:
        for sbn in sorted(self._full):
            if self.image.state[sbn] == BlockState.BUSY or self.drafts.is_under_way(sbn):
                continue
            late = self.drafts.take(sbn)
            if not self.inquiry.is_ready(sbn):
                self._full.discard(sbn)
                continue
            expected = self.tree.block_digest(sbn)
            if expected is None:
                continue
            self._full.discard(sbn)
            job = self._job_of(sbn, expected, late)
            self.image.begin(sbn)
            return job
        return None

    def _job_of(self, sbn: int, expected: bytes, late: Late | None) -> Job:
        where = (self.header.release_id, 0, sbn, self.landings[0])
        if late is not None and not self.inquiry.is_open:
            return FinishJob(*where, expected, *late)
        present = self.image.present(sbn, proven_only=self.inquiry.needs_proof(sbn))
        if self.inquiry.is_doubted(sbn) and self._can_decode:
            return LeaveOutJob(*where, expected, present, self.inquiry.parts(sbn, present))
        if not len(present.missing):
            return HashJob(*where, expected)
        return DecodeJob(*where, expected, present)

    def _sort_job(self) -> Job | None:
        found = self.inquiry.next_to_sort()
        if found is None:
            return None
        sbn, rows, esis = found
        digests = self.tree.digests(0, np.full(len(esis), sbn), esis)
        job = SortJob(self.header.release_id, 0, sbn, self.landings[0], esis, self.image.symbols(rows), digests)
        self.image.begin(sbn)
        return job

    def _level_job(self) -> Job | None:
        """Complete digest levels, but only where symbols will be judged by themselves."""
        if not (self._can_decode and self.inquiry.is_open):
            return None
        found = self.tree.decodable()
        if found is None:
            return None
        level, sbn = found
        holdings = self.tree.holdings(level)
        present = holdings.present(sbn, proven_only=True)
        holdings.begin(sbn)
        return DecodeJob(self.header.release_id, level, sbn, self.landings[level], None, present)

    def _whole_job(self) -> Job | None:
        """Prove an image whole that came without its digests: a transport may lose them on the way."""
        image, landing = self.image, self.landings[0]
        if len(self._full) < image.geometry.blocks or self.tree.has_all_block_digests or self._is_whole_wrong:
            return None
        if (landing.source_held < landing.block_sizes).any() or (image.state != BlockState.OPEN).any():
            return None
        self._full.clear()
        for sbn in range(image.geometry.blocks):
            image.begin(sbn)
        return WholeJob(self.header.release_id, 0, 0, landing, self.header.image_sha256, self.header.image_size)

    def _draft_job(self) -> Job | None:
        """Decode ahead, of blocks that are nearly full: what they lack will come from where it is expected."""
        if self.inquiry.is_open or not self.tree.has_all_block_digests:
            return None
        found = self.drafts.begin()
        return found and DraftJob(self.header.release_id, 0, found[0], self.landings[0], *found[1:])

    # --- results in -------------------------------------------------------------------------------------

    def finish_job(self, result: JobResult) -> list[Event]:
        """Take what came of a job."""
        events, self._events = self._events, []
        if isinstance(result.job, DraftJob):
            self.drafts.made(result.job.sbn, None if self.inquiry.is_open else result.draft)
            return events
        return events + self._finish(result)

    def _finish(self, result: JobResult) -> list[Event]:
        job = result.job
        if isinstance(job, WholeJob):
            return self._finish_whole(result)
        if result.finding is Finding.FAILED:
            self._finish_failed(job)
            return []
        self._attempts.pop((job.level, job.sbn), None)
        if job.level:
            self._finish_level(result)
            return []
        self.image.end(job.sbn)
        if isinstance(job, SortJob):
            self._finish_sort(job, result)
        elif result.finding is Finding.GOOD:
            return self._finish_block(job.sbn, result)
        elif isinstance(job, FinishJob):
            self._full.add(job.sbn)  # it has no draft any more, and is decoded
        elif result.finding is Finding.TOO_FEW:
            self._finish_too_few(job.sbn)
        else:
            return self._finish_mismatch(job.sbn)
        return []

    def _finish_failed(self, job: Job) -> None:
        """Try a block again for which a job raised: a few times, then from the beginning; it is never lost."""
        self.failed_jobs += 1
        holdings = self.tree.holdings(job.level) if job.level else self.image
        holdings.end(job.sbn)
        place = (job.level, job.sbn)
        self._attempts[place] = self._attempts.get(place, 0) + 1
        if self._attempts[place] >= MAX_ATTEMPTS:
            del self._attempts[place]
            holdings.discard(holdings.held_rows(job.sbn))
        elif not job.level:
            self._full.add(job.sbn)

    def _finish_level(self, result: JobResult) -> None:
        job = result.job
        if result.finding is Finding.GOOD:
            self.tree.finish_block(job.level, job.sbn)
            self._full.update(self.inquiry.learn())
        else:
            self.tree.holdings(job.level).end(job.sbn)

    def _finish_sort(self, job: SortJob, result: JobResult) -> None:
        """Keep the symbols that proved good, drop those that did not."""
        rows = self.image.geometry.row_of(np.full(len(job.esis), job.sbn), job.esis)
        is_bad = np.isin(job.esis, result.bad_esis)
        self.image.proven[rows[~is_bad]] = True
        self.inquiry.sorted_out(job.sbn, rows[is_bad])
        self._full.add(job.sbn)

    def _finish_block(self, sbn: int, result: JobResult) -> list[Event]:
        self.inquiry.finish(result.bad_esis)
        self.image.finish(sbn)
        return [BlockVerified(self.header.release_id, sbn)]

    def _finish_whole(self, result: JobResult) -> list[Event]:
        """Take an image as proven, or begin afresh where no digest tells which symbol is to blame."""
        blocks = range(self.image.geometry.blocks)
        if result.finding is Finding.GOOD:
            return [event for sbn in blocks for event in self._finish_block(sbn, result)]
        for sbn in blocks:
            self.image.end(sbn)
            if self.tree.proven_symbols:  # then the other digests will come, too
                self._is_whole_wrong = True
                self._full.add(sbn)
            else:
                self.image.discard(self.image.held_rows(sbn))
        return []

    def _finish_too_few(self, sbn: int) -> None:
        """Want one more: K symbols do not decode once in 200 times. Where there is none, begin the block afresh."""
        if self.inquiry.needs_proof(sbn):
            self.inquiry.too_few(sbn)
        elif not self.image.want_more(sbn, 1):
            self.image.discard(self.image.held_rows(sbn))

    def _finish_mismatch(self, sbn: int) -> list[Event]:
        """Drop what an earlier run left of this block; where nothing was left, somebody forges."""
        rows = self.image.held_rows(sbn)
        leftover = rows[self._leftover[rows] & ~self.image.proven[rows]]
        self._full.add(sbn)
        if len(leftover) and not self.inquiry.needs_proof(sbn):
            self._leftover[leftover] = False
            self.image.discard(leftover)
            return []
        self._suspect(sbn)
        self.inquiry.mismatch(sbn)
        events, self._events = self._events, []
        return events

    # --- where it stands --------------------------------------------------------------------------------

    @property
    def is_verified(self) -> bool:
        """Whether every block of the image is proven."""
        return self.image.done_blocks == self.image.geometry.blocks

    def proof(self) -> ImageProof | None:
        """Return what the image must read back as; None if it came without its digests, and was proven whole."""
        geometry = self.image.geometry
        digests = [self.tree.block_digest(sbn) for sbn in range(geometry.blocks)]
        known = tuple(digest for digest in digests if digest is not None)
        return ImageProof(geometry, known) if len(known) == geometry.blocks else None

    @property
    def is_sated(self) -> bool:
        """Whether all symbols that are needed seem to be there, and only work is left."""
        wants_no_more = not self.inquiry.is_open and not self.landings[0].wanted.any()
        return wants_no_more and self.tree.has_all_block_digests

    @property
    def rejected_symbols(self) -> int:
        """Forged symbols found so far, of all levels."""
        return self.inquiry.rejected_symbols + self.tree.forged_symbols

    @property
    def proven_symbols(self) -> int:
        """Proven symbols of all levels: progress that nobody can feign."""
        return self.tree.proven_symbols + int(np.count_nonzero(self.image.proven))

    @property
    def needed_symbols(self) -> int:
        """The image's source symbols."""
        return self.image.geometry.source_symbols

    @property
    def useful_symbols(self) -> int:
        """How many of the needed symbols the box has, in effect."""
        return self.image.useful_symbols
