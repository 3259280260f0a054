"""Threads that work: results come back, what raises is said, what hangs holds nobody up."""

import select
import threading

import numpy as np
import pytest

from bench.virtual.memory import landings_in_memory
from carousel.fec import codec
from settop.stitch.jobs import Finding, HashJob, JobResult, run_job
from settop.work.threads import JOBS_A_THREAD, WorkThreads
from tests.settop.stitch.air import Air


@pytest.fixture
def air(make_release):
    air = Air(make_release(60_000, symbol_size=512, version="1.2.0"))
    air.hear_digests(block_digests_only=True)
    return air


def results(work, count):
    found = []
    poll = select.poll()
    poll.register(work.fileno(), select.POLLIN)
    while len(found) < count:
        assert poll.poll(30_000), "the threads do not answer"
        found += work.collect()
    return found


def hash_job(air):
    return HashJob(air.release.header.release_id, 0, 0, air.landings[0], bytes(32))


def test_a_block_is_decoded_beside(air):
    work = WorkThreads(2, codec())
    size = int(air.layout.objects[0].block_sizes[0])
    air.hear_block(0, range(10, size + 10))
    work.submit(air.assembly.next_job())
    assert work.is_at(air.release.header.release_id)
    (result,) = results(work, 1)
    assert result.finding in (Finding.GOOD, Finding.TOO_FEW)
    assert not work.is_at(air.release.header.release_id)
    assert work.collect() == []
    assert work.close()


def test_a_job_that_raises_comes_back_and_its_thread_lives_on(air):
    job = hash_job(air)
    broken = HashJob(job.release, 0, 200, air.landings[0], bytes(32))
    work = WorkThreads(1, codec())
    for each in (broken, job):
        work.submit(each)
    first, second = results(work, 2)
    assert (first.finding, second.finding) == (Finding.FAILED, Finding.MISMATCH)
    assert "IndexError" in first.error
    assert work.close()


def test_every_job_of_a_block_that_keeps_failing_ends(air):
    """A sort, a hash, a decode that raise for ever: the block is tried a few times, then fetched again; no spinning."""
    air.hear_block(0)

    def fail(job, _):
        return JobResult(job, Finding.FAILED, error="no memory")

    work, tried = WorkThreads(1, codec(), fail), 0
    while (job := air.assembly.next_job()) is not None:
        work.submit(job)
        air.assembly.finish_job(*results(work, 1))
        tried += 1
        assert tried < 10
    assert air.hear_block(0) == air.layout.objects[0].block_sizes[0], "nothing of it is lost for good"
    air.work()
    assert air.assembly.is_verified
    assert work.close()


def test_what_waits_is_bounded(air):
    gate = threading.Event()

    def wait(job, _):
        gate.wait(30)
        return JobResult(job, Finding.GOOD)

    work, submitted = WorkThreads(2, codec(), wait), 0
    while work.has_room:
        work.submit(hash_job(air))
        submitted += 1
    assert submitted == 2 * JOBS_A_THREAD
    gate.set()
    results(work, submitted)
    assert work.has_room
    assert work.close()


def test_each_thread_is_made_ready_and_works_on_without_memory_for_it(air):
    both, asked = threading.Barrier(3, timeout=30), []

    class Short:
        """A codec that has no memory to be ready; it lets its threads go on when two of them have come."""

        def make_ready(self, symbols):
            asked.append(symbols)
            both.wait()
            raise MemoryError

    work = WorkThreads(2, Short())
    work.make_ready(77)
    both.wait()
    work.submit(hash_job(air))
    assert results(work, 1)[0].finding is Finding.MISMATCH
    assert asked == [77, 77]
    assert work.close()


def test_threads_are_not_made_ready_twice_nor_while_there_are_jobs(air):
    gate, asked = threading.Event(), []

    class Asked:
        def make_ready(self, symbols):
            asked.append(symbols)

    def wait(job, some_codec):
        gate.wait(60)
        return run_job(job, some_codec)

    work = WorkThreads(1, Asked(), wait)
    work.submit(hash_job(air))
    work.make_ready(80)
    gate.set()
    results(work, 1)
    for symbols in (50, 50, 40, 60):
        work.make_ready(symbols)
    work.submit(hash_job(air))
    results(work, 1)
    assert asked == [50, 60]
    assert work.close()


def test_who_is_ready_does_not_wait_for_a_thread_that_hangs(air):
    gate = threading.Event()

    class Hangs:
        def make_ready(self, symbols):
            if not gate.is_set() and threading.current_thread() is work._threads[0]:
                gate.wait(60)

    work = WorkThreads(2, Hangs())
    work.make_ready(50)
    work.submit(hash_job(air))
    assert [result.job.sbn for result in results(work, 1)] == [0]
    gate.set()
    assert work.close()


def test_a_hung_job_holds_nobody_up(air):
    gate = threading.Event()

    def hang(job, some_codec):
        if job.sbn == 0:
            gate.wait(60)
        return run_job(job, some_codec)

    work = WorkThreads(1, codec(), hang)
    work.submit(hash_job(air))
    assert work.collect() == []
    assert not work.close(), "it says that a thread is left behind"
    gate.set()


def test_many_jobs_on_many_threads_give_every_block_right(make_release):
    seed = 7
    print(f"seed {seed}")
    release = make_release(900_001, symbol_size=256, version="1.3.0")
    air, rng = Air(release), np.random.default_rng(seed)
    air.hear_digests(block_digests_only=True)
    work, pending = WorkThreads(3, codec()), 0
    image = air.layout.objects[0]
    for sbn in rng.permutation(image.blocks).tolist():
        size = int(image.block_sizes[sbn])
        air.hear_block(sbn, rng.permutation(size + image.repair_per_block)[: size + 3].tolist())
        while work.has_room and (job := air.assembly.next_job()) is not None:
            work.submit(job)
            pending += 1
        for result in results(work, pending):
            air.events += air.assembly.finish_job(result)
        pending = 0
    extra = 0
    while not air.assembly.is_verified:
        for sbn in range(image.blocks):
            air.hear_block(sbn, [int(rng.integers(int(image.block_sizes[sbn]) + image.repair_per_block))])
        air.work()
        extra += 1
        assert extra < 100
    from tests.conftest import noise

    assert air.image == noise(900_001)
    assert work.close()
    assert landings_in_memory(release.layout)[0].geometry == image
