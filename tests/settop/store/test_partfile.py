"""The part file: where everything lies, what a later run finds again, and errors that are no signals."""

import errno
import mmap
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settop.store.partfile import NoRoomError, PartFile
from tests.conftest import noise
from tests.settop.stitch.air import Air

SIZE = 60_000


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(SIZE, symbol_size=256)


def air_over(part, release):
    """What is on the air lands in this part file."""
    air = Air(release)
    air.landings[:] = part.landings
    air.assemble(resumed=part.resumed)
    air.retarget()
    return air


def test_a_new_file_is_empty_and_the_image_lies_at_its_begin(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout)
    assert not part.resumed
    assert not any(landing.held.any() for landing in part.landings)
    air = air_over(part, release)
    air.hear_digests()
    air.hear_block(0)
    air.work()
    assert air.assembly.is_verified
    part.close()
    assert (tmp_path / "x.part").read_bytes()[:SIZE] == noise(SIZE)


def test_parts_do_not_overlap_and_begin_at_pages(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout)
    for number, landing in enumerate(part.landings):
        landing.source[:] = number
        landing.repair[:] = 100 + number
        landing.slot_sbn[:] = 1000 + number
        landing.slot_esi[:] = 2000 + number
    for number, landing in enumerate(part.landings):
        assert (landing.source == number).all()
        assert (landing.repair == 100 + number).all()
        assert (landing.slot_sbn == 1000 + number).all()
        assert (landing.slot_esi == 2000 + number).all()
        assert landing.source.__array_interface__["data"][0] % mmap.PAGESIZE == 0
    part.close()


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_later_run_finds_what_has_landed(tmp_path_factory, release, data):
    """Any symbols of any level, source and repair, in any order: held again at their places, and wanted no more."""
    path = tmp_path_factory.mktemp("part") / "x.part"
    part = PartFile(path, release.layout)
    air = air_over(part, release)
    for level, geometry in enumerate(release.layout.objects):
        rows = data.draw(st.lists(st.integers(0, geometry.rows - 1), max_size=40, unique=True))
        if rows:
            sbn, esi = geometry.symbols_of(np.array(rows))
            air.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))
    before = [(landing.held.copy(), landing.wanted.copy()) for landing in part.landings]
    part.close()
    again = PartFile(path, release.layout)
    assert again.resumed
    for level, (landing, (held, wanted)) in enumerate(zip(again.landings, before, strict=True)):
        assert (landing.held == held).all()
        assert (landing.wanted == wanted).all()
        slots = np.flatnonzero(landing.slot_sbn >= 0)
        assert len(slots) + landing.free_count[0] == len(landing.repair)
        for slot in slots.tolist():
            place = int(landing.slot_sbn[slot]), int(landing.slot_esi[slot])
            assert landing.repair[slot].tobytes() == air.symbol(level, *place)
    again.close()


def test_a_boot_goes_on_from_what_a_killed_run_had(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout)
    air = air_over(part, release)
    size = int(release.layout.objects[0].block_sizes[0])
    air.hear_block(0, range(size // 2, size + 20))
    air.hear_digests()
    part.close()
    again = air_over(PartFile(tmp_path / "x.part", release.layout), release)
    assert again.hear_block(0, range(size + 20)) == size - (size - size // 2 + 20)
    again.work()
    assert again.assembly.is_verified
    assert not again.events[0].event, "nobody is suspected"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_lies_in_the_file_the_image_comes(tmp_path, release, seed):
    """Noise, as a power cut or a bad medium leaves it: symbols, digests, tables. Nothing raises, the image comes."""
    print(f"seed {seed}")
    part = PartFile(tmp_path / "x.part", release.layout)
    size = os.path.getsize(part.path)
    part.close()
    (tmp_path / "x.part").write_bytes(noise(size, f"{seed}"))
    air = air_over(PartFile(tmp_path / "x.part", release.layout), release)
    count = int(release.layout.objects[0].block_sizes[0])
    for _ in range(12):
        air.hear_digests()
        air.hear_block(0, range(count + 40))
        air.work()
        if air.assembly.is_verified:
            break
    assert air.assembly.is_verified
    assert air.image == noise(SIZE)


def test_a_truncated_file_is_a_file_with_little_in_it(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout)
    air_over(part, release).hear_block(0)
    part.close()
    os.truncate(tmp_path / "x.part", 5000)
    again = PartFile(tmp_path / "x.part", release.layout)
    assert np.count_nonzero(again.landings[0].held) == 5000 // 256
    again.landings[0].source[-1] = 1
    again.close()


def test_without_repair_there_is_no_room_for_it(tmp_path, release):
    part = PartFile(tmp_path / "x.part", release.layout, with_repair=False)
    assert len(part.landings[0].repair) == 0
    assert len(part.landings[1].repair) > 0
    part.close()


def test_a_full_disk_is_said_at_once(tmp_path, release, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NoRoomError, match="make room"):
        PartFile(tmp_path / "x.part", release.layout)
    assert not (tmp_path / "x.part").exists()


def test_the_file_is_its_owner_s_alone_and_closed_when_it_says_so(tmp_path, release):
    before = len(os.listdir("/proc/self/fd"))
    part = PartFile(tmp_path / "x.part", release.layout)
    assert os.stat(part.path).st_mode & 0o777 == 0o600
    assert part.is_closed is False
    part.close()
    assert part.is_closed is True
    assert part.landings == []
    del part
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO])
def test_what_the_disk_refuses_leaves_no_new_file_and_no_descriptor(tmp_path, release, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, "refused")

    path = tmp_path / "x.part"
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError if code == errno.EIO else NoRoomError):
        PartFile(path, release.layout)
    assert not path.exists()
    path.write_bytes(b"of an earlier run")
    with pytest.raises(OSError if code == errno.EIO else NoRoomError):
        PartFile(path, release.layout)
    assert path.read_bytes().startswith(b"of an earlier run"), "what is received so far is kept"
    assert len(os.listdir("/proc/self/fd")) == before
