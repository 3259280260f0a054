import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.blocks import ObjectGeometry
from carousel.errors import OperatorError
from carousel.layout import ReleaseLayout
from settop.partfile import PartFile
from settop.symbols import MemorySymbols

LAYOUT = ReleaseLayout.of_image(ObjectGeometry(256 * 400 - 9, 256, 3, 120), 8)


def symbols(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 256), dtype=np.uint8).view("V256")[:, 0]


@given(st.lists(st.lists(st.integers(0, LAYOUT.objects[0].rows - 1), min_size=1, max_size=60), max_size=25), st.data())
@settings(max_examples=50, deadline=None)
def test_any_order_of_writes_gives_the_same_file(tmp_path_factory, monkeypatch_module, batches, data):
    path = tmp_path_factory.mktemp("part") / "x.part"
    part, memory = PartFile(path, LAYOUT), MemorySymbols(LAYOUT)
    for seed, batch in enumerate(batches):
        rows = np.array(list(dict.fromkeys(batch)))
        sbn, esi = LAYOUT.objects[0].symbols_of(rows)
        for store in (part, memory):
            store.write_image(sbn, esi, symbols(len(rows), seed))
        if data.draw(st.booleans()):
            block = data.draw(st.integers(0, 2))
            settled = min(part.settled_esi(), int(LAYOUT.objects[0].block_sizes[block]))
            in_file = np.fromfile(path, dtype=np.uint8).reshape(-1, 256)
            first = int(LAYOUT.objects[0].first_rows[block])
            assert (in_file[first : first + settled] == memory.rows[first : first + settled]).all()
            part.flush_image(block)
            in_file = np.fromfile(path, dtype=np.uint8).reshape(-1, 256)
            mine = LAYOUT.objects[0].block_rows(block)
            assert (in_file[mine] == memory.rows[mine]).all()
    part.close()
    assert (np.fromfile(path, dtype=np.uint8).reshape(-1, 256) == memory.rows).all()


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Small tiles, so that they come and go."""
    import settop.partfile as module

    before = module.TILE_BYTES
    module.TILE_BYTES = 8 * 3 * 256
    yield
    module.TILE_BYTES = before


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
