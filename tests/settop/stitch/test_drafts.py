"""Blocks that lack few symbols are decoded before they are full; whatever comes then, the image is right."""

import subprocess
import sys

import pytest

from carousel.fec import codec
from carousel.release import layout
from headend.cast import wheel
from headend.pack import packing
from settop.events import BlockVerified, Suspicion
from settop.stitch import drafts
from settop.stitch.assembly import Assembly
from settop.stitch.drafts import MOST_DRAFT_BYTES, MOST_LATE, Drafts
from settop.stitch.holdings import BlockState
from settop.stitch.jobs import DraftJob, Finding, FinishJob, JobResult, run_job
from tests.carousel.native.need import needs_native
from tests.conftest import noise
from tests.settop.stitch.air import Air

pytestmark = needs_native
SIZE, BLOCKS = 200_009, 5
MISSED = 90
"""The first source symbols of each block went out before the box came."""


@pytest.fixture
def silent(make_release, monkeypatch):
    monkeypatch.setattr(packing, "blocks_of_image", lambda symbols: BLOCKS)
    monkeypatch.setattr(layout, "MAX_LEVEL_BLOCK_SYMBOLS", 40)
    return Air(make_release(SIZE, symbol_size=256, version="1.9.6"))


@pytest.fixture
def air(silent):
    silent.hear_digests()
    return silent


def size_of(air, sbn):
    return int(air.layout.objects[0].block_sizes[sbn])


def hear_till(air, lacking, blocks=range(BLOCKS), missed=MISSED, but=()):
    """Let blocks have what a box hears that tuned in late, till they lack so many symbols (or each its own)."""
    each = [lacking] * len(blocks) if isinstance(lacking, int) else lacking
    for sbn, count in zip(blocks, each, strict=True):
        air.hear_block(sbn, range(missed, size_of(air, sbn) - (0 if missed else count)))
    for sbn, count in zip(blocks, each, strict=True):
        end = size_of(air, sbn) + missed - count
        if missed:
            air.hear_block(sbn, [esi for esi in range(end - missed + count, end) if (sbn, esi) not in but])


def hear_rest(air, lacking, blocks=range(BLOCKS), missed=MISSED):
    for sbn in blocks:
        end = size_of(air, sbn) + missed
        air.hear_block(sbn, range(end - lacking, end))


def states(air):
    return air.assembly.image.state.tolist()


def verified(air):
    return sorted(event.sbn for event in air.events if isinstance(event, BlockVerified))


def test_blocks_that_lack_few_symbols_are_drafted_and_finished_by_those(air):
    hear_till(air, MOST_LATE)
    air.work()
    assert air.jobs == ["DraftJob"] * BLOCKS
    assert states(air) == [BlockState.DRAFTED] * BLOCKS
    hear_rest(air, MOST_LATE)
    air.work()
    assert air.jobs[BLOCKS:] == ["FinishJob"] * BLOCKS
    assert verified(air) == list(range(BLOCKS))
    assert air.image == noise(SIZE)


def test_late_source_symbols_finish_a_draft_too(air):
    """Tuned in among repair symbols: the last to come are source symbols."""
    for sbn in range(BLOCKS):
        air.hear_block(sbn, range(size_of(air, sbn) + 100, 2 * size_of(air, sbn)))
    for sbn in range(BLOCKS):
        air.hear_block(sbn, range(100 - 10))
    air.work()
    for sbn in range(BLOCKS):
        air.hear_block(sbn, range(90, 100))
    air.work()
    assert air.jobs == ["DraftJob"] * BLOCKS + ["FinishJob"] * BLOCKS
    assert air.image == noise(SIZE)


def test_a_block_may_lack_any_number_of_symbols_when_its_draft_begins(air):
    hear_till(air, [1, 2, 9, MOST_LATE, MOST_LATE - 1])
    air.work()
    for sbn, lacking in enumerate((1, 2, 9, MOST_LATE, MOST_LATE - 1)):
        hear_rest(air, lacking, [sbn])
    air.work()
    assert air.jobs == ["DraftJob"] * BLOCKS + ["FinishJob"] * BLOCKS
    assert air.image == noise(SIZE)


def test_nothing_is_drafted_that_needs_no_decoding(air):
    hear_till(air, 5, missed=0)
    air.work()
    assert air.jobs == []


def test_nothing_is_drafted_where_blocks_fill_one_by_one(air):
    hear_till(air, [5, 5, *[MOST_LATE + 1] * 3])
    air.work()
    assert air.jobs == []
    air.hear_block(2, [size_of(air, 2) + MISSED - MOST_LATE - 1])
    air.work()
    assert air.jobs == ["DraftJob"] * 3, "now more lack few than lack more"


def test_two_head_ends_half_a_cycle_apart_leave_nothing_to_foresee(air):
    """What comes next is of two places then; a draft would keep the symbols of one off, and be of no use."""
    for sbn in range(BLOCKS):
        size = size_of(air, sbn)
        air.hear_block(sbn, [esi for half in range(size // 2 - 5) for esi in (half + 20, size + half)])
    air.work()
    assert air.jobs == []
    for sbn in range(BLOCKS):
        half, size = size_of(air, sbn) // 2 - 5, size_of(air, sbn)
        air.hear_block(sbn, [esi for each in range(half, half + 6) for esi in (each + 20, size + each)])
    air.work()
    assert air.jobs == ["DecodeJob"] * BLOCKS
    assert air.image == noise(SIZE)


def test_behind_the_turn_from_source_to_repair_symbols_blocks_are_drafted_again(air):
    hear_till(air, 20, missed=40)
    assert air.assembly.next_job() is None, "just now the last symbols are of two kinds"
    for sbn in range(BLOCKS):
        size = size_of(air, sbn)
        air.hear_block(sbn, range(size + 20, size + 32))
    air.work()
    assert air.jobs == ["DraftJob"] * BLOCKS


def test_where_nothing_near_is_on_its_way_a_block_is_drafted_later(air):
    """The gap is elsewhere, as after a resumed reception; or what lacks few was there before anything came."""
    for sbn in range(BLOCKS):
        size = size_of(air, sbn)
        air.hear_block(sbn, [*range(30, size), *range(2 * size - 10, 2 * size)])
    air.assembly.drafts = Drafts(air.assembly.image, MOST_DRAFT_BYTES)
    air.work()
    assert air.jobs == [], "nothing was heard"
    for sbn in range(BLOCKS):
        air.hear_block(sbn, [size_of(air, sbn) + 1])
    air.work()
    assert air.jobs == ["DraftJob"] * BLOCKS


def test_the_carousel_shuffles_as_far_as_drafts_expect():
    names = ("CHUNK_PACKETS", "WINDOW_PACKETS", "LEAST_WINDOWS", "FEWEST_CHUNKS")
    assert [getattr(drafts, name) for name in names] == [getattr(wheel, name) for name in names]


def test_nothing_is_drafted_before_all_block_digests_are_known(make_release):
    air = Air(make_release(50_000, symbol_size=256, version="1.6.0"))
    for begin, end in ((190, 196), (196, 200), (200, 196 + 190 - 5)):
        air.hear_block(0, range(begin, end))
    air.work()
    assert air.jobs == []
    air.hear_digests()
    air.work()
    assert air.jobs == ["DraftJob"]


def test_a_source_symbol_that_nobody_expects_does_not_land_on_a_draft_and_ends_it(air):
    """A carousel may jump: a head-end started anew, or another one took over. A box must not keep its symbols off."""
    hear_till(air, 20)
    air.work()
    before = air.landings[0].source.copy()
    assert air.hear_block(0, [0]) == 0
    assert (air.landings[0].source == before).all()
    air.work()
    assert states(air) == [BlockState.OPEN] + [BlockState.DRAFTED] * (BLOCKS - 1)
    assert air.hear_block(0, range(20)) == 20, "from then on they land"
    air.work()
    assert air.jobs[BLOCKS:] == ["DecodeJob"]
    hear_rest(air, 20)
    air.work()
    assert air.image == noise(SIZE)


def test_repair_symbols_that_nobody_expects_make_a_block_be_decoded(air):
    hear_till(air, 12)
    air.work()
    for sbn in range(BLOCKS):
        size = size_of(air, sbn)
        assert air.hear_block(sbn, range(2 * size - 12, 2 * size)) == 12
    air.work()
    assert air.jobs == ["DraftJob"] * BLOCKS + ["DecodeJob"] * BLOCKS
    assert air.image == noise(SIZE)


def test_a_block_that_fills_while_it_is_drafted_waits_for_its_draft(air):
    hear_till(air, 3, [0, 1, 2])
    job = air.assembly.next_job()
    assert isinstance(job, DraftJob)
    hear_rest(air, 3, [job.sbn])
    others = [air.assembly.next_job() for _ in range(2)]
    assert [type(other) for other in others] == [DraftJob] * 2
    assert air.assembly.next_job() is None
    air.assembly.finish_job(run_job(job, codec()))
    last = air.assembly.next_job()
    assert isinstance(last, FinishJob)
    assert last.sbn == job.sbn
    assert run_job(last, codec()).finding is Finding.GOOD


def test_a_draft_that_fails_leaves_the_block_as_it_was(air):
    hear_till(air, 3, [0, 1, 2])
    held = air.landings[0].held.copy()
    job = air.assembly.next_job()
    assert air.assembly.finish_job(JobResult(job, Finding.FAILED, error="OSError")) == []
    assert (air.landings[0].held == held).all()
    assert states(air)[job.sbn] == BlockState.OPEN
    hear_rest(air, 3, [job.sbn])
    air.work()
    assert "DecodeJob" in air.jobs
    assert verified(air) == [job.sbn]


def test_a_finish_that_fails_is_tried_again_by_decoding(air):
    hear_till(air, 3, [0, 1, 2])
    air.work()
    hear_rest(air, 3, [1])
    job = air.assembly.next_job()
    assert isinstance(job, FinishJob)
    air.assembly.finish_job(JobResult(job, Finding.FAILED, error="MemoryError"))
    air.work()
    assert air.jobs[-1] == "DecodeJob"
    assert verified(air) == [1]


def test_a_forged_symbol_is_found_in_a_drafted_block_as_in_any_other(air):
    forged = size_of(air, 0) + 7
    air.hear([air.forged(0, 0, forged)])
    hear_till(air, 8, but=[(0, forged)])
    drafted = [air.assembly.next_job() for _ in range(BLOCKS)]
    for job in drafted:
        assert isinstance(job, DraftJob)
        air.assembly.finish_job(run_job(job, codec()))
    held = air.landings[0].held.copy()
    hear_rest(air, 8, [0])
    air.work()
    assert [event.block for event in air.events if isinstance(event, Suspicion)] == [0]
    assert BlockState.DRAFTED not in states(air), "who is suspicious judges each symbol, drafted or not"
    first = int(air.landings[0].first_rows[1])
    assert held[first : first + 20].all()
    assert not air.landings[0].held[first : first + 20].any()
    hear_rest(air, 8, [1, 2, 3, 4])
    air.hear_block(0, [forged])
    air.work()
    assert air.image == noise(SIZE)
    assert air.assembly.is_verified


def test_rows_of_a_draft_do_not_look_as_if_they_had_been_written(air):
    hear_till(air, 10)
    air.work()
    gone = air.landings[0].source[: MISSED - 20]
    assert gone.any(axis=1).all()
    assert not gone[:, :8].any()


@pytest.mark.parametrize(("most_bytes", "drafted"), [(0, 0), (40_000, 2)])
def test_drafts_have_no_more_memory_than_they_may(silent, most_bytes, drafted):
    air = silent
    air.assembly = Assembly(air.release.header, air.layout, air.landings, False, True, most_bytes)
    air.hear_digests()
    hear_till(air, 10)
    air.work()
    assert air.jobs == ["DraftJob"] * drafted, "the others when there is room, if there is time"
    hear_rest(air, 10)
    air.work()
    assert air.jobs.count("DecodeJob") == BLOCKS - drafted
    assert air.assembly.is_verified


BEGIN = """
import sys
import numpy as np
from carousel.release.blocks import ObjectGeometry
from carousel.take import Landing
from settop.stitch.drafts import Drafts
from settop.stitch.holdings import Holdings

landing = Landing(ObjectGeometry(800, 8, 1, 100), *np.zeros((2, 100, 8), dtype=np.uint8))
landing.held[10:105], landing.wanted[0], landing.repair_held[0] = 1, 5, 5
landing.slot_sbn[:5], landing.slot_esi[:5] = 0, range(100, 105)
drafts = Drafts(Holdings(landing), 1 << 20)
drafts.heard(np.array([104]))
print(drafts.begin() is not None, "numpy.ma" in sys.modules)
"""


def test_a_draft_begins_without_an_import():
    """NumPy's own sets would cost one: 20 ms while the last packets come."""
    assert subprocess.check_output([sys.executable, "-c", BEGIN], text=True) == "True False\n"
