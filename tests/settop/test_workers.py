import hashlib
import os
import signal
import time
from array import array

import pytest

from carousel import fec
from settop.blockjobs import BlockJob, BlockWork, BlockWorkshop, Outcome
from settop.workers import WorkerPool
from tests.conftest import noise

SIZE, K, R = 64, 20, 10
BLOCK = noise(SIZE * K)
DIGEST = hashlib.sha256(BLOCK).digest()


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "x.part"
    path.write_bytes(BLOCK + fec.encode_repair(BLOCK, SIZE, R))
    return path


def job(work, **fields):
    return BlockJob(work, 8, 0, 0, SIZE, 0, K, K, **fields)


def esis(numbers):
    return array("L", numbers).tobytes()


def results(pool, count):
    found = []
    for _ in range(2000):
        found += pool.collect()
        if len(found) >= count:
            return found
        time.sleep(0.005)
    raise AssertionError("the workers do not answer")


def test_each_kind_of_job_in_a_process_of_its_own(part):
    content = bytearray(part.read_bytes())
    content[3 * SIZE : 4 * SIZE] = bytes(SIZE)
    part.write_bytes(content)
    pool = WorkerPool(2, lambda base: part)
    try:
        pool.submit(job(BlockWork.HASH, expected=DIGEST))
        (first,) = results(pool, 1)
        assert first.outcome is Outcome.MISMATCH
        numbers = [esi for esi in range(K + 1) if esi != 3]
        pool.submit(job(BlockWork.DECODE, expected=DIGEST, esis=esis(numbers[:K])))
        (second,) = results(pool, 1)
        assert second.outcome in (Outcome.GOOD, Outcome.TOO_FEW)
        pool.submit(job(BlockWork.DECODE, expected=DIGEST, esis=esis([*numbers, K + 1, K + 2])))
        (third,) = results(pool, 1)
        assert third.outcome is Outcome.GOOD
        assert part.read_bytes()[: SIZE * K] == BLOCK
        assert pool.is_idle
    finally:
        pool.close()


def test_a_worker_that_dies_is_replaced_and_its_jobs_fail(part):
    pool = WorkerPool(1, lambda base: part)
    try:
        os.kill(pool._workers[0]._process.pid, signal.SIGKILL)
        pool._workers[0]._process.wait()
        pool.submit(job(BlockWork.HASH, expected=DIGEST))
        assert [each.outcome for each in results(pool, 1)] == [Outcome.TOO_FEW]
        assert pool.restarts == 1
        pool.submit(job(BlockWork.HASH, expected=DIGEST))
        assert [each.outcome for each in results(pool, 1)] == [Outcome.GOOD]
    finally:
        pool.close()


def test_however_many_jobs_the_pipes_stay_bounded(part, monkeypatch):
    """Seen: all decoding went to one worker, its pipe filled, and both ends waited for each other."""
    import settop.workers as module

    monkeypatch.setattr(module, "DECODE_MEMORY_BYTES", 0)
    pool, submitted, done = WorkerPool(2, lambda base: part), 0, 0
    numbers = esis(range(1, K + 3))
    try:
        for _ in range(20_000):
            while pool.has_room() and submitted < 600:
                pool.submit(job(BlockWork.DECODE, expected=DIGEST, esis=numbers))
                submitted += 1
            assert max(len(worker.pending) for worker in pool._workers) <= module.MAX_PENDING
            done += len(pool.collect())
            if done == 600:
                return
            time.sleep(0.001)
    finally:
        pool.close()
    raise AssertionError(f"{done} of {submitted} jobs came back")


def test_prehash_goes_on_where_it_stood_and_starts_anew_where_not():
    shop, memory = BlockWorkshop(), memoryview(bytearray(BLOCK))
    spans = esis([0, 0, 0, 7])
    shop.run(job(BlockWork.PREHASH, spans=spans), memory)
    assert shop.run(job(BlockWork.HASH, expected=DIGEST, start=7), memory).outcome is Outcome.GOOD
    shop.run(job(BlockWork.PREHASH, spans=spans), memory)
    assert shop.run(job(BlockWork.HASH, expected=DIGEST, start=0), memory).outcome is Outcome.GOOD
    assert shop.run(job(BlockWork.HASH, expected=DIGEST, start=7), memory).outcome is Outcome.GOOD


def test_sort_tells_good_from_bad():
    from carousel.digests import symbol_digest

    memory = memoryview(bytearray(BLOCK))
    digests = b"".join(symbol_digest(0, 0, esi, bytes(memory[esi * SIZE : (esi + 1) * SIZE])) for esi in range(K))
    memory[5 * SIZE] ^= 1
    result = BlockWorkshop().run(job(BlockWork.SORT, digests=digests, esis=esis([4, 5, 6])), memory)
    assert array("L", result.good_esis).tolist() == [4, 6]


def test_a_wrong_decode_is_not_written():
    content = bytearray(BLOCK + fec.encode_repair(BLOCK, SIZE, R))
    content[K * SIZE] ^= 1
    memory = memoryview(content)
    before = bytes(memory)
    numbers = esis([*range(1, K), K, K + 1])
    result = BlockWorkshop().run(job(BlockWork.DECODE, expected=DIGEST, esis=numbers), memory)
    assert result.outcome is Outcome.MISMATCH
    assert bytes(memory) == before
