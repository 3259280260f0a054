"""Pages ahead of the symbols: once each, and never over what has landed or what a job has written."""

import errno
import os

import numpy as np
import pytest

from carousel.take import pages
from settop.store import ahead
from settop.store.partfile import PartFile
from tests.conftest import noise
from tests.settop.store.test_partfile import air_over

SIZE = 60_000


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(SIZE, symbol_size=256)


@pytest.fixture
def populated(monkeypatch):
    """Watch what is populated: (bytes) of each call."""
    calls = []
    monkeypatch.setattr(ahead, "populate", lambda rows: calls.append(rows.nbytes) or pages.populate(rows))
    return calls


def test_pages_are_populated_once_and_ahead_of_the_symbols(tmp_path, make_release, populated, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 32 << 10)
    release = make_release(900_001, symbol_size=256, version="1.3.0")
    part = PartFile(tmp_path / "x.part", release.layout)
    image, landing = release.layout.objects[0], part.landings[0]
    air = air_over(part, release)
    for esi in range(image.largest_block):
        sbns = np.flatnonzero(image.block_sizes > esi)
        air.hear_symbols(0, [(sbn, esi) for sbn in sbns.tolist()])
        part.make_ready(0, image.row_of(sbns, np.full(len(sbns), esi)))
    assert sum(populated) == landing.source.nbytes
    assert max(populated) <= 32 << 10
    populated.clear()
    air.hear_symbols(0, [(0, int(image.block_sizes[0]) + 1)])
    part.make_ready(0, np.array([], dtype=np.int64))
    assert populated == []
    part.close()


def test_zeros_go_from_one_round_place_of_the_file_to_another_once(tmp_path, make_release, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 256 << 10)
    monkeypatch.setattr(ahead, "ROUND_BYTES", 16 << 10)
    release = make_release(900_001, symbol_size=256, version="1.3.0")
    part = PartFile(tmp_path / "x.part", release.layout)
    image = release.layout.objects[0]
    written, pwrite = [], os.pwrite
    monkeypatch.setattr(
        ahead.os, "pwrite", lambda to, data, at: written.append((at, at + len(data))) or pwrite(to, data, at)
    )
    air = air_over(part, release)
    for esi in range(image.largest_block):
        sbns = np.flatnonzero(image.block_sizes > esi)
        air.hear_symbols(0, [(sbn, esi) for sbn in sbns.tolist()])
        part.make_ready(0, image.row_of(sbns, np.full(len(sbns), esi)))
    edges = {*(image.first_rows * 256).tolist(), image.source_symbols * 256}
    assert all(place % (16 << 10) == 0 or place in edges for span in written for place in span)
    ends = [0] + [end for _, end in sorted(written)]
    assert all(begin >= end for (begin, _), end in zip(sorted(written), ends, strict=False)), "written twice"
    assert len(written) > 2 * image.blocks
    run_bytes = (256 << 10) // image.blocks
    unwritten = image.source_symbols * 256 - sum(end - begin for begin, end in written)
    assert unwritten <= image.blocks * (run_bytes + (16 << 10)), "more than the runs that symbols came to first"
    assert part.landings[0].source.tobytes()[:900_001] == noise(900_001)
    part.close()


def test_what_will_be_decoded_is_made_ready_while_the_last_symbols_come(tmp_path, make_release, monkeypatch):
    """A box tuned in half way through the source symbols: the first half never comes, repair symbols do."""
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 32 << 10)
    monkeypatch.setattr(ahead, "LAST_BYTES", 200_000)
    release = make_release(900_001, symbol_size=256, version="1.3.0")
    part = PartFile(tmp_path / "x.part", release.layout)
    image, landing = release.layout.objects[0], part.landings[0]
    ready = np.zeros(image.source_symbols, dtype=np.int64)
    begin = landing.source.__array_interface__["data"][0]

    def populate(rows):
        first = (rows.__array_interface__["data"][0] - begin) // 256
        if first < image.source_symbols:
            ready[first : first + len(rows)] += 1
        return pages.populate(rows)

    monkeypatch.setattr(ahead, "populate", populate)
    air = air_over(part, release)
    air.hear_digests()
    waiting = []
    for esi in range(image.largest_block // 2, 3 * image.largest_block // 2):
        places = [(sbn, esi) for sbn in range(image.blocks)]
        air.hear_symbols(0, places)
        part.make_ready(0, image.row_of(*np.array(places).T))
        waiting.append((int(landing.wanted.sum()) * 256, int(np.count_nonzero(ready == 0))))
    assert all(unready > image.source_symbols // 3 for left_bytes, unready in waiting if left_bytes >= 200_000)
    assert all(unready == 0 for left_bytes, unready in waiting if left_bytes <= 100_000)
    between = [unready for left_bytes, unready in waiting if 100_000 < left_bytes < 200_000]
    assert len(set(between)) > 3, "little by little"
    assert ready.max() == 1
    air.work()
    assert air.assembly.is_verified
    assert air.image == noise(900_001)
    part.close()


@pytest.mark.parametrize(("code", "expected"), [(errno.EFAULT, errno.EIO), (errno.ENOMEM, errno.ENOMEM)])
def test_a_disk_that_takes_no_page_is_an_error_number(tmp_path, release, monkeypatch, code, expected):
    part = PartFile(tmp_path / "x.part", release.layout)
    monkeypatch.setattr(ahead, "populate", lambda rows: code)
    with pytest.raises(OSError, match="disk") as caught:
        part.make_ready(0, np.array([0]))
    assert caught.value.errno == expected
    part.close()


def test_an_old_kernel_that_can_not_populate_does_without(tmp_path, release, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 32 * 256)
    monkeypatch.setattr(ahead, "LEAST_RUN_BYTES", 0)
    part = PartFile(tmp_path / "x.part", release.layout)
    monkeypatch.setattr(ahead, "populate", lambda rows: errno.EINVAL)
    part.make_ready(0, np.array([0]))
    monkeypatch.setattr(ahead, "populate", lambda rows: pytest.fail("it was asked once, and that is enough"))
    part.make_ready(0, np.arange(release.layout.objects[0].source_symbols))
    part.close()


@pytest.mark.parametrize("seed", range(6))
def test_zeros_go_where_nothing_is_yet(tmp_path, make_release, monkeypatch, seed):
    """Symbols in any order, wake-ups of any size, jobs in between, and pages made ready in small runs."""
    print(f"seed {seed}")
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 4 << 10)
    monkeypatch.setattr(ahead, "LEAST_RUN_BYTES", 1 << 10)
    rng = np.random.default_rng(seed)
    size = 150_001
    release = make_release(size, symbol_size=256, version="1.5.0")
    part = PartFile(tmp_path / "x.part", release.layout)
    air = air_over(part, release)
    air.hear_digests()
    image = release.layout.objects[0]
    rows = rng.permutation(image.rows)
    while len(rows):
        now, rows = np.split(rows, [int(rng.integers(1, 60))])
        sbn, esi = image.symbols_of(now)
        air.hear_symbols(0, zip(sbn.tolist(), esi.tolist(), strict=True))
        part.make_ready(0, now)
        if rng.random() < 0.5:
            air.work()
    assert air.assembly.is_verified
    assert air.image == noise(size)
    assert air.assembly.rejected_symbols == 0
    part.close()


def test_what_a_job_has_written_stays_though_no_mark_tells(tmp_path, make_release, monkeypatch):
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 4 << 10)
    monkeypatch.setattr(ahead, "LEAST_RUN_BYTES", 1 << 10)
    release = make_release(SIZE, symbol_size=256)
    part = PartFile(tmp_path / "x.part", release.layout)
    landing = part.landings[0]
    part.make_ready(0, np.array([0]))
    landing.source[100:] = 7
    landing.worked[0] = True
    part.make_ready(0, np.arange(landing.geometry.source_symbols))
    assert (landing.source[100:] == 7).all()
    part.close()


def test_a_disk_that_takes_no_zeros_is_an_error_number(tmp_path, release, monkeypatch):
    part = PartFile(tmp_path / "x.part", release.layout)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(ahead.os, "pwrite", fail)
    with pytest.raises(OSError, match="error"):
        part.make_ready(0, np.array([0]))
    part.close()
