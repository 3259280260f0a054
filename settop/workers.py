"""Block jobs in processes of their own.

Hashing and decoding would stop the receiver for milliseconds (the RaptorQ package holds the interpreter lock),
and a panic in the decoder must not take the box down: it costs a worker, which is started again. Workers are
lean (no NumPy) and map the part file, so only job descriptions travel.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from settop.blockjobs import BlockJob, BlockResult, BlockWork, Outcome

__all__ = ["WorkerPool"]

DECODE_COPIES = 6
"""How many times its own size a block takes in memory while it is decoded."""
DECODE_MEMORY_BYTES = 48 << 20
"""Where decoding in all workers at once would take more, one of them decodes: boards are small."""
MAX_PENDING = 3
"""Jobs a worker may have at once: the next one is there when it ends the first."""


class _Worker:
    """One worker process, and the jobs it has."""

    def __init__(self) -> None:
        self.pending: list[BlockJob] = []
        self.connection, theirs = Pipe()
        code = f"from settop.workermain import work; work({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()

    def close(self) -> None:
        self.connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WorkerPool:
    """Some workers."""

    def __init__(self, count: int, path_of: Callable[[int], Path]) -> None:
        self._workers = [_Worker() for _ in range(count)]
        self._path_of = path_of
        self.restarts = 0

    def has_room(self) -> bool:
        """Say whether any job would find its worker with little to do: what waits in pipes must stay bounded."""
        return all(len(worker.pending) < MAX_PENDING for worker in self._workers)

    def submit(self, job: BlockJob) -> None:
        """Hand a job to the worker that has least to do; all hashing goes to the first, which hashes ahead."""
        worker = self._worker_for(job)
        worker.pending.append(job)
        with contextlib.suppress(OSError):  # it died: `collect` finds out, and starts it again
            worker.connection.send((str(self._path_of(job.toi_base)), job))

    def _worker_for(self, job: BlockJob) -> _Worker:
        if job.work in (BlockWork.PREHASH, BlockWork.HASH):
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
        results: list[BlockResult] = []
        for index, worker in enumerate(self._workers):
            try:
                while worker.pending and worker.connection.poll():
                    results.append(worker.connection.recv())
                    worker.pending.pop(0)
            except (EOFError, OSError):
                results += [BlockResult(job, Outcome.TOO_FEW) for job in worker.pending]
                worker.close()
                self._workers[index] = _Worker()
                self.restarts += 1
        return results

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
