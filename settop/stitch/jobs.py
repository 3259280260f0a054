"""The dear work: to hash, decode and sort one source block. The receiver hands out jobs and takes their results.

A job carries its landing by reference and works on the symbols where they lie; who runs it is the driver's business:
threads on a box (settop/work), the same thread in a simulation. While a job runs its block wants no symbols, so
nobody writes to its rows.
"""

import hashlib
from collections.abc import Iterator
from enum import Enum
from itertools import chain

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.distinct import distinct
from carousel.fec import Codec, Draft
from carousel.frozen import Frozen
from carousel.release.digests import BlockHash, symbol_digests
from carousel.release.identity import ReleaseId
from carousel.take import Landing

__all__ = [
    "DecodeJob",
    "DraftJob",
    "Finding",
    "FinishJob",
    "HashJob",
    "Job",
    "JobResult",
    "LeaveOutJob",
    "Present",
    "SortJob",
    "WholeJob",
    "run_job",
]


NO_ESIS = np.empty(0, dtype=np.int64)


class Finding(Enum):
    """How a job ended."""

    GOOD = "good"
    MISMATCH = "mismatch"
    TOO_FEW = "too few"
    FAILED = "failed"
    """It raised; nothing is known of the block."""


class Present(Frozen, eq=False):
    """What a block can be worked from: ESIs of missing source symbols, slots and ESIs of repair symbols."""

    missing: IntArray
    slots: IntArray
    esis: IntArray

    def without(self, sources: IntArray, repairs: IntArray) -> "Present":
        """Leave out source symbols by their ESIs, and repair symbols by their index."""
        kept = np.ones(len(self.slots), dtype=np.bool_)
        kept[repairs] = False
        return Present(distinct(np.concatenate([self.missing, sources])), self.slots[kept], self.esis[kept])


class Job(Frozen, eq=False):
    """One job on one block."""

    release: ReleaseId
    level: int
    sbn: int
    landing: Landing

    def run(self, codec: Codec) -> "JobResult":
        """Do it."""
        raise NotImplementedError

    @property
    def block(self) -> Bytes:
        """The rows of the block's source symbols."""
        return self.landing.block(self.sbn)


class JobResult(Frozen, eq=False):
    """What came of a job."""

    job: Job
    finding: Finding
    bad_esis: IntArray = NO_ESIS
    """Symbols that proved to be forged."""
    error: str = ""
    draft: Draft | None = None


class HashJob(Job):
    """Compare the digest of a block whose source symbols are all there."""

    expected: bytes

    def run(self, codec: Codec) -> JobResult:
        """Hash."""
        return JobResult(self, Finding.GOOD if _digest(self.block) == self.expected else Finding.MISMATCH)


class DecodeJob(Job):
    """Recover a block in place; compare its digest, where one is expected."""

    expected: bytes | None
    present: Present

    def run(self, codec: Codec) -> JobResult:
        """Decode. Only rows that are not held are written, so a mismatch loses nothing."""
        if not _decode(codec, self.landing, self.block, self.present):
            return JobResult(self, Finding.TOO_FEW)
        is_good = self.expected is None or _digest(self.block) == self.expected
        return JobResult(self, Finding.GOOD if is_good else Finding.MISMATCH)


class DraftJob(Job):
    """Decode a block but for symbols that are still to come; symbols that are `coming` may land meanwhile."""

    present: Present
    coming: IntArray

    def run(self, codec: Codec) -> JobResult:
        """Draft."""
        draft = codec.draft(*_given(self.landing, self.block, self.present), self.coming)
        return JobResult(self, Finding.TOO_FEW if draft is None else Finding.GOOD, draft=draft)


class FinishJob(Job):
    """Finish a drafted block by what came late: ESIs, and rows of `repair` for those of repair symbols."""

    expected: bytes
    draft: Draft
    late_rows: IntArray
    late_esis: IntArray

    def run(self, codec: Codec) -> JobResult:
        """Finish, and compare the digest. Rows that are not held are written, and no others."""
        flat, repair = self.block.reshape(-1), self.landing.repair.reshape(-1)
        if not self.draft.finish(flat, repair, self.late_rows, self.late_esis):
            return JobResult(self, Finding.TOO_FEW)
        return JobResult(self, Finding.GOOD if _digest(self.block) == self.expected else Finding.MISMATCH)


class LeaveOutJob(Job):
    """Recover a block of which some symbols are forged, nobody knows which: leave out these, then those.

    First what the code itself finds wrong, then `parts` of the doubted symbols in turn, each a pair (ESIs of source
    symbols, indices of repair symbols). The block's digest decides; nothing is believed on the code's word.
    """

    expected: bytes
    present: Present
    parts: tuple[tuple[IntArray, IntArray], ...]

    def run(self, codec: Codec) -> JobResult:
        """Decode a copy, part after part, until one is right."""
        block = self.block
        copy = block.copy()
        for sources, repairs in chain(self._found(codec), self.parts):
            if not _decode(codec, self.landing, copy, self.present.without(sources, repairs)):
                continue
            if _digest(copy) == self.expected:
                changed = np.flatnonzero((copy != block).any(axis=1))
                block[changed] = copy[changed]
                return JobResult(self, Finding.GOOD, changed[np.isin(changed, sources)])
            copy[sources] = block[sources]
        return JobResult(self, Finding.MISMATCH)

    def _found(self, codec: Codec) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the symbols that the code finds wrong, if it can tell."""
        present = self.present
        wrong = codec.find_wrong(*_given(self.landing, self.block, present))
        if wrong:
            esis = np.array(wrong)
            yield esis[esis < len(self.block)], np.flatnonzero(np.isin(present.esis, esis))


class SortJob(Job):
    """Tell good symbols from bad by their own digests, which are known."""

    esis: IntArray
    rows: Bytes
    """The symbols, copied, in the order of `esis`."""
    digests: Bytes
    """The same of their digests."""

    def run(self, codec: Codec) -> JobResult:
        """Hash symbol by symbol."""
        found = symbol_digests(self.level, np.full(len(self.esis), self.sbn), self.esis, self.rows)
        return JobResult(self, Finding.GOOD, self.esis[(found != self.digests).any(axis=1)])


class WholeJob(Job):
    """Compare the SHA-256 of a whole image, of which nothing else is known: no digest came."""

    expected: bytes
    size_bytes: int

    def run(self, codec: Codec) -> JobResult:
        """Hash."""
        image = self.landing.source.reshape(-1)[: self.size_bytes]
        found = hashlib.sha256(image.data).digest()
        return JobResult(self, Finding.GOOD if found == self.expected else Finding.MISMATCH)


def run_job(job: Job, codec: Codec) -> JobResult:
    """Run a job; whatever it raises becomes its finding, so that no block is ever lost."""
    try:
        return job.run(codec)
    except Exception as error:
        return JobResult(job, Finding.FAILED, error=f"{type(error).__name__}: {error}")


def _digest(block: Bytes) -> bytes:
    return BlockHash(block.data).digest()


def _given(landing: Landing, block: Bytes, present: Present) -> tuple[Bytes, int, IntArray, Bytes, IntArray, IntArray]:
    """Return what a codec works from, as `Codec.decode` takes it."""
    size, repair = landing.geometry.symbol_size, landing.repair.reshape(-1)
    return block.reshape(-1), size, present.missing, repair, present.slots, present.esis


def _decode(codec: Codec, landing: Landing, block: Bytes, present: Present) -> bool:
    return not len(present.missing) or codec.decode(*_given(landing, block, present))
