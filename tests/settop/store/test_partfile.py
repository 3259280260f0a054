import errno
import mmap
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import OperatorError
from carousel.release.blocks import ObjectGeometry
from carousel.release.layout import ReleaseLayout
from settop.stitch.symbols import MemorySymbols
from settop.store import tiles
from settop.store.partfile import PartFile
from settop.work.workers import TileMemory

LAYOUT = ReleaseLayout.of_image(ObjectGeometry(256 * 400 - 9, 256, 3, 120))


def symbols(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 256), dtype=np.uint8).view("V256")[:, 0]


IMAGE = LAYOUT.objects[0]


class LateHand:
    """Writes tiles as a worker does: later, when it is waited for, or not at all because it died."""

    def __init__(self, choose):
        self.memory, self.jobs, self.part, self._choose = TileMemory(), [], None, choose

    def allocate(self, size_bytes):
        return self.memory.allocate(size_bytes)

    def release(self, offset):
        assert not self.jobs
        self.memory.release(offset)

    def write(self, job):
        self.jobs.append(job)

    def wait(self):
        job = self.jobs.pop(0)
        if is_written := self._choose():
            tiles = memoryview(mmap.mmap(self.memory.descriptor, 0))[job.memory_offset :]
            with self.part.path.open("r+b") as file:
                for _, _, offset, run in job.of_tiles(tiles):
                    os.pwrite(file.fileno(), run, offset)
        self.part.finish_tile(job, is_written)


def rows_of(path):
    return np.fromfile(path, dtype=np.uint8).reshape(-1, 256)


@pytest.mark.parametrize("has_hand", [False, True])
@given(st.lists(st.lists(st.integers(0, IMAGE.rows - 1), min_size=1, max_size=60), max_size=25), st.data())
@settings(max_examples=50, deadline=None)
def test_any_order_of_writes_gives_the_same_file(tmp_path_factory, small_tiles, has_hand, batches, data):
    path = tmp_path_factory.mktemp("part") / "x.part"
    hand = LateHand(lambda: data.draw(st.booleans())) if has_hand else None
    part, memory = PartFile(path, LAYOUT, hand), MemorySymbols(LAYOUT)
    if hand is not None:
        hand.part = part
    taken = np.zeros(IMAGE.rows, dtype=bool)
    for seed, batch in enumerate(batches):
        rows = np.array([row for row in dict.fromkeys(batch) if not taken[row]], dtype=np.int64)
        if len(rows):
            taken[rows] = True
            for store in (part, memory):
                store.write_image(*IMAGE.symbols_of(rows), symbols(len(rows), seed))
        if hand is not None and hand.jobs and data.draw(st.booleans()):
            hand.wait()
        if data.draw(st.booleans()):
            block = data.draw(st.integers(0, 2))
            mine = IMAGE.block_rows(block)
            if part.flush_image(block):
                assert (rows_of(path)[mine] == memory.rows[mine]).all()
            else:
                assert hand is not None
                assert hand.jobs
    part.close()
    assert (rows_of(path) == memory.rows).all()


@pytest.fixture(scope="module")
def small_tiles():
    """Small tiles, so that they come and go."""
    before = tiles.TILE_BYTES
    tiles.TILE_BYTES = 8 * 3 * 256
    yield
    tiles.TILE_BYTES = before


def test_a_full_tile_is_written_at_once_in_a_run_for_each_block(tmp_path, small_tiles):
    """A tile of 8 symbols of each of 3 blocks, filled in the order of the carousel, is on its way when it is full."""
    hand = LateHand(lambda: True)
    hand.part = part = PartFile(tmp_path / "x.part", LAYOUT, hand)
    number = np.arange(8 * 3 + 2)
    part.write_image(number % 3, number // 3, symbols(len(number), 1))
    (job,) = hand.jobs
    assert [(sbn, esi, len(run) // 256) for sbn, esi, _, run in job.of_tiles(part._tiles.memory)] == [
        (sbn, 0, 8) for sbn in range(3)
    ]
    assert job.is_source
    assert not part.flush_image(0)
    hand.wait()
    assert part.flush_image(0)
    part.close()


def test_stray_symbols_make_no_tile(tmp_path, small_tiles):
    """Random symbols, as a flood of them brings, are written one by one: tiles stay with what comes in order."""
    part = PartFile(tmp_path / "x.part", LAYOUT, LateHand(lambda: True))
    number = np.append(np.arange(40), [300, 350, 380])
    part.write_image(number % 3, number // 3, symbols(len(number), 1))
    assert sorted(key >> 1 for key in part._tiles.live) == [1]
    row = IMAGE.row_of(np.array([350 % 3]), np.array([350 // 3]))[0]
    assert (rows_of(tmp_path / "x.part")[row] == symbols(43, 1)[41:42].view(np.uint8)).all()


def test_levels_are_written_and_viewed(tmp_path):
    part = PartFile(tmp_path / "x.part", LAYOUT)
    first = int(LAYOUT.first_rows[1])
    rows = np.arange(first, first + 3)
    part.write_level(rows, symbols(3, 1))
    assert part.view(first, 3).tobytes() == symbols(3, 1).tobytes()
    part.close()
    again = PartFile(tmp_path / "x.part", LAYOUT)
    assert again.resumed
    assert again.view(first, 3).tobytes() == symbols(3, 1).tobytes()
    again.close()


def test_a_full_disk_is_said_at_once(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OperatorError, match="make room"):
        PartFile(tmp_path / "x.part", LAYOUT)
    assert not (tmp_path / "x.part").exists()
