"""Digest levels: proven from the top down, in any order of arrival, forged symbols dropped."""

import numpy as np
import pytest

from carousel.fec import codec
from settop.stitch.digesttree import DigestTree
from settop.stitch.jobs import Finding, JobResult, run_job
from tests.settop.stitch.air import Air


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(400_000, symbol_size=256, version="1.7.0")


@pytest.fixture
def air(release):
    assert release.layout.top >= 3
    return Air(release)


def all_packets(air, levels):
    for level in levels:
        geometry = air.layout.objects[level]
        sbn, esi = geometry.symbols_of(np.arange(geometry.source_symbols))
        yield from (air.packet(level, *place) for place in zip(sbn.tolist(), esi.tolist(), strict=True))


def hear_level_by_level(air, order):
    for level in order:
        air.hear(all_packets(air, [level]))


@pytest.mark.parametrize("seed", range(3))
def test_any_order_proves_all(air, seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    packets = list(all_packets(air, range(1, air.layout.top + 1)))
    for index in rng.permutation(len(packets)).tolist():
        air.hear([packets[index]])
    air.hear_block(0)  # a sample is due, and digests that waited for it are judged
    tree = air.assembly.tree
    sources = sum(geometry.source_symbols for geometry in air.layout.objects[1:])
    assert tree.proven_symbols == sources
    assert tree.has_all_block_digests
    assert tree.forged_symbols == 0


def test_nothing_is_known_before_the_levels_above(air):
    tree = air.assembly.tree
    hear_level_by_level(air, range(1, air.layout.top))
    assert tree.proven_symbols == 0
    assert tree.block_digest(0) is None
    hear_level_by_level(air, [air.layout.top])
    assert tree.block_digest(0) is not None


def test_forged_symbols_are_dropped_when_they_can_be_judged_and_the_genuine_ones_come(air):
    forged = [air.forged(level, 0, 0) for level in range(1, air.layout.top + 1)]
    assert air.hear(forged) == len(forged)
    hear_level_by_level(air, range(air.layout.top, 0, -1))
    hear_level_by_level(air, range(air.layout.top, 0, -1))
    tree = air.assembly.tree
    assert tree.forged_symbols >= len(forged) - 1
    assert tree.has_all_block_digests


@pytest.mark.parametrize("is_padding_forged", [True, False])
def test_the_top_must_be_right_to_the_last_byte_of_its_symbol(air, is_padding_forged):
    """The header's digest covers what the level holds; behind it there are zeros."""
    top = air.layout.top
    size, symbol = air.layout.objects[top].transfer_length, bytearray(air.symbol(top, 0, 0))
    assert not any(symbol[size:])
    symbol[size if is_padding_forged else 0] ^= 1
    air.hear([air.packet_of(top, 0, 0, bytes(symbol))])
    assert (air.assembly.tree.forged_symbols, air.assembly.tree.proven_symbols) == (1, 0)
    air.hear_symbols(top, [(0, 0)])
    assert air.assembly.tree.proven_symbols == 1


def test_a_digest_that_lies_in_two_symbols_is_known_when_both_are_there(make_release):
    air = Air(make_release(40_000, symbol_size=264))
    image, tree = air.layout.objects[0], air.assembly.tree
    hear_level_by_level(air, range(air.layout.top, 1, -1))
    air.hear_symbols(1, [(0, 1)])
    places = image.symbols_of(np.arange(image.rows))
    begin = air.layout.digest_offsets(0, *places)
    known = tree.knows(0, *places)
    assert known.tolist() == ((begin >= 264) & (begin + 16 <= 2 * 264)).tolist()
    assert np.count_nonzero(known) == 16, "of the 17 that begin here one is cut"


def test_the_digests_are_the_ones_of_the_symbols(air):
    from carousel.release.digests import symbol_digest

    hear_level_by_level(air, range(air.layout.top, 0, -1))
    tree, image = air.assembly.tree, air.layout.objects[0]
    rows = np.array([0, 5, image.source_symbols - 1, image.source_symbols, image.rows - 1])
    sbn, esi = image.symbols_of(rows)
    assert tree.knows(0, sbn, esi).all()
    places = list(zip(sbn.tolist(), esi.tolist(), strict=True))
    found = [digest.tobytes() for digest in tree.digests(0, sbn, esi)]
    assert found == [symbol_digest(0, *place, air.symbol(0, *place)) for place in places]


def test_symbols_are_named_when_their_digests_become_known(air):
    tree, image = air.assembly.tree, air.layout.objects[0]
    hear_level_by_level(air, range(air.layout.top, 1, -1))
    assert tree.fresh_image_rows().size == 0
    level_1 = air.layout.objects[1]
    for row in (level_1.source_symbols - 1, 0):  # without the first one none waits to be judged
        sbn, esi = level_1.symbols_of(np.array([row]))
        air.hear_symbols(1, [(int(sbn[0]), int(esi[0]))])
    rows = tree.fresh_image_rows()
    sbn, esi = image.symbols_of(rows)
    assert tree.knows(0, sbn, esi).all()
    known = tree.knows(0, *image.symbols_of(np.arange(image.rows)))
    assert sorted(rows.tolist()) == np.flatnonzero(known).tolist()
    assert {int(sbn[0]), int(sbn[-1])} == {0, image.blocks - 1}
    assert tree.fresh_image_rows().size == 0


def test_a_level_is_completed_from_its_repair_symbols(air):
    """Half of level 1 is lost: proven symbols of it decode the rest, which then needs no proof of its own."""
    tree, level_1 = air.assembly.tree, air.layout.objects[1]
    for level in range(air.layout.top, 1, -1):
        geometry = air.layout.objects[level]
        sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
        air.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))
    rng, size = np.random.default_rng(4), int(level_1.block_sizes[0])
    chosen = rng.permutation(size + level_1.repair_per_block)[: size + 6]
    air.hear_symbols(1, [(0, esi) for esi in chosen.tolist()])
    air.assembly.inquiry.begin()
    job = air.assembly.next_job()
    assert (job.level, job.sbn) == (1, 0)
    result = run_job(job, codec())
    assert result.finding is Finding.GOOD
    air.assembly.finish_job(result)
    assert tree.holdings(1).proven[: level_1.source_symbols].all()
    assert tree.knows(0, *air.layout.objects[0].symbols_of(np.arange(air.layout.objects[0].rows))).all()


def test_what_an_earlier_run_left_is_judged_again(air):
    hear_level_by_level(air, range(1, air.layout.top + 1))
    air.landings[1].source[2] ^= 1
    tree = DigestTree(air.layout, air.release.header.top_sha256, air.landings)
    tree.resume()
    level_1 = air.layout.objects[1]
    assert np.flatnonzero(~tree.holdings(1).proven[: level_1.source_symbols]).tolist() == [2]
    assert not air.landings[1].held[2]
    assert tree.forged_symbols == 0


def test_what_an_earlier_run_tore_is_no_forgery_though_its_digest_comes_later(air):
    hear_level_by_level(air, [1])
    air.landings[1].source[2] ^= 1
    tree = air.assemble(resumed=True).tree
    hear_level_by_level(air, range(air.layout.top, 1, -1))
    assert not air.landings[1].held[2]
    assert tree.forged_symbols == 0
    air.hear([air.forged(1, 0, 2)])
    air.hear_block(0)
    assert tree.forged_symbols == 1, "but what comes now is"


def test_a_digest_for_a_symbol_of_a_block_that_is_done_comes_too_late_and_hurts_nothing(air):
    """Level 1 was decoded from proven symbols; those beside them, which nobody had proved, have lost their slots."""
    level_1, level_2 = air.layout.objects[1], air.layout.objects[2]
    assert level_2.source_symbols > 2
    hear_level_by_level(air, range(air.layout.top, 2, -1))
    late = level_2.source_symbols - 1
    air.hear_symbols(2, [(0, esi) for esi in range(late)])
    size = int(level_1.block_sizes[0])
    air.hear_symbols(1, [(0, esi) for esi in range(3, size + level_1.repair_per_block)])
    tree = air.assembly.tree
    is_unproven = (air.landings[1].held != 0) & ~tree.holdings(1).proven
    assert is_unproven[level_1.source_symbols :].any()
    air.assembly.inquiry.begin()
    air.work()
    assert tree.holdings(1).proven[: level_1.source_symbols].all()
    air.hear_symbols(2, [(0, late)])
    assert tree.forged_symbols == 0


def hear_enough_to_decode_level_1(air):
    """Let nearly all come that decodes level 1, proven; return how many source symbols it has."""
    level_1 = air.layout.objects[1]
    for level in range(air.layout.top, 1, -1):
        geometry = air.layout.objects[level]
        sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
        air.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))
    size = int(level_1.block_sizes[0])
    air.hear_symbols(1, [(0, esi) for esi in range(4, size + 6)])
    return size


def level_1_to_decode(air):
    """The job that decodes level 1, and how many source symbols that has."""
    size = hear_enough_to_decode_level_1(air)
    air.assembly.inquiry.begin()
    job = air.assembly.next_job()
    assert (job.level, job.sbn) == (1, 0)
    return job, size


@pytest.mark.parametrize("can_decode", [True, False])
def test_a_level_is_decoded_on_suspicion_alone_and_by_who_can(release, can_decode):
    air = Air(release, can_decode)
    hear_enough_to_decode_level_1(air)
    assert air.assembly.next_job() is None
    air.assembly.inquiry.begin()
    assert (air.assembly.next_job() is not None) == can_decode


def test_a_level_that_did_not_decode_takes_more_symbols_and_is_tried_again(air):
    job, size = level_1_to_decode(air)
    assert air.hear_symbols(1, [(0, size + 6)]) == 0, "a busy block takes nothing"
    assert air.assembly.finish_job(JobResult(job, Finding.TOO_FEW)) == []
    assert air.hear_symbols(1, [(0, size + 6)]) == 1
    air.work()
    assert air.assembly.tree.holdings(1).proven[:size].all()


def test_a_level_whose_job_raises_again_and_again_begins_afresh(air):
    job, size = level_1_to_decode(air)
    for _ in range(2):
        air.assembly.finish_job(JobResult(job, Finding.FAILED))
        job = air.assembly.next_job()
    assert air.assembly.tree.proven_symbols > size
    air.assembly.finish_job(JobResult(job, Finding.FAILED))
    assert air.assembly.failed_jobs == 3
    assert air.assembly.next_job() is None
    assert not air.landings[1].held.any()
    assert air.hear_symbols(1, [(0, esi) for esi in range(size)]) == size
    assert air.assembly.tree.holdings(1).proven[:size].all()


def test_a_decode_that_succeeds_in_between_forgets_failures(air):
    job, _ = level_1_to_decode(air)
    for finding in (Finding.FAILED, Finding.FAILED, Finding.TOO_FEW, Finding.FAILED, Finding.FAILED):
        air.assembly.finish_job(JobResult(job, finding))
        job = air.assembly.next_job()
    assert air.landings[1].held.any()


def test_a_level_is_decoded_from_proven_symbols_alone(air):
    """A forged digest symbol lies among the others; that of the level above which would tell has not come yet."""
    level_1, level_2 = air.layout.objects[1], air.layout.objects[2]
    late = level_2.source_symbols - 1
    hear_level_by_level(air, range(air.layout.top, 2, -1))
    air.hear_symbols(2, [(0, esi) for esi in range(late)])
    size = int(level_1.block_sizes[0])
    last = size + level_1.repair_per_block - 1
    air.hear([air.forged(1, 0, last)])
    air.assembly.inquiry.begin()
    air.hear_symbols(1, [(0, esi) for esi in range(3, last)])
    forged_row = int(level_1.row_of(np.array([0]), np.array([last]))[0])
    assert air.landings[1].held[forged_row]
    assert not air.assembly.tree.holdings(1).proven[forged_row]
    job = air.assembly.next_job()
    assert last not in job.present.esis
    air.assembly.finish_job(run_job(job, codec()))
    for esi in range(size):
        assert air.landings[1].source[esi].tobytes() == air.symbol(1, 0, esi)
