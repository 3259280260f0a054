"""The part file's bytes and pages: how large it is, what counts as written, and which pages are made ready when."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from carousel.release.blocks import ObjectGeometry
from carousel.release.layout import ReleaseLayout
from settop.store import ahead, partfile
from settop.store.partfile import PartFile
from tests.conftest import noise
from tests.settop.store.test_partfile import air_over

PAGE = mmap.PAGESIZE


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(60_000, symbol_size=256)


def pages(size_bytes):
    return -(-size_bytes // PAGE) * PAGE


@pytest.mark.parametrize(("with_repair", "repair_ratio"), [(True, 0.1), (False, 0.1), (True, 1.5)])
def test_the_file_is_as_large_as_its_parts(tmp_path, make_release, with_repair, repair_ratio):
    release = make_release(110_000, symbol_size=256, repair_ratio=repair_ratio)
    part = PartFile(tmp_path / "x.part", release.layout, with_repair)
    expected = 0
    for level, geometry in enumerate(release.layout.objects):
        slots = geometry.repair_symbols
        if level == 0:
            slots = min(slots, geometry.source_symbols * 9 // 8) if with_repair else 0
        assert len(part.landings[level].repair) == slots
        expected += pages(geometry.source_symbols * 256) + pages(slots * 256) + pages(8 * slots)
    assert os.path.getsize(part.path) == expected
    part.close()


def test_digest_levels_take_all_their_symbols_and_the_image_what_it_is_told(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout, surplus=5)
    image, *levels = part.landings
    assert (image.wanted == release.layout.objects[0].block_sizes + 5).all()
    for landing in levels:
        assert (landing.wanted == landing.block_sizes + landing.geometry.repair_per_block).all()
    part.close()


def test_rows_count_as_written_in_portions_as_at_once(tmp_path, release, monkeypatch):
    monkeypatch.setattr(partfile, "_ROWS_AT_ONCE", 7)
    part = PartFile(tmp_path / "x.part", release.layout)
    air = air_over(part, release)
    size = int(release.layout.objects[0].block_sizes[0])
    air.hear_block(0, [*range(3, 40), size - 2, size - 1, size + 2, size + 9])
    held = [landing.held.copy() for landing in part.landings]
    part.close()
    again = PartFile(tmp_path / "x.part", release.layout)
    for landing, before in zip(again.landings, held, strict=True):
        assert (landing.held == before).all()
    again.close()


def test_a_row_whose_begin_or_end_is_zero_was_not_written_but_the_last_one_may_be_padded(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout)
    image = release.layout.objects[0]
    source = part.landings[0].source
    source[:] = np.frombuffer(noise(60_000).ljust(image.source_symbols * 256, b"\0"), np.uint8).reshape(-1, 256)
    last = image.source_symbols - 1
    assert not source[last, -8:].any(), "padding"
    source[3, :8] = 0
    source[5, -8:] = 0
    source[last - 1, -8:] = 0
    source[9, 8:-8] = 0
    source[11, :8] = source[12, -8:] = (0, 0, 0, 0, 0, 0, 0, 0x80)
    part.close()
    again = PartFile(tmp_path / "x.part", release.layout)
    assert np.flatnonzero(again.landings[0].held[: image.source_symbols] == 0).tolist() == [3, 5, last - 1]
    again.landings[0].source[last, :8] = 0
    again.close()
    third = PartFile(tmp_path / "x.part", release.layout)
    assert not third.landings[0].held[last]
    third.close()


def test_what_an_earlier_run_left_is_read_once(tmp_path, release, monkeypatch):
    part = PartFile(tmp_path / "x.part", release.layout)
    air_over(part, release).hear_block(0)
    part.close()
    read, real = [], os.pread
    monkeypatch.setattr(
        os, "pread", lambda descriptor, size, at: read.extend(range(at, at + size)) or real(descriptor, size, at)
    )
    PartFile(tmp_path / "x.part", release.layout).close()
    assert len(read) == len(set(read)) <= os.path.getsize(tmp_path / "x.part")


def test_the_kernel_may_read_ahead_again_when_all_pages_of_the_image_are_ready(tmp_path, release, monkeypatch):
    """Till then it would read what is about to be written: the mapping is for random access ("rr", proc(5))."""
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 32 * 256)
    monkeypatch.setattr(ahead, "LEAST_RUN_BYTES", 0)
    monkeypatch.setattr(ahead, "LAST_BYTES", 1)

    def are_random():
        _, *mappings = Path("/proc/self/smaps").read_text().split(str(tmp_path / "x.part"))
        flags = [next(line for line in each.splitlines() if line.startswith("VmFlags")) for each in mappings]
        return ["rr" in each.split() for each in flags]

    part = PartFile(tmp_path / "x.part", release.layout)
    source = part.layout.objects[0].source_symbols
    part.make_ready(1, np.array([0]))
    assert are_random() == [True]
    for row in range(16, source - 32, 32):
        part.make_ready(0, np.array([row]))
    assert are_random() == [True]
    part.make_ready(0, np.array([source - 1]))
    assert are_random() == [False, True], "but for the slots of repair symbols, which go on being made ready"
    part._map.madvise(mmap.MADV_RANDOM)
    part.make_ready(0, np.array([1]))
    assert are_random() == [True], "it is told once"
    part.close()


class Watched:
    """What is made ready of a part file whose image is taken in runs of 32 rows."""

    def __init__(self, path, release, monkeypatch):
        monkeypatch.setattr(ahead, "AHEAD_BYTES", 32 * 256)
        monkeypatch.setattr(ahead, "LEAST_RUN_BYTES", 0)
        monkeypatch.setattr(ahead, "LAST_BYTES", 1)
        monkeypatch.setattr(ahead, "populate", self._populate)
        self.part = PartFile(path, release.layout)
        self.landing = self.part.landings[0]
        self.air = air_over(self.part, release)
        self._calls = []

    def _populate(self, rows):
        self._calls.append((rows.__array_interface__["data"][0], len(rows)))
        return 0

    def hear(self, *esis):
        """Let symbols of block 0 come; return the rows made ready since: (of the source, of the repair pool)."""
        self.air.hear_block(0, esis)
        self.part.make_ready(0, self.part.layout.objects[0].row_of(np.zeros(len(esis), dtype=np.int64), np.array(esis)))
        ready = [], []
        for at, count in self._calls:
            for which, memory in enumerate((self.landing.source, self.landing.repair)):
                first = (at - memory.__array_interface__["data"][0]) // 256
                if 0 <= first < len(memory):
                    ready[which].extend(range(first, first + count))
        self._calls.clear()
        return ready


def test_the_run_of_a_symbol_and_in_its_second_half_the_next_one_are_made_ready_once(tmp_path, release, monkeypatch):
    watched = Watched(tmp_path / "x.part", release, monkeypatch)
    source = watched.part.layout.objects[0].source_symbols
    assert watched.hear(3) == ([*range(32)], [])
    assert watched.hear(4, 15) == ([], [])
    assert watched.hear(16) == ([*range(32, 64)], [])
    assert watched.hear(31, 32) == ([], [])
    assert watched.hear(source - 1) == ([*range(source // 32 * 32, source)], [])
    rest = [watched.hear(esi)[0] for esi in range(48, source, 32)]
    assert sorted(row for rows in rest for row in rows) == [*range(64, source // 32 * 32)]
    watched.part.close()


def test_a_wake_up_that_brings_much_has_two_runs_made_ready_as_one_where_they_are_not(tmp_path, release, monkeypatch):
    monkeypatch.setattr(ahead, "MANY_BYTES", 4 * 256)
    watched = Watched(tmp_path / "x.part", release, monkeypatch)
    source = watched.part.layout.objects[0].source_symbols
    assert watched.hear(100, 101, 102) == ([*range(96, 128)], [])
    assert watched.hear(0, 1, 2, 3) == ([*range(64)], [])
    assert watched.hear(48, 49, 50, 51) == ([*range(64, 96)], []), "the next one is ready"
    assert watched.hear(112, 113, 114, 115) == ([*range(128, 192)], [])
    assert watched.hear(*range(source - 4, source)) == ([*range(source // 32 * 32, source)], []), "there are no more"
    watched.part.close()


def test_the_runs_of_all_symbols_of_a_small_wake_up_are_made_ready(tmp_path, release, monkeypatch):
    watched = Watched(tmp_path / "x.part", release, monkeypatch)
    ready, _ = watched.hear(3, 112, 200)
    assert sorted(ready) == [*range(32), *range(96, 160), *range(192, 224)]
    watched.part.close()


@pytest.mark.parametrize(
    ("run", "sbn", "esi", "ready"),
    [
        (8, 0, 3, range(8)),
        (8, 0, 4, range(16)),
        (8, 1, 15, range(8, 24)),
        (8, 2, 31, range(24, 33)),
        (8, 0, 32, [32]),
        (11, 0, 32, [*range(11), *range(22, 33)]),
        (0, 1, 5, [5, 6]),
    ],
)
def test_of_every_block_the_same_runs_are_made_ready(tmp_path, monkeypatch, run, sbn, esi, ready):
    """Blocks of 33, 32 and 32 symbols in runs of 8: the last one has one symbol, or none. Large symbols: one by one."""
    image = ObjectGeometry(97 * 256, 256, 3, 0)
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 3 * run * 256)
    monkeypatch.setattr(ahead, "LEAST_RUN_BYTES", 0)
    monkeypatch.setattr(ahead, "LAST_BYTES", 1)
    part = PartFile(tmp_path / "x.part", ReleaseLayout.of_image(image))
    source, made = part.landings[0].source, []

    def populate(rows):
        first = (rows.__array_interface__["data"][0] - source.__array_interface__["data"][0]) // 256
        made.extend(range(first, first + len(rows)))
        return 0

    monkeypatch.setattr(ahead, "populate", populate)
    part.make_ready(0, image.first_rows[[sbn]] + esi)
    blocks = zip(image.first_rows.tolist(), image.block_sizes.tolist(), strict=True)
    assert sorted(made) == [first + row for first, size in blocks for row in ready if row < size]
    part.close()


def test_slots_for_repair_symbols_are_made_ready_ahead_of_them(tmp_path, release, monkeypatch):
    watched = Watched(tmp_path / "x.part", release, monkeypatch)
    size = int(watched.part.layout.objects[0].block_sizes[0])
    assert watched.hear(size) == ([], [*range(33)])
    for esi in range(size + 1, size + 17):
        assert watched.hear(esi)[1] == []
    assert watched.hear(size + 17)[1] == [*range(33, 50)]
    ready = 50
    for esi in range(size + 18, 2 * size):
        more = watched.hear(esi)[1]
        assert more == [*range(ready, ready + len(more))]
        ready += len(more)
        used = len(watched.landing.repair) - int(watched.landing.free_count[0])
        assert used <= ready <= used + 33
    watched.part.close()


def test_digest_levels_are_made_ready_by_themselves(tmp_path, release, monkeypatch):
    watched = Watched(tmp_path / "x.part", release, monkeypatch)
    watched.part.make_ready(1, np.array([0]))
    (first, *_) = watched._calls
    assert first[0] == watched.part.landings[1].source.__array_interface__["data"][0]
    watched.part.make_ready(1, np.array([], dtype=np.int64))
    watched.part.close()
