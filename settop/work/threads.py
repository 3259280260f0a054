"""Jobs in threads of this process: hashing and decoding run without the interpreter lock, so reception goes on.

Nobody waits for a thread. Jobs go out by a queue of bounded length, results come back by another, and an eventfd tells
whoever polls it. A job that raises comes back as failed; one that hangs (a stopped disk behind a mapped page) keeps its
thread, and the process ends without it.
"""

import contextlib
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

from carousel.fec import Codec
from carousel.release.identity import ReleaseId
from settop.stitch.jobs import Job, JobResult, run_job

__all__ = ["WorkThreads"]

JOBS_A_THREAD = 2
"""The next one is there when the first one ends."""
MEETING_S = 0.1
"""So long a thread that is ready waits for one that has something else to do."""
ENDING_S = 0.5
"""So long an end waits for jobs that are under way."""


class _Readiness:
    """What all threads are told to have at hand: for blocks of so many symbols."""

    def __init__(self, symbols: int, threads: int) -> None:
        self._symbols = symbols
        self._all = threading.Barrier(threads)

    def follow(self, codec: Codec) -> None:
        """Follow it, and meet the others: else a quick thread would follow it in their stead.

        Who has no memory for it now may have some when a job comes.
        """
        with contextlib.suppress(MemoryError):
            codec.make_ready(self._symbols)
        with contextlib.suppress(threading.BrokenBarrierError):
            self._all.wait(MEETING_S)


class WorkThreads:
    """Some threads that run jobs with one codec, which keeps nothing from one call to the next but memory."""

    def __init__(self, count: int, codec: Codec, run: Callable[[Job, Codec], JobResult] = run_job) -> None:
        self._jobs: queue.SimpleQueue[Job | _Readiness | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[JobResult] = queue.SimpleQueue()
        self._under_way: Counter[ReleaseId] = Counter()
        self._most = count * JOBS_A_THREAD
        self._ready_symbols = 0
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        work = partial(self._work, run, codec)
        self._threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self, run: Callable[[Job, Codec], JobResult], codec: Codec) -> None:
        with contextlib.suppress(OSError):  # waking up, it does not push the receiver aside, where that is allowed
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        while (job := self._jobs.get()) is not None:
            if isinstance(job, _Readiness):
                job.follow(codec)
                continue
            self._results.put(run(job, codec))
            os.eventfd_write(self._bell, 1)

    def fileno(self) -> int:
        """Return the descriptor that is readable while results wait."""
        return self._bell

    @property
    def has_room(self) -> bool:
        """Whether another job would not wait for long."""
        return self._under_way.total() < self._most

    def make_ready(self, symbols: int) -> None:
        """Have the threads at hand what blocks of so many symbols need; not while there are jobs, and not twice."""
        if symbols <= self._ready_symbols or self._under_way.total():
            return
        self._ready_symbols = symbols
        readiness = _Readiness(symbols, len(self._threads))
        for _ in self._threads:
            self._jobs.put(readiness)

    def submit(self, job: Job) -> None:
        """Hand a job out."""
        self._under_way[job.release] += 1
        self._jobs.put(job)

    def collect(self) -> list[JobResult]:
        """Return the results that are there."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        if self._results.empty():
            return []  # as a rule: this is asked at every wake-up
        results: list[JobResult] = []
        with contextlib.suppress(queue.Empty):
            while True:
                results.append(self._results.get_nowait())
        self._under_way -= Counter(result.job.release for result in results)
        return results

    def is_at(self, release: ReleaseId) -> bool:
        """Say whether jobs of a release are under way."""
        return self._under_way[release] > 0

    def close(self) -> bool:
        """End the threads; say whether all have ended. One that hangs is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(ENDING_S / len(self._threads))
        if any(thread.is_alive() for thread in self._threads):
            return False
        os.close(self._bell)
        return True
