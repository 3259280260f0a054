"""The work that is dear: hashing, decoding and sorting one source block. Pure functions of a release's bytes.

The receiver hands out `BlockJob`s and takes `BlockResult`s; who runs them is the driver's business: processes of
their own on a box (settop/workers.py), the same thread in a simulation. While a job runs, the receiver writes no
row of its block. This module stays light, for the workers load it: no NumPy.
"""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from carousel import fec
from carousel.digests import SYMBOL_DIGEST_BYTES, symbol_digest

__all__ = ["BlockJob", "BlockResult", "BlockWork", "BlockWorkshop", "Outcome"]


class BlockWork(Enum):
    """What to do with a block."""

    PREHASH = "prehash"
    """Hash source symbols of many blocks as far as they came in order, so that little is left at the end."""
    HASH = "hash"
    """Compare the digest of a block whose source symbols are all there."""
    DECODE = "decode"
    """Recover a block, compare its digest where one is expected, write it back."""
    SORT = "sort"
    """Tell good symbols from bad by their own digests."""


class Outcome(Enum):
    """How a job ended."""

    GOOD = "good"
    MISMATCH = "mismatch"
    TOO_FEW = "too few"


@dataclass(frozen=True, slots=True)
class BlockJob:
    """One job. Rows are the release's; arrays are array("L") as bytes.

    HASH goes on behind source symbol `start`, where PREHASH left off. PREHASH itself has no block of its own
    but `spans`: (SBN, first source row, start, until) of each block that it takes on.
    """

    work: BlockWork
    toi_base: int
    level: int
    sbn: int
    symbol_size: int
    source_row: int
    source_symbols: int
    repair_row: int
    esis: bytes = b""
    expected: bytes | None = None
    digests: bytes = b""
    start: int = 0
    spans: bytes = b""

    def offset_of(self, esi: int) -> int:
        """Return where the symbol lies in the release's bytes."""
        if esi < self.source_symbols:
            return (self.source_row + esi) * self.symbol_size
        return (self.repair_row + esi - self.source_symbols) * self.symbol_size


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What came of a job; `good_esis` (an array("L") as bytes) for SORT."""

    job: BlockJob
    outcome: Outcome
    good_esis: bytes = b""


class BlockWorkshop:
    """Runs jobs; keeps the unfinished hashes of PREHASH."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[int, int], tuple[int, hashlib._Hash]] = {}

    def run(self, job: BlockJob, memory: memoryview) -> BlockResult:
        """Do a job on the bytes of its release (`memory`, writable)."""
        if job.work is BlockWork.PREHASH:
            return self._prehash(job, memory)
        if job.work is BlockWork.HASH:
            return self._hash(job, memory)
        if job.work is BlockWork.DECODE:
            return _decode(job, memory)
        return _sort(job, memory)

    def _hash_on(
        self, job: BlockJob, memory: memoryview, sbn: int, source_row: int, start: int, until: int
    ) -> "hashlib._Hash":
        """Hash a block up to `until`, from `start` if that is where its hash stands, else from 0."""
        done, state = self._hashes.pop((job.toi_base, sbn), (0, None))
        if state is None or done != start:
            done, state = 0, hashlib.sha256()
        size = job.symbol_size
        state.update(memory[(source_row + done) * size : (source_row + until) * size])
        return state

    def _prehash(self, job: BlockJob, memory: memoryview) -> BlockResult:
        spans = iter(array("L", job.spans))
        for sbn, source_row, start, until in zip(spans, spans, spans, spans, strict=True):
            state = self._hash_on(job, memory, sbn, source_row, start, until)
            self._hashes[job.toi_base, sbn] = (until, state)
        return BlockResult(job, Outcome.GOOD)

    def _hash(self, job: BlockJob, memory: memoryview) -> BlockResult:
        state = self._hash_on(job, memory, job.sbn, job.source_row, job.start, job.source_symbols)
        return BlockResult(job, Outcome.GOOD if state.digest() == job.expected else Outcome.MISMATCH)


def _numbered_symbols(job: BlockJob, memory: memoryview) -> Iterator[tuple[int, bytes]]:
    for esi in array("L", job.esis):
        start = job.offset_of(esi)
        yield esi, bytes(memory[start : start + job.symbol_size])


def _decode(job: BlockJob, memory: memoryview) -> BlockResult:
    """Recover a block. Only what is missing is written: a page touched first costs more than its bytes."""
    size, symbol_size = job.source_symbols * job.symbol_size, job.symbol_size
    block = fec.decode_block(size, symbol_size, _numbered_symbols(job, memory))
    if block is None:
        return BlockResult(job, Outcome.TOO_FEW)
    if job.expected is not None and hashlib.sha256(block).digest() != job.expected:
        return BlockResult(job, Outcome.MISMATCH)
    origin = job.offset_of(0)
    for esi in set(range(job.source_symbols)).difference(array("L", job.esis)):
        start = esi * symbol_size
        memory[origin + start : origin + start + symbol_size] = block[start : start + symbol_size]
    return BlockResult(job, Outcome.GOOD)


def _sort(job: BlockJob, memory: memoryview) -> BlockResult:
    good = array("L")
    for esi, symbol in _numbered_symbols(job, memory):
        at = SYMBOL_DIGEST_BYTES * esi
        if symbol_digest(job.level, job.sbn, esi, symbol) == job.digests[at : at + SYMBOL_DIGEST_BYTES]:
            good.append(esi)
    return BlockResult(job, Outcome.GOOD, good.tobytes())
