import os
import signal
import time
from array import array
from functools import partial

import pytest
from blake3 import blake3

from carousel import fec
from settop.stitch.jobs import BlockJob, BlockWork, BlockWorkshop, Outcome, TileJob
from settop.work.workers import WorkerPool
from tests.conftest import noise

SIZE, K, R = 64, 20, 10
BLOCK = noise(SIZE * K)
DIGEST = blake3(BLOCK).digest()


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
    import settop.work.workers as module

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


def writer(file):
    return partial(os.pwrite, file.fileno())


def tile(memory_offset, esi, count, is_source=True):
    """A tile that holds `count` symbols from `esi` on, at the begin of its memory."""
    return TileJob(8, 0, memory_offset, SIZE, is_source, esis([0, esi, 0, esi, count]))


def test_a_hash_goes_on_where_tiles_left_off_and_is_right_in_any_order(part):
    """Tiles in order, with a gap, twice, and of repair symbols: the block's digest is right each time."""
    whole = memoryview(bytearray(part.read_bytes()))
    for tiles in ([(0, 7), (7, 6)], [(0, 7), (9, 4)], [(9, 4), (0, 7)], [(0, 7), (0, 7)], [(0, K)], []):
        shop = BlockWorkshop()
        with part.open("r+b") as file:
            for esi, count in tiles:
                shop.write_tile(tile(0, esi, count), whole[esi * SIZE :], writer(file))
            shop.write_tile(tile(0, K, 2, is_source=False), whole[K * SIZE :], writer(file))
        assert shop.run(job(BlockWork.HASH, expected=DIGEST), whole).outcome is Outcome.GOOD


def test_a_hash_afresh_trusts_the_file_alone(part):
    wrong, right = memoryview(bytearray(K * SIZE)), memoryview(bytearray(part.read_bytes()))
    for afresh, outcome in ((False, Outcome.MISMATCH), (True, Outcome.GOOD)):
        shop = BlockWorkshop()
        with part.open("r+b") as file:
            shop.write_tile(tile(0, 0, 7), wrong, writer(file))
        part.write_bytes(right)
        assert shop.run(job(BlockWork.HASH, expected=DIGEST, afresh=afresh), right).outcome is outcome


def test_a_worker_writes_tiles_from_memory_that_grew_after_its_start(part):
    done = []
    pool = WorkerPool(2, lambda base: part, lambda job, is_written: done.append((job.memory_offset, is_written)))
    try:
        for fill in (1, 2, 3):
            offset, memory = pool.allocate(10_000)
            memory[:SIZE] = bytes([fill]) * SIZE
            pool.write(tile(offset, fill, 1))
            for _ in range(100):
                if len(done) == fill:
                    break
                pool.wait()
            assert part.read_bytes()[fill * SIZE : (fill + 1) * SIZE] == bytes([fill]) * SIZE
        assert len({offset for offset, _ in done}) == 3
        before = os.fstat(pool._tiles.descriptor).st_blocks
        pool.release(offset)
        assert os.fstat(pool._tiles.descriptor).st_blocks < before
        assert all(is_written for _, is_written in done)
    finally:
        pool.close()


def test_a_tile_of_a_worker_that_died_is_given_back_unwritten(part):
    done = []
    pool = WorkerPool(1, lambda base: part, lambda job, is_written: done.append(is_written))
    try:
        offset, _ = pool.allocate(10_000)
        os.kill(pool._workers[0]._process.pid, signal.SIGKILL)
        pool._workers[0]._process.wait()
        pool.write(tile(offset, 0, 1))
        pool.submit(job(BlockWork.HASH, expected=DIGEST))
        pool.wait()
        assert done == [False]
        assert [each.outcome for each in results(pool, 1)] == [Outcome.TOO_FEW]
    finally:
        pool.close()


def test_sort_tells_good_from_bad():
    from carousel.release.digests import symbol_digest

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
