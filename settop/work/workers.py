"""Block jobs in processes of their own.

Hashing and decoding would stop the receiver for milliseconds (the RaptorQ package holds the interpreter lock),
and a panic in the decoder must not take the box down: it costs a worker, which is started again. Workers are
lean (no NumPy) and map the part file and the tiles, so only job descriptions travel.
"""

import contextlib
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from carousel.release.identity import ReleaseId
from settop.stitch.jobs import BlockJob, BlockResult, BlockWork, Outcome, TileJob

__all__ = ["TileMemory", "WorkerPool"]

DECODE_COPIES = 6
"""How many times its own size a block takes in memory while it is decoded."""
DECODE_MEMORY_BYTES = 48 << 20
"""Where decoding in all workers at once would take more, one of them decodes: boards are small."""
MAX_PENDING = 3
"""Jobs a worker may have at once: the next one is there when it ends the first."""
MAX_PENDING_HASHES = 32
"""The same for hashing, which is short where tiles have begun it: the way to the worker takes longer."""


class TileMemory:
    """Memory that grows by parts and can be mapped by child processes, which inherit its descriptor."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("tiles")
        self._size_bytes = 0
        self._mappings: dict[int, mmap.mmap] = {}

    def allocate(self, size_bytes: int) -> tuple[int, memoryview]:
        """Return (offset, fresh memory)."""
        offset = self._size_bytes
        self._size_bytes += -(-size_bytes // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        os.ftruncate(self.descriptor, self._size_bytes)
        self._mappings[offset] = mmap.mmap(self.descriptor, size_bytes, offset=offset)
        return offset, memoryview(self._mappings[offset])

    def release(self, offset: int) -> None:
        """Give the pages of a part back to the system; it is not used any more."""
        self._mappings.pop(offset).madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        """Let go of the descriptor; what is mapped stays."""
        os.close(self.descriptor)


class _Worker:
    """One worker process, and the jobs it has."""

    def __init__(self, tiles: TileMemory, cores: set[int]) -> None:
        self.pending: list[BlockJob | TileJob] = []
        self.connection, theirs = Pipe()
        code = f"from settop.work.workermain import work; work({theirs.fileno()}, {tiles.descriptor})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno(), tiles.descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()
        with contextlib.suppress(OSError):  # it may be gone, or it may not be allowed
            os.sched_setaffinity(self._process.pid, cores)

    def has_room(self) -> bool:
        hashes = sum(isinstance(job, BlockJob) and job.work is BlockWork.HASH for job in self.pending)
        return len(self.pending) - hashes < MAX_PENDING and hashes < MAX_PENDING_HASHES

    def close(self) -> None:
        self.connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WorkerPool:
    """Some workers; the first is the hand of the part files (`TileHand`) and hashes, too.

    `tile_done(job, is_written)` is called when a tile is in its file, or will not come there by itself.
    """

    def __init__(
        self, count: int, path_of: Callable[[ReleaseId], Path], tile_done: Callable[[TileJob, bool], None] | None = None
    ) -> None:
        self._tiles = TileMemory()
        self._cores = os.sched_getaffinity(0)  # the receiver may be bound to one of them later
        self._workers = [_Worker(self._tiles, self._cores) for _ in range(count)]
        self._path_of = path_of
        self._tile_done = tile_done
        self._results: list[BlockResult] = []
        self.restarts = 0

    def has_room(self) -> bool:
        """Say whether any job would find its worker with little to do: what waits in pipes must stay bounded."""
        return all(worker.has_room() for worker in self._workers)

    def submit(self, job: BlockJob) -> None:
        """Hand a job to the worker that has least to do; all hashing goes to the first, which has begun it."""
        self._send(self._worker_for(job), job)

    def _send(self, worker: _Worker, job: BlockJob | TileJob) -> None:
        worker.pending.append(job)
        with contextlib.suppress(OSError):  # it died: `collect` finds out, and starts it again
            worker.connection.send((str(self._path_of(job.release)), job))

    def allocate(self, size_bytes: int) -> tuple[int, memoryview]:
        """Return (offset, memory) for tiles that the workers see, too."""
        return self._tiles.allocate(size_bytes)

    def release(self, offset: int) -> None:
        """Take memory for tiles back."""
        self._tiles.release(offset)

    def write(self, job: TileJob) -> None:
        """Have a tile written."""
        self._send(self._workers[0], job)

    def wait(self) -> None:
        """Wait for the worker that writes tiles; what else comes meanwhile is kept for `collect`."""
        self._workers[0].connection.poll(None)
        self._read_results()

    def _worker_for(self, job: BlockJob) -> _Worker:
        if job.work is BlockWork.HASH:
            return self._workers[0]
        block_bytes = job.source_symbols * job.symbol_size
        if job.work is BlockWork.DECODE and len(self._workers) * DECODE_COPIES * block_bytes > DECODE_MEMORY_BYTES:
            return self._workers[-1]
        return min(self._workers, key=lambda worker: len(worker.pending))

    def connections(self) -> list[Connection]:
        """Return what becomes readable when a result is there."""
        return [worker.connection for worker in self._workers]

    @property
    def is_idle(self) -> bool:
        """Whether no job is under way."""
        return not any(worker.pending for worker in self._workers)

    def collect(self) -> list[BlockResult]:
        """Return the results that are there; a worker that died failed its jobs, and is started again."""
        self._read_results()
        results, self._results = self._results, []
        return results

    def _read_results(self) -> None:
        for index, worker in enumerate(self._workers):
            try:
                while worker.pending and worker.connection.poll():
                    self._take(worker.pending[0], worker.connection.recv())
                    worker.pending.pop(0)
            except (EOFError, OSError):
                self._workers[index] = _Worker(self._tiles, self._cores)
                self.restarts += 1
                for job in worker.pending:
                    self._take(job, None)
                worker.close()

    def _take(self, job: BlockJob | TileJob, result: BlockResult | None) -> None:
        """Take a result; None where the worker died on the job, or instead of anything for a tile."""
        if isinstance(job, BlockJob):
            self._results.append(result or BlockResult(job, Outcome.TOO_FEW))
        elif self._tile_done is not None:
            self._tile_done(job, result is not None)

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
        self._tiles.close()
