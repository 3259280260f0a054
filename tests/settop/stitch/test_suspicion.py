"""A block in doubt: what opens the inquiry, what each way of settling it needs, and that nothing genuine is lost."""

import numpy as np
import pytest

from carousel.fec import codec
from settop.events import Suspicion
from settop.stitch import suspicion
from settop.stitch.assembly import MOST_DIGESTS_WAITING
from settop.stitch.jobs import DecodeJob, Finding, JobResult, LeaveOutJob, run_job
from settop.stitch.suspicion import FEW_FORGED, LEAST_SURPLUS, MOST_PARTS, SAMPLE_EVERY, SAMPLES_AT_ONCE, SURPLUS_SHARES
from tests.conftest import noise
from tests.settop.stitch.air import Air

SIZE = 300_000


@pytest.fixture
def release(make_release):
    return make_release(SIZE, symbol_size=512)


@pytest.fixture
def air(release):
    return Air(release)


def size_of(air, sbn=0):
    return int(air.layout.objects[0].block_sizes[sbn])


def digest_rows_of(air, esis, sbn=0):
    """The level-1 rows that hold the digests of these symbols."""
    places = np.full(len(esis), sbn), np.array(esis)
    first = air.layout.digest_offsets(0, *places)
    size = air.layout.symbol_size
    return sorted(set((first // size).tolist()) | set(((first + 15) // size).tolist()))


def hear_level_1(air, rows):
    sbn, esi = air.layout.objects[1].symbols_of(np.array(rows))
    air.hear_symbols(1, zip(sbn.tolist(), esi.tolist(), strict=True))


def hear_chain(air):
    """The levels above 1, and the block digests."""
    for level in range(air.layout.top, 1, -1):
        geometry = air.layout.objects[level]
        sbn, esi = geometry.symbols_of(np.arange(geometry.source_symbols))
        air.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))
    hear_level_1(air, [0])


def test_a_sample_finds_a_forger_before_any_block_is_full(air):
    air.hear_digests()
    for esi in range(SAMPLE_EVERY - 1):
        air.hear([air.forged(0, 0, esi)])
    assert not air.assembly.inquiry.is_open
    air.hear([air.forged(0, 0, SAMPLE_EVERY)])
    assert air.assembly.inquiry.is_open
    air.work()
    assert [type(event) for event in air.events] == [Suspicion]
    assert not air.landings[0].held.any(), "what came before is sorted out, once and for all"


def test_large_wake_ups_are_sampled_no_less_than_small_ones(air):
    """One symbol of so many is looked at, however they come: the forged ones here are some of a few large takes."""
    air.hear_digests()
    for first in range(0, 4 * SAMPLE_EVERY, 2 * SAMPLE_EVERY):
        esis = range(first, first + 2 * SAMPLE_EVERY)
        air.hear([air.forged(0, 0, esi) if esi % 2 else air.packet(0, 0, esi) for esi in esis])
    assert air.assembly.inquiry.rejected_symbols + air.assembly.image.proven_count(0) == 4


def test_samples_of_genuine_symbols_open_nothing(air):
    air.hear_digests()
    for esi in range(3 * SAMPLE_EVERY):
        air.hear_block(0, [esi])
        assert air.assembly.image.proven_count(0) == (esi + 1) // SAMPLE_EVERY
    assert not air.assembly.inquiry.is_open


def test_samples_become_rarer_and_larger_within_bounds(air):
    """Judging one costs about as much as judging some: one in 16 of all may have come since the last time."""
    inquiry, one = air.assembly.inquiry, np.array([0])
    assert not inquiry.is_sample_due(SAMPLE_EVERY - 1)
    assert inquiry.is_sample_due(1)
    assert inquiry.is_sample_due(15 * 1000 - SAMPLE_EVERY)
    inquiry.sample(one)
    assert not inquiry.is_sample_due(999)
    assert inquiry.is_sample_due(1)
    assert inquiry.is_sample_due(10**6)
    inquiry.sample(one)
    assert not inquiry.is_sample_due(SAMPLE_EVERY * SAMPLES_AT_ONCE - 1)
    assert inquiry.is_sample_due(1)


def last_digests(air):
    """The ESIs of level 1's last symbols, which hold no block's digest."""
    return range(
        int(air.layout.objects[1].block_sizes[0]) - MOST_DIGESTS_WAITING - 1, air.layout.objects[1].block_sizes[0]
    )


def test_a_forged_digest_opens_the_inquiry_with_the_next_sample(air):
    air.hear_digests(block_digests_only=True)
    air.hear([air.forged(1, 0, last_digests(air)[0])])
    assert not air.assembly.inquiry.is_open, "digests wait for a sample, since few cost as much as many"
    for esi in range(SAMPLE_EVERY):
        air.hear_block(0, [esi])
    assert air.assembly.inquiry.is_open


def test_digests_do_not_wait_for_ever(air):
    air.hear_digests(block_digests_only=True)
    air.hear([air.packet(2, 0, esi) for esi in range(air.layout.objects[2].source_symbols)])
    first, *others, last = last_digests(air)[:MOST_DIGESTS_WAITING]  # those of level 2 wait, too
    air.hear([air.forged(1, 0, first)])
    for esi in others:
        air.hear([air.packet(1, 0, esi)])
    assert not air.assembly.inquiry.is_open
    air.hear([air.packet(1, 0, last)])
    assert air.assembly.inquiry.is_open


def test_a_forged_digest_opens_the_inquiry(air):
    air.hear([air.forged(air.layout.top, 0, 0)])
    assert air.assembly.inquiry.is_open
    air.hear_digests()
    for sbn in range(air.layout.objects[0].blocks):
        air.hear_block(sbn)
    air.work()
    assert air.assembly.is_verified
    assert sum(isinstance(event, Suspicion) for event in air.events) == 1


def test_a_row_that_a_forger_took_is_free_when_its_digest_comes(air):
    hear_chain(air)
    air.assembly.inquiry.begin()
    far = size_of(air) - 3
    air.hear([air.forged(0, 0, far)])
    assert air.hear_block(0, [far]) == 0, "the forged one lies there, nobody knows better"
    hear_level_1(air, digest_rows_of(air, [far]))
    assert not air.landings[0].held[far]
    assert air.hear_block(0, [far]) == 1
    assert air.assembly.image.proven[far]


@pytest.mark.parametrize(("most", "is_at_once"), [(32, True), (31, False)])
def test_so_many_symbols_are_judged_at_once_when_their_digests_come_and_more_are_a_job(
    air, monkeypatch, most, is_at_once
):
    """A symbol of level 1 has 32 digests."""
    monkeypatch.setattr(suspicion, "MOST_AT_ONCE", most)
    hear_chain(air)
    air.assembly.inquiry.begin()
    air.hear_block(0, range(100))
    assert air.assembly.next_job() is None or air.assembly.image.proven_count(0)
    before = air.assembly.image.proven_count(0)
    hear_level_1(air, [1])
    assert air.assembly.image.proven_count(0) - before == (32 if is_at_once else 0)
    air.work()
    assert air.assembly.image.proven_count(0) - before == 32
    assert ("SortJob" in air.jobs) != is_at_once


def test_a_forged_symbol_that_comes_with_its_digest_is_counted_once(air):
    hear_chain(air)
    air.assembly.inquiry.begin()
    (row,) = digest_rows_of(air, [40])
    sbn, esi = air.layout.objects[1].symbols_of(np.array([row]))
    air.hear([air.forged(0, 0, 40), air.packet(1, int(sbn[0]), int(esi[0]))])
    assert not air.landings[0].held[40]
    assert air.assembly.rejected_symbols == 1


def test_a_flood_is_judged_as_it_comes_and_costs_no_genuine_symbol(air):
    air.hear_digests()
    air.assembly.inquiry.begin()
    for begin in range(0, size_of(air), 20):
        esis = range(begin, min(begin + 20, size_of(air)))
        for seed in range(10):
            air.hear([air.forged(0, 0, esi, seed) for esi in esis])
        assert air.hear_block(0, esis) == len(esis)
    air.work()
    assert air.assembly.image.done_blocks == 1
    assert air.assembly.rejected_symbols == 10 * size_of(air)


def test_a_block_full_of_lies_waits_for_proof_and_keeps_what_is_genuine(air):
    """The genuine half comes first and is never asked for again."""
    hear_chain(air)
    size = size_of(air)
    air.hear_block(0, range(0, size, 2))
    air.hear(air.forged(0, 0, esi) for esi in range(1, size, 2))
    hear_level_1(air, digest_rows_of(air, range(size // 2)))
    air.work()
    air.hear(air.forged(0, 0, esi) for esi in range(size, 2 * size))
    air.work()
    assert air.assembly.inquiry.needs_proof(0)
    assert air.landings[0].held[0:size:2].all()
    hear_level_1(air, digest_rows_of(air, range(size)))
    air.work()
    assert air.landings[0].held[0:size:2].all()
    assert not air.landings[0].held[1:size:2].any()
    hear_level_1(air, digest_rows_of(air, range(size, 2 * size)))
    air.hear_block(0, range(size, size + size - (size + 1) // 2 + 2))
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_who_cannot_decode_needs_every_source_symbol_proven(release):
    air = Air(release, can_decode=False)
    air.hear_digests()
    air.hear([air.forged(0, 0, 3)])
    air.hear_block(0)
    air.work()
    assert air.assembly.image.done_blocks == 0
    assert air.hear_block(0, [3]) == 1
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_few_forged_ones_are_found_by_surplus_alone(air):
    """Two forged symbols whose digests are not known: they are found where they fall into one part."""
    air.hear_digests(block_digests_only=True)
    size = size_of(air)
    air.hear([air.forged(0, 0, 100), air.forged(0, 0, 132)])
    air.hear_block(0)
    heard = size
    while not air.assembly.image.done_blocks:
        air.work()
        assert not air.assembly.inquiry.needs_proof(0)
        if not air.assembly.image.done_blocks:
            assert air.hear_block(0, [heard]) <= 1
            heard += 1
    assert "LeaveOutJob" in air.jobs
    assert heard - size <= size * SURPLUS_SHARES[-1] + LEAST_SURPLUS


def test_when_no_surplus_helps_the_block_waits_for_proof(air):
    air.hear_digests(block_digests_only=True)
    size = size_of(air)
    air.hear(air.forged(0, 0, esi) for esi in range(0, size, 2))
    air.hear_block(0)
    for more in range(size // 4):
        air.hear_block(0, [size + more])
        air.work()
    assert air.assembly.inquiry.needs_proof(0)
    assert air.assembly.image.held_rows(0).size > size, "nothing is dropped, and more is taken"
    air.hear_digests()
    air.work()
    held = air.assembly.image.held_rows(0)
    assert air.assembly.image.proven[held].all()
    air.hear_block(0, range(0, size, 2))
    air.work()
    assert air.assembly.image.done_blocks == 1


def hear_lies_until_it_waits_for_proof(air):
    """A block full of forged symbols none of which can be judged."""
    hear_chain(air)
    size = size_of(air)
    for begin in range(100, 2 * size, 20):
        if air.assembly.inquiry.needs_proof(0):
            return
        air.hear(air.forged(0, 0, esi) for esi in range(begin, min(begin + 20, 2 * size)))
        air.work()
    raise AssertionError("it takes whatever comes")


def waiting(air):
    """A block that waits for proof and has exactly K proven symbols, one of them repair."""
    hear_lies_until_it_waits_for_proof(air)
    air.hear_digests()
    air.work()
    size = size_of(air)
    air.hear_block(0, range(1, size))
    assert air.assembly.next_job() is None
    air.hear_block(0, [size])
    job = air.assembly.next_job()
    assert isinstance(job, DecodeJob)
    return job


def test_too_few_proven_ones_wait_for_one_more(air):
    job = waiting(air)
    air.assembly.finish_job(JobResult(job, Finding.TOO_FEW))
    assert air.assembly.next_job() is None
    air.hear([air.forged(0, 0, size_of(air) + 1)])
    assert air.assembly.next_job() is None
    air.hear_block(0, [size_of(air) + 1])
    assert isinstance(air.assembly.next_job(), DecodeJob)


def test_proven_symbols_that_are_wrong_together_are_fetched_again(air):
    """What was judged good has changed since: memory, or the disk below it."""
    job = waiting(air)
    air.assembly.finish_job(JobResult(job, Finding.MISMATCH))
    assert not air.assembly.image.held_rows(0).size
    assert air.landings[0].wanted[0] == size_of(air)
    assert air.hear_block(0) == size_of(air)
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_forged_repair_symbols_make_room_for_genuine_ones(air):
    """More forged repair symbols than there are slots, none of which can be judged."""
    hear_lies_until_it_waits_for_proof(air)
    size, landing = size_of(air), air.landings[0]
    free = int(landing.free_count[0])
    landing.free_count[0] = free // 2
    for esi in range(size, 2 * size):
        air.hear([air.forged(0, 0, esi)])
        assert landing.free_count[0] > 0


def test_unproven_repair_symbols_go_as_soon_as_too_few_slots_are_free(air, monkeypatch):
    hear_lies_until_it_waits_for_proof(air)
    landing, size = air.landings[0], size_of(air)
    air.hear([air.forged(0, 0, size), air.forged(0, 0, size + 1)])
    monkeypatch.setattr(suspicion, "LEAST_FREE_SHARE", 1 / 2)
    assert len(landing.repair) % 2 == 0
    landing.free_count[0] = len(landing.repair) // 2
    air.assembly.inquiry.make_room()
    assert landing.repair_held[0] > 0
    landing.free_count[0] -= 1
    air.assembly.inquiry.make_room()
    assert landing.repair_held[0] == 0


def test_a_block_that_has_enough_without_what_was_sorted_out_is_tried_at_once(air):
    """It took its surplus before its digests were held against it."""
    air.hear_digests()
    size = size_of(air)
    air.hear([air.forged(0, 0, 3)])
    air.hear_block(0)
    job = air.assembly.next_job()
    assert air.assembly.finish_job(run_job(job, codec())) != []
    assert air.hear_block(0, range(size, size + LEAST_SURPLUS)) == LEAST_SURPLUS
    air.work()
    assert air.assembly.image.done_blocks == 1
    assert air.assembly.rejected_symbols == 1


def test_a_block_that_lacks_what_was_sorted_out_wants_just_that(air):
    air.hear_digests()
    air.hear(air.forged(0, 0, esi) for esi in (3, 40, 77))
    air.hear_block(0)
    air.work()
    assert air.landings[0].wanted[0] == 3
    assert air.hear_block(0, [3, 40, 77]) == 3
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_a_block_that_has_its_proof_does_not_wait_for_a_doubted_symbol_beside_it(air):
    """All source symbols are proven; a repair symbol is not, on a day when forgers are many."""
    hear_chain(air)
    size = size_of(air)
    air.assembly.image.want_more(0, 1)
    air.assembly.inquiry.begin()
    hear_level_1(air, digest_rows_of(air, range(size)))
    air.hear(air.forged(0, 0, esi) for esi in range(8))
    assert air.assembly.rejected_symbols == 8
    air.hear([air.packet(0, 0, 2 * size - 1)])
    assert not air.assembly.image.proven.all()
    air.hear_block(0)
    air.work()
    assert air.assembly.image.done_blocks == 1


@pytest.mark.parametrize("found", [FEW_FORGED, FEW_FORGED + 1])
def test_after_few_forged_symbols_a_full_block_is_tried_and_after_more_it_waits_for_proof(air, found):
    hear_chain(air)
    air.assembly.inquiry.begin()
    hear_level_1(air, digest_rows_of(air, range(found)))
    air.hear(air.forged(0, 0, esi) for esi in range(found))
    assert air.assembly.rejected_symbols == found
    air.hear_block(0)
    assert (air.assembly.next_job() is None) == (found > FEW_FORGED)
    assert air.assembly.inquiry.needs_proof(0) == (found > FEW_FORGED)


def test_a_job_in_hand_keeps_its_symbols(air):
    """While a block is worked on nothing of it is judged; that is done later."""
    hear_chain(air)
    air.hear_block(0)
    air.landings[0].source[5] ^= 1
    job = air.assembly.next_job()
    air.assembly.inquiry.begin()
    hear_level_1(air, digest_rows_of(air, [5]))
    assert air.landings[0].held[5]
    air.assembly.finish_job(JobResult(job, Finding.MISMATCH))
    air.work()
    assert not air.landings[0].held[5]
    assert air.hear_block(0, [5]) == 1
    air.work()
    assert air.assembly.image.done_blocks == 1


def test_parts_leave_out_each_doubted_symbol_once_and_no_proven_one(air):
    hear_chain(air)
    size = size_of(air)
    air.hear([air.forged(0, 0, 100), air.forged(0, 0, 101)])
    air.hear_block(0)
    hear_level_1(air, digest_rows_of(air, range(200, 220)))
    for _ in range(2):
        air.work()
        air.hear_block(0, range(size, size + 30))
    job = air.assembly.next_job()
    assert isinstance(job, LeaveOutJob)
    left_out = np.concatenate([np.concatenate([sources, job.present.esis[repairs]]) for sources, repairs in job.parts])
    held = air.assembly.image.held_rows(0)
    _, esi = air.layout.objects[0].symbols_of(held[~air.assembly.image.proven[held]])
    assert sorted(left_out.tolist()) == sorted(esi.tolist())
    spare = len(held) - size
    assert all(len(sources) + len(repairs) <= spare for sources, repairs in job.parts)


def test_with_one_symbol_to_spare_one_is_left_out_at_a_time_as_long_as_few_are_doubted(air):
    size, image = size_of(air), air.assembly.image
    air.hear_block(0, range(size - 1))
    air.hear_block(0, [size])
    assert air.assembly.inquiry.parts(0, image.present(0)) == (), "nothing to spare"
    image.want_more(0, 1)
    air.hear_block(0, [size + 1])
    present, held = image.present(0), image.held_rows(0)
    for doubted, parts in ((0, 0), (1, 1), (3, 3), (MOST_PARTS, MOST_PARTS), (MOST_PARTS + 1, 0)):
        image.proven[held] = True
        image.proven[held[:doubted]] = False
        left_out = air.assembly.inquiry.parts(0, present)
        assert [(sources.tolist(), repairs.tolist()) for sources, repairs in left_out] == [
            ([esi], []) for esi in range(parts)
        ]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_in_any_order_the_image_is_stitched(release, seed):
    """Genuine symbols and digests, a forged one for each, shuffled; then the carousel goes on."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    air = Air(release)
    places = [
        (level, int(sbn), int(esi))
        for level, geometry in enumerate(air.layout.objects)
        for sbn, esi in zip(*geometry.symbols_of(np.arange(geometry.rows)), strict=True)
    ]
    for _ in range(3):
        for index in rng.permutation(len(places)).tolist():
            if rng.random() < 0.7:
                air.hear([air.forged(*places[int(rng.integers(len(places)))], seed)])
            air.hear([air.packet(*places[index])])
            if rng.random() < 0.05:
                air.work()
        air.work()
        if air.assembly.is_verified:
            break
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)
