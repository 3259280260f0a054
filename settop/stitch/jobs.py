"""The work that is dear: hashing, decoding and sorting one source block, and writing tiles of symbols.

The receiver hands out `BlockJob`s and takes `BlockResult`s; who runs them is the driver's business: processes of
their own on a box (settop/work/workers.py), the same thread in a simulation. While a job runs, the receiver writes no
row of its block. `TileJob`s come from the part file, and hash what they write while it is in the cache. This
module stays light, for the workers load it: no NumPy.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from carousel import fec
from carousel.release.digests import SYMBOL_DIGEST_BYTES, BlockHash, symbol_digest
from carousel.release.identity import ReleaseId

__all__ = ["BlockJob", "BlockResult", "BlockWork", "BlockWorkshop", "Outcome", "TileJob"]


Write = Callable[[memoryview, int], object]
"""Write bytes at an offset of the part file."""


class BlockWork(Enum):
    """What to do with a block."""

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

    HASH goes on where the tiles left off, unless it is `afresh`: then it trusts the file alone.
    """

    work: BlockWork
    release: ReleaseId
    level: int
    sbn: int
    symbol_size: int
    source_row: int
    source_symbols: int
    repair_row: int
    esis: bytes = b""
    expected: bytes | None = None
    digests: bytes = b""
    afresh: bool = False

    def offset_of(self, esi: int) -> int:
        """Return where the symbol lies in the release's bytes."""
        if esi < self.source_symbols:
            return (self.source_row + esi) * self.symbol_size
        return (self.repair_row + esi - self.source_symbols) * self.symbol_size


@dataclass(frozen=True, slots=True)
class TileJob:
    """Write runs of symbols from a release's tiles (tiles.py) into its part file.

    The tiles lie in shared memory, from `memory_offset` on. `runs` is an array("L") as bytes: (SBN, first ESI,
    place in the tiles in bytes, row in the file, symbols) of each.
    """

    release: ReleaseId
    part: int
    memory_offset: int
    symbol_size: int
    is_source: bool
    runs: bytes

    def of_tiles(self, tiles: memoryview) -> Iterator[tuple[int, int, int, memoryview]]:
        """Yield (SBN, first ESI, offset in the file in bytes, bytes) of each run."""
        numbers, size = iter(array("L", self.runs)), self.symbol_size
        for sbn, esi, place, row, count in zip(numbers, numbers, numbers, numbers, numbers, strict=True):
            yield sbn, esi, row * size, tiles[place : place + count * size]


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What came of a job; `good_esis` (an array("L") as bytes) for SORT."""

    job: BlockJob
    outcome: Outcome
    good_esis: bytes = b""


class BlockWorkshop:
    """Runs jobs; keeps the hashes of blocks that tiles have begun."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[ReleaseId, int], tuple[int, BlockHash]] = {}

    def run(self, job: BlockJob, memory: memoryview) -> BlockResult:
        """Do a job on the bytes of its release (`memory`, writable)."""
        if job.work is BlockWork.HASH:
            return self._hash(job, memory)
        if job.work is BlockWork.DECODE:
            return _decode(job, memory)
        return _sort(job, memory)

    def write_tile(self, job: TileJob, tiles: memoryview, write: Write) -> None:
        """Write a tile, and take on the hash of each block whose source symbols go on in it."""
        for sbn, esi, offset, run in job.of_tiles(tiles):
            write(run, offset)
            done, state = self._hashes.get((job.release, sbn), (0, None))
            if job.is_source and esi == done:
                state = state or BlockHash()
                state.update(run)
                self._hashes[job.release, sbn] = (done + len(run) // job.symbol_size, state)

    def _hash(self, job: BlockJob, memory: memoryview) -> BlockResult:
        done, state = self._hashes.pop((job.release, job.sbn), (0, None))
        if state is None or job.afresh:
            done, state = 0, BlockHash()
        state.update(memory[job.offset_of(done) : job.offset_of(0) + job.source_symbols * job.symbol_size])
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
    if job.expected is not None and BlockHash(block).digest() != job.expected:
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
