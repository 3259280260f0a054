"""A release of five blocks, whose level 1 is of two: what happens to one block happens to no other."""

import numpy as np
import pytest

from carousel.fec import codec
from carousel.release import layout
from headend.pack import packing
from settop.events import BlockVerified, Suspicion
from settop.stitch.holdings import BlockState, Holdings
from settop.stitch.jobs import DecodeJob, Finding, HashJob, JobResult, SortJob, run_job
from settop.stitch.suspicion import SAMPLE_EVERY
from tests.conftest import noise
from tests.settop.stitch.air import Air

SIZE, BLOCKS = 100_009, 5


@pytest.fixture
def air(make_release, monkeypatch):
    monkeypatch.setattr(packing, "blocks_of_image", lambda symbols: BLOCKS)
    monkeypatch.setattr(layout, "MAX_LEVEL_BLOCK_SYMBOLS", 40)
    air = Air(make_release(SIZE, symbol_size=256, version="1.9.5"))
    assert [geometry.blocks for geometry in air.layout.objects] == [BLOCKS, 2, 1, 1]
    return air


def size_of(air, sbn):
    return int(air.layout.objects[0].block_sizes[sbn])


def rows_of(air, level, rows):
    sbn, esi = air.layout.objects[level].symbols_of(np.asarray(rows))
    return list(zip(sbn.tolist(), esi.tolist(), strict=True))


def hear_upper_levels(air):
    """All that is above level 1, repair symbols too, so that each symbol of level 1 can be judged."""
    for level in range(air.layout.top, 1, -1):
        air.hear_symbols(level, rows_of(air, level, range(air.layout.objects[level].rows)))


def verified(air):
    return [event.sbn for event in air.events if isinstance(event, BlockVerified)]


def suspected(air):
    return [event.block for event in air.events if isinstance(event, Suspicion)]


def test_blocks_are_verified_one_by_one_in_any_order(air):
    air.hear_digests(block_digests_only=True)
    for number, sbn in enumerate((3, 0, 4, 1, 2)):
        assert not air.assembly.is_verified
        assert air.assembly.image.done_blocks == number
        air.hear_block(sbn)
        air.work()
    assert verified(air) == [3, 0, 4, 1, 2]
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)


def test_a_block_that_is_done_leaves_the_others_as_they_were(air):
    holdings, landing = Holdings(air.landings[0]), air.landings[0]
    air.hear_block(1, range(4, size_of(air, 1) + 4))
    air.hear_block(2, range(7))
    holdings.begin(1)
    holdings.finish(1)
    rows = holdings.source_rows(1)
    assert landing.held[rows].all()
    assert holdings.proven[rows].all()
    others = np.ones(len(landing.held), dtype=bool)
    others[rows] = False
    assert not holdings.proven[others].any()
    assert np.count_nonzero(landing.held[: air.layout.objects[0].source_symbols]) == size_of(air, 1) + 7
    assert holdings.state.tolist() == [BlockState.OPEN, BlockState.DONE] + [BlockState.OPEN] * 3
    assert landing.source_held.tolist() == [0, size_of(air, 1), 7, 0, 0]
    assert holdings.useful_symbols == size_of(air, 1) + 7
    holdings.begin(2)
    holdings.begin(3)
    holdings.finish(2)
    assert holdings.done_blocks == 2
    assert holdings.state.tolist() == [
        BlockState.OPEN,
        BlockState.DONE,
        BlockState.DONE,
        BlockState.BUSY,
        BlockState.OPEN,
    ]


def test_what_an_earlier_run_left_is_worked_on_without_another_symbol(air):
    air.hear_digests()
    for sbn in range(BLOCKS):
        air.hear_block(sbn, range(size_of(air, sbn) - (sbn == 2)))
    air.assemble(resumed=True)
    air.work()
    assert sorted(verified(air)) == [0, 1, 3, 4]
    air.hear_block(2)
    air.work()
    assert air.assembly.is_verified


def test_what_was_torn_of_one_block_is_no_reason_to_drop_another(air):
    air.hear_digests()
    for sbn in range(BLOCKS):
        air.hear_block(sbn, range(size_of(air, sbn) - 3))
    first = int(air.layout.objects[0].first_rows[1])
    air.landings[0].source[first, 9] ^= 1
    air.assemble(resumed=True)
    for sbn in range(BLOCKS):
        air.hear_block(sbn)
    air.work()
    assert sorted(verified(air)) == [0, 2, 3, 4]
    assert air.events == [event for event in air.events if isinstance(event, BlockVerified)], "nobody is suspected"
    assert air.hear_block(1) == size_of(air, 1) - 3, "the three that came in this run are no leftovers"
    air.work()
    assert air.assembly.is_verified


def test_a_forged_symbol_is_told_with_its_block_and_costs_its_block_alone(air):
    air.hear_digests(block_digests_only=True)
    air.hear([air.forged(0, 3, 5)])
    for sbn in range(BLOCKS):
        air.hear_block(sbn)
    air.work()
    assert verified(air) == [0, 1, 2, 4]
    assert suspected(air) == [3]
    assert [event.release for event in air.events] == [air.release.header.release_id] * 5
    air.hear_block(3, range(2 * size_of(air, 3)))
    air.work()
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)


def test_a_forged_digest_is_told_of_the_first_block(air):
    air.hear([air.forged(air.layout.top, 0, 0)])
    air.hear_digests()
    air.hear_block(0)
    air.work()
    assert suspected(air) == [0]


def test_each_block_of_a_level_is_completed_by_itself(air):
    level_1 = air.layout.objects[1]
    hear_upper_levels(air)
    air.hear_symbols(1, [(0, esi) for esi in range(int(level_1.block_sizes[0]))])
    air.assembly.inquiry.begin()
    assert air.assembly.next_job() is None
    few = int(level_1.block_sizes[1])
    air.hear_symbols(1, [(1, esi) for esi in range(5, few + 7)])
    job = air.assembly.next_job()
    assert isinstance(job, DecodeJob)
    assert (job.level, job.sbn) == (1, 1)
    assert air.assembly.next_job() is None
    assert air.assembly.finish_job(run_job(job, codec())) == []
    assert air.assembly.tree.holdings(1).proven[: level_1.source_symbols].all()
    assert air.assembly.next_job() is None


def test_symbols_are_named_with_their_block_when_their_digests_become_known(air):
    hear_upper_levels(air)
    image, tree = air.layout.objects[0], air.assembly.tree
    air.hear_symbols(1, reversed(rows_of(air, 1, range(air.layout.objects[1].source_symbols))))
    assert sorted(tree.fresh_image_rows().tolist()) == list(range(image.rows))


def test_what_a_decoded_level_tells_of_the_level_below_is_judged_at_once(air):
    level_1, level_2 = air.layout.objects[1:3]
    air.hear_symbols(3, [(0, 0)])
    air.hear_symbols(1, rows_of(air, 1, range(level_1.source_symbols)))
    air.hear_symbols(2, [(0, esi) for esi in range(2, level_2.source_symbols + 4)])
    air.assembly.inquiry.begin()
    proven = air.assembly.tree.holdings(1).proven[: level_1.source_symbols]
    assert not proven[:16].any(), "their digests are in the first symbol of the level above"
    air.work()
    assert proven.all()


def test_what_a_decoded_level_tells_of_the_image_is_judged_at_once(air):
    """The digest of a symbol that came long ago is among those that were decoded."""
    hear_upper_levels(air)
    air.assembly.inquiry.begin()
    offset = int(air.layout.digest_offsets(0, np.array([4]), np.array([60]))[0]) // 256
    sbn, esi = rows_of(air, 1, [offset])[0]
    air.hear([air.forged(0, 4, 60), air.packet(0, 4, 59)])
    first, size = int(air.layout.objects[0].first_rows[4]), int(air.layout.objects[1].block_sizes[sbn])
    assert air.landings[0].held[first + 60]
    places = [(sbn, each) for each in range(size + 8) if abs(each - esi) > 1]
    air.hear_symbols(1, places)
    assert air.landings[0].held[first + 60], "nobody can judge it yet"
    air.work()
    assert "DecodeJob" in air.jobs
    assert not air.landings[0].held[first + 60]
    assert air.assembly.image.proven[first + 59]
    assert air.assembly.rejected_symbols == 1


def test_a_block_of_which_all_is_there_and_does_not_decode_begins_afresh(air, monkeypatch):
    """It can't be; and if it were, no block may wait for ever."""
    air.hear_digests(block_digests_only=True)
    air.hear_block(2, range(1, size_of(air, 2) + 1))
    air.hear_block(3, range(5))
    job = air.assembly.next_job()
    monkeypatch.setattr(air.assembly.image, "want_more", lambda sbn, count: 0)
    air.assembly.finish_job(JobResult(job, Finding.TOO_FEW))
    assert len(air.assembly.image.held_rows(2)) == 0
    assert len(air.assembly.image.held_rows(3)) == 5
    assert air.hear_block(2) == size_of(air, 2)
    air.work()
    assert verified(air) == [2]


def test_a_whole_image_without_digests_is_one_job_of_level_0(air):
    for sbn in range(BLOCKS):
        air.hear_block(sbn)
    job = air.assembly.next_job()
    assert (type(job).__name__, job.level, job.sbn) == ("WholeJob", 0, 0)
    assert air.assembly.next_job() is None
    assert air.assembly.finish_job(run_job(job, codec())) != []
    assert air.assembly.is_verified


def test_an_image_that_lacks_a_block_or_has_repair_symbols_is_not_proven_whole(air):
    for sbn in range(BLOCKS - 1):
        air.hear_block(sbn)
    assert air.assembly.next_job() is None
    air.hear_block(4, range(1, size_of(air, 4) + 1))
    assert air.assembly.next_job() is None
    air.hear_digests(block_digests_only=True)
    jobs = [air.assembly.next_job() for _ in range(BLOCKS)]
    assert [(type(job), job.sbn) for job in jobs] == [(HashJob, sbn) for sbn in range(4)] + [(DecodeJob, 4)]


def test_a_whole_image_that_is_wrong_though_digests_have_come_waits_for_the_others(air):
    hear_upper_levels(air)
    for sbn in range(BLOCKS):
        air.hear_block(sbn)
    air.landings[0].source[0, 0] ^= 1
    air.work()
    assert air.jobs == ["WholeJob"]
    assert air.landings[0].held[: air.layout.objects[0].source_symbols].all(), "the digests will say which"
    air.hear_digests()
    air.work()
    assert sorted(verified(air)) == [1, 2, 3, 4]


def test_failed_jobs_count_for_their_block_alone(air):
    air.hear_digests(block_digests_only=True)
    for sbn in (1, 2):
        air.hear_block(sbn)
    for _ in range(2):
        for job in [air.assembly.next_job() for _ in (1, 2)]:
            air.assembly.finish_job(JobResult(job, Finding.FAILED))
    air.work()
    assert verified(air) == [1, 2]
    assert air.assembly.failed_jobs == 4


def test_where_it_stands_is_told_over_all_blocks_and_levels(air):
    assembly = air.assembly
    assert (assembly.needed_symbols, assembly.useful_symbols, assembly.proven_symbols) == (391, 0, 0)
    air.hear_digests()
    proven = assembly.proven_symbols
    assert proven == sum(geometry.source_symbols for geometry in air.layout.objects[1:])
    air.hear_block(0)
    air.hear_block(1, range(10))
    assert assembly.useful_symbols == size_of(air, 0) + 10
    assert not assembly.is_sated
    air.work()
    assert assembly.proven_symbols == proven + size_of(air, 0)
    for sbn in range(1, BLOCKS):
        air.hear_block(sbn)
    assert assembly.is_sated
    assert not assembly.is_verified
    air.work()
    assert assembly.is_verified


def test_while_one_block_is_worked_on_the_others_are_sorted(air):
    air.hear_digests()
    air.hear([air.forged(0, sbn, 5) for sbn in (1, 2)])
    for sbn in (0, 1, 2):
        air.hear_block(sbn)
    busy, wrong = air.assembly.next_job(), air.assembly.next_job()
    assert (busy.sbn, wrong.sbn) == (0, 1)
    air.assembly.finish_job(run_job(wrong, codec()))
    jobs = [air.assembly.next_job() for _ in range(2)]
    assert [(type(job), job.sbn) for job in jobs] == [(SortJob, 1), (SortJob, 2)]
    for job in (*jobs, busy):
        air.assembly.finish_job(run_job(job, codec()))
    assert air.assembly.rejected_symbols == 2
    assert air.assembly.image.done_blocks == 1
    assert air.assembly.next_job() is None, "a block that is done needs no sorting"


def test_while_one_block_is_sorted_another_is_hashed(air):
    air.hear_digests()
    air.hear_block(1)
    air.assembly.inquiry.begin()
    air.hear_block(3)  # judged as it comes: nothing of it has to be sorted
    jobs = [air.assembly.next_job() for _ in range(3)]
    assert [(type(job), job.sbn) for job in jobs[:2]] == [(SortJob, 1), (HashJob, 3)]
    assert jobs[2] is None


def test_what_is_decoded_for_proof_is_decoded_from_proven_symbols_alone(air):
    """A forged repair symbol lies beside them, and nobody can judge it yet."""
    hear_upper_levels(air)
    air.assembly.inquiry.begin()
    size = size_of(air, 1)
    far = size + air.layout.objects[0].repair_per_block - 1
    last = int(air.layout.digest_offsets(0, np.array([1]), np.array([far]))[0]) // 256
    level_1 = air.layout.objects[1]
    air.hear_symbols(
        1, [place for row, place in enumerate(rows_of(air, 1, range(level_1.source_symbols))) if row != last]
    )
    air.hear([air.forged(0, 1, esi) for esi in range(6)])
    assert air.assembly.rejected_symbols == 6
    air.hear([air.forged(0, 1, far)])
    air.hear_block(1, range(1, size))
    air.assembly.next_job()
    assert air.assembly.inquiry.needs_proof(1)
    air.hear_block(1, [size])
    job = air.assembly.next_job()
    assert isinstance(job, DecodeJob)
    assert job.present.missing.tolist() == [0]
    assert job.present.esis.tolist() == [size]


def test_a_block_that_proves_wrong_while_forgers_are_many_waits_for_proof(air):
    """They were found in another block, while this one was hashed."""
    hear_upper_levels(air)
    air.hear_symbols(1, rows_of(air, 1, range(4)))
    air.hear_block(2)
    job = air.assembly.next_job()
    assert job.sbn == 2
    air.assembly.inquiry.begin()
    air.hear(air.forged(0, 0, esi) for esi in range(4))
    assert air.assembly.rejected_symbols == 4
    air.assembly.finish_job(JobResult(job, Finding.MISMATCH))
    assert air.assembly.inquiry.needs_proof(2)


def test_an_image_that_waits_for_proof_is_not_tried_whole(air):
    """All of it is there, and the digests of its blocks are not."""
    hear_upper_levels(air)
    air.assembly.inquiry.begin()
    air.hear_symbols(1, rows_of(air, 1, [1]))
    air.hear(air.forged(0, 0, esi) for esi in range(8, 12))
    assert air.assembly.rejected_symbols == 4
    for sbn in range(BLOCKS):
        air.hear_block(sbn)
    assert air.assembly.next_job() is None


def test_two_blocks_of_a_level_are_worked_on_side_by_side(air):
    hear_upper_levels(air)
    air.assembly.inquiry.begin()
    for sbn in (0, 1):
        size = int(air.layout.objects[1].block_sizes[sbn])
        air.hear_symbols(1, [(sbn, esi) for esi in range(5, size + 7)])
    jobs = [air.assembly.next_job() for _ in range(3)]
    assert [(job.level, job.sbn) for job in jobs[:2]] == [(1, 0), (1, 1)]
    assert jobs[2] is None
    for finding in (Finding.FAILED, Finding.TOO_FEW):
        air.assembly.finish_job(JobResult(jobs[1], finding))
        jobs[1] = air.assembly.next_job()
        assert (jobs[1].level, jobs[1].sbn) == (1, 1)
        assert air.assembly.next_job() is None, "the other one is still in hand"
    for job in jobs[:2]:
        air.assembly.finish_job(run_job(job, codec()))
    tree = air.assembly.tree
    assert tree.holdings(1).proven[: air.layout.objects[1].source_symbols].all()


def test_a_sample_that_is_forged_tells_its_block(air):
    air.hear_digests()
    air.hear([air.forged(0, 3, esi) for esi in range(SAMPLE_EVERY)])
    air.work()
    assert suspected(air) == [3]


def test_a_forged_digest_that_waits_to_be_judged_is_counted_once(air):
    """It is judged with the level above it, and then it is gone."""
    for level in (3, 2, 1):
        air.hear_symbols(level, rows_of(air, level, [0]))
    assert air.assembly.tree.has_all_block_digests
    sbn, esi = rows_of(air, 1, [20])[0]
    air.hear([air.forged(1, sbn, esi)])
    air.hear_symbols(2, rows_of(air, 2, [1]))
    wanted = int(air.landings[1].wanted[sbn])
    air.hear_block(0, range(SAMPLE_EVERY))
    assert air.assembly.tree.forged_symbols == 1
    assert not air.landings[1].held[20]
    assert air.landings[1].wanted[sbn] == wanted + 1
    assert air.hear_symbols(1, [(sbn, esi)]) == 1
