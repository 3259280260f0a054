"""One release stitched together: the fast path, doubts, faults of jobs, and what an earlier run left."""

import numpy as np
import pytest

from carousel.fec import codec
from headend.pack import packing
from settop.events import BlockVerified, Suspicion
from settop.stitch.jobs import DecodeJob, Finding, HashJob, JobResult, LeaveOutJob, run_job
from tests.conftest import noise
from tests.settop.stitch.air import Air

SIZE = 300_000


@pytest.fixture
def release(make_release):
    return make_release(SIZE, symbol_size=512)


@pytest.fixture
def air(release):
    return Air(release)


def blocks_of(air):
    return range(air.layout.objects[0].blocks)


def test_whole_blocks_are_hashed_and_nothing_else(air):
    air.hear_digests(block_digests_only=True)
    for sbn in blocks_of(air):
        air.hear_block(sbn)
    assert air.assembly.is_sated
    air.work()
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)
    assert set(air.jobs) == {"HashJob"}
    assert [type(event) for event in air.events] == [BlockVerified] * len(blocks_of(air))


def test_blocks_wait_for_their_digests_and_the_box_listens_till_all_are_there(air):
    *others, last = blocks_of(air)
    for sbn in others:
        air.hear_block(sbn)
    size = int(air.layout.objects[0].block_sizes[last])
    air.hear_block(last, range(1, size + 1))  # a repair symbol among them
    assert not air.assembly.is_sated, "one torn digest symbol would stop it for ever"
    air.work()
    assert not air.jobs
    air.hear_digests(block_digests_only=True)
    air.work()
    assert air.assembly.is_verified


def test_an_image_that_came_whole_and_without_digests_is_proven_whole(air):
    for sbn in blocks_of(air):
        air.hear_block(sbn)
    air.work()
    assert air.jobs == ["WholeJob"]
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)


def test_a_verified_image_has_a_proof_if_its_digests_came(air):
    for sbn in blocks_of(air):
        air.hear_block(sbn)
    assert air.assembly.proof() is None
    air.hear_digests(block_digests_only=True)
    proof = air.assembly.proof()
    assert proof.holds([noise(SIZE)])
    assert not proof.holds([noise(SIZE)[:-1] + b"?"])


def test_a_whole_image_that_does_not_match_begins_afresh(air):
    for sbn in blocks_of(air):
        air.hear_block(sbn)
    air.landings[0].source[3] ^= 1
    air.work()
    assert air.jobs == ["WholeJob"]
    assert not air.assembly.is_verified
    assert not air.landings[0].held.any()
    assert air.assembly.layout == air.layout
    for sbn in blocks_of(air):
        air.hear_block(sbn)
    air.work()
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)


@pytest.mark.parametrize("seed", range(4))
def test_repair_symbols_stand_in_for_what_is_missing(air, seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    air.hear_digests(block_digests_only=True)
    image = air.layout.objects[0]
    for sbn in blocks_of(air):
        size = int(image.block_sizes[sbn])
        lost = rng.permutation(size)[: int(rng.integers(size + 1))]
        sources = np.setdiff1d(np.arange(size), lost)
        repairs = size + rng.permutation(image.repair_per_block)
        air.hear_block(sbn, [*sources.tolist(), *repairs.tolist()])
    air.work()
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)
    assert air.landings[0].free_count[0] == len(air.landings[0].repair), "all slots are free again"


def test_too_few_for_the_decoder_wants_one_more(air):
    air.hear_digests(block_digests_only=True)
    size = int(air.layout.objects[0].block_sizes[0])
    air.hear_block(0, range(1, size + 1))
    job = air.assembly.next_job()
    assert isinstance(job, DecodeJob)
    assert air.hear_block(0, [size + 1]) == 0, "a busy block takes nothing"
    air.assembly.finish_job(JobResult(job, Finding.TOO_FEW))
    assert air.assembly.next_job() is None
    assert air.hear_block(0, [size + 1, size + 2]) == 1
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_one_forged_symbol_costs_a_few_more_of_its_block(air):
    """No symbol digest is known: the surplus alone tells which was forged."""
    air.hear_digests(block_digests_only=True)
    size = int(air.layout.objects[0].block_sizes[0])
    air.hear([air.forged(0, 0, 500)])
    air.hear_block(0)
    air.work()
    assert isinstance(air.events[0], Suspicion)
    assert not air.assembly.is_sated
    heard = 0
    while not air.assembly.image.done_blocks:
        assert air.hear_block(0, [size + heard]) == 1
        air.work()
        heard += 1
    assert heard <= 5, "the code itself tells one wrong symbol"
    assert air.assembly.rejected_symbols == 1
    assert air.image == noise(SIZE)


def test_forged_symbols_of_known_digest_are_dropped_as_they_come(air):
    air.hear_digests()
    air.hear([air.forged(0, 0, 5)])
    air.hear_block(0)
    air.work()
    assert "SortJob" in air.jobs
    assert air.hear([air.forged(0, 0, 5, seed) for seed in range(3)]) >= 1
    assert air.hear_block(0, [5]) == 1
    air.work()
    assert air.assembly.image.done_blocks == 1
    assert air.assembly.rejected_symbols >= 2


@pytest.mark.parametrize("can_decode", [True, False])
def test_a_block_of_nothing_but_forged_symbols(release, can_decode):
    air = Air(release, can_decode)
    size = int(air.layout.objects[0].block_sizes[0])
    air.hear_digests(block_digests_only=True)
    air.hear(air.forged(0, 0, esi) for esi in range(size))
    for _ in range(3):
        air.work()
        air.hear_block(0, range(size if not can_decode else 2 * size))
    air.hear_digests()
    for _ in range(3):
        air.work()
        air.hear_block(0)
    assert air.assembly.image.done_blocks == 1
    assert air.image == noise(SIZE)


def test_a_job_that_fails_is_tried_again_and_then_its_block_begins_afresh(air):
    air.hear_digests(block_digests_only=True)
    air.hear_block(0)
    for _ in range(3):
        job = air.assembly.next_job()
        assert isinstance(job, HashJob)
        assert air.assembly.finish_job(JobResult(job, Finding.FAILED, error="MemoryError")) == []
    assert air.assembly.next_job() is None
    assert air.hear_block(0) == air.layout.objects[0].block_sizes[0]
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_a_job_that_raises_is_a_finding(air):
    class Broken:
        name = "broken"

        def decode(self, *_):
            raise RuntimeError("out of luck")

    air.hear_digests(block_digests_only=True)
    air.hear_block(0, range(1, int(air.layout.objects[0].block_sizes[0]) + 1))
    job = air.assembly.next_job()
    result = run_job(job, Broken())
    assert (result.job, result.finding) == (job, Finding.FAILED)
    assert result.error == "RuntimeError: out of luck"


def test_what_an_earlier_run_left_counts_and_what_it_tore_is_fetched_again(air):
    """Torn rows cost their block what was left of it, and nobody is suspected."""
    size = int(air.layout.objects[0].block_sizes[0])
    rows = np.arange(size - 10)
    air.landings[0].source[rows] = np.frombuffer(noise(SIZE)[: (size - 10) * 512], np.uint8).reshape(-1, 512)
    air.landings[0].source[7, 100:] = 1
    air.landings[0].restore(rows)
    air.assemble(resumed=True)
    air.hear_digests(block_digests_only=True)
    air.hear_block(0, range(size - 10, size))
    air.work()
    assert not air.events
    assert air.hear_block(0, range(size - 10)) == size - 10
    air.work()
    assert [type(event) for event in air.events] == [BlockVerified]
    assert not air.assembly.inquiry.is_open


def test_what_comes_in_the_place_of_something_torn_is_no_leftover(air):
    size = int(air.layout.objects[0].block_sizes[0])
    air.landings[0].restore(np.arange(size - 1))  # of which nothing was written
    air.assemble(resumed=True)
    air.hear_digests(block_digests_only=True)
    air.hear_block(0)
    air.work()
    assert not air.events
    air.hear([air.forged(0, 0, 7)])
    air.hear_block(0)
    air.work()
    assert [type(event) for event in air.events] == [Suspicion]


def test_a_leave_out_job_touches_nothing_where_no_part_is_right(air):
    air.hear_digests(block_digests_only=True)
    size = int(air.layout.objects[0].block_sizes[0])
    air.hear(air.forged(0, 0, esi) for esi in range(100, size, 2))
    air.hear_block(0)
    air.work()
    air.hear_block(0, range(size, size + 40))
    job = air.assembly.next_job()
    assert isinstance(job, LeaveOutJob)
    before = air.landings[0].source.copy()
    assert run_job(job, codec()).finding is Finding.MISMATCH
    assert (before == air.landings[0].source).all()


def test_a_block_whose_digest_is_missing_holds_up_no_other(make_release, monkeypatch):
    """Nine blocks: the digests of eight fill a symbol, and the ninth's comes in the next."""
    monkeypatch.setattr(packing, "blocks_of_image", lambda symbols: 9)
    air = Air(make_release(100_009, symbol_size=256))
    for level in range(air.layout.top, 0, -1):
        geometry = air.layout.objects[level]
        rows = np.arange(geometry.source_symbols) if level > 1 else np.array([1])
        sbn, esi = geometry.symbols_of(rows)
        air.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))
    air.hear_block(0)
    air.hear_block(8)
    air.work()
    assert [event.sbn for event in air.events] == [8]
    assert air.hear_symbols(1, [(0, 0)]) == 1
    air.work()
    assert [event.sbn for event in air.events] == [8, 0]


def test_a_digest_that_ends_with_its_symbol_needs_no_other(make_release, monkeypatch):
    monkeypatch.setattr(packing, "blocks_of_image", lambda symbols: 9)
    air = Air(make_release(100_009, symbol_size=256))
    for level in range(air.layout.top, 1, -1):
        geometry = air.layout.objects[level]
        sbn, esi = geometry.symbols_of(np.arange(geometry.source_symbols))
        air.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))
    air.hear_symbols(1, [(0, 0)])
    assert [air.assembly.tree.block_digest(sbn) is not None for sbn in (0, 7, 8)] == [True, True, False]
    assert not air.assembly.tree.has_all_block_digests
