"""state.bin: appended to in turns, read back, and never written where it can't be read."""

import errno

import pytest

from settop.store.statelog import SECTOR_BYTES, STATE, StateLog
from settop.store.staterecord import RECORD_BYTES, StateRecord
from tests.settop.store.powercut import CutDisk
from tests.settop.store.test_slots import FaultyDisk

RECORD = StateRecord(floor=3)
PLACES = SECTOR_BYTES // RECORD_BYTES


@pytest.fixture
def disk():
    return CutDisk()


def test_what_is_appended_is_the_newest_and_has_the_next_number(disk):
    log = StateLog(disk)
    assert log.newest() is None
    for number in range(1, 2 * PLACES + 5):
        appended = log.append(RECORD.but(floor=number))
        assert appended == RECORD.but(floor=number, seq=number)
        assert StateLog(disk).newest() == appended
    assert len(disk.read(STATE)) == 2 * SECTOR_BYTES
    disk._lose_power()
    assert log.newest() == appended, "each is on the medium"


def test_both_sectors_have_their_bytes_from_the_first_record_on(disk):
    StateLog(disk).append(RECORD)
    raw = disk.read(STATE)
    assert len(raw) == 2 * SECTOR_BYTES
    assert raw[RECORD_BYTES:] == b"\xff" * (2 * SECTOR_BYTES - RECORD_BYTES)


@pytest.mark.parametrize("size", [0, RECORD_BYTES, SECTOR_BYTES, SECTOR_BYTES + 1, 2 * SECTOR_BYTES])
def test_a_file_that_was_cut_gets_its_room_again_and_keeps_what_is_left(disk, size):
    StateLog(disk).append(RECORD)
    disk.truncate(STATE, size)
    log = StateLog(disk)
    assert log.newest() == (RECORD.but(seq=1) if size else None)
    assert log.append(RECORD).seq == (2 if size else 1)
    assert len(disk.read(STATE)) == 2 * SECTOR_BYTES


def test_the_room_that_is_left_on_a_full_disk_is_used_up(disk, monkeypatch):
    StateLog(disk).append(RECORD)
    disk.truncate(STATE, RECORD_BYTES)

    def write(name, offset, data):
        if offset + len(data) > 3 * RECORD_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        CutDisk.write(disk, name, offset, data)

    monkeypatch.setattr(disk, "write", write)
    assert [StateLog(disk).append(RECORD).seq for _ in range(2)] == [2, 3]
    with pytest.raises(OSError, match="No space left"):
        StateLog(disk).append(RECORD)
    assert StateLog(disk).newest().seq == 3


def test_what_stands_behind_the_sectors_is_nobody_s(disk):
    StateLog(disk).append(RECORD)
    disk.write(STATE, 2 * SECTOR_BYTES, RECORD.but(seq=99).build() * 3)
    assert StateLog(disk).newest().seq == 1
    assert StateLog(disk).append(RECORD).seq == 2


def test_a_medium_that_does_not_give_it_is_told_and_not_written_to(disk):
    StateLog(disk).append(RECORD)
    before = disk.read(STATE)
    faulty = StateLog(FaultyDisk(disk, STATE))
    assert faulty.newest() is None
    assert faulty.trouble().errno == errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        faulty.append(RECORD)
    assert disk.read(STATE) == before
    assert StateLog(disk).trouble() is None
    assert StateLog(CutDisk()).trouble() is None, "none is no trouble"


def test_what_does_not_read_back_is_an_error(disk, monkeypatch):
    log = StateLog(disk)
    log.append(RECORD)
    monkeypatch.setattr(disk, "write", lambda name, offset, data: None)
    with pytest.raises(OSError, match="does not read back") as caught:
        log.append(RECORD.but(floor=4))
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, STATE)
    empty = StateLog(fresh := CutDisk())
    monkeypatch.setattr(fresh, "write", lambda name, offset, data: CutDisk.write(fresh, name, offset, bytes(len(data))))
    with pytest.raises(OSError, match="does not read back"):
        empty.append(RECORD)
