"""A mark of confirmation says which release was confirmed, and when; damaged, or of another one, it says nothing."""

import pytest

from settop.store.choice import Source
from settop.store.marks import MarkFormat, Marks
from tests.settop.store.powercut import CutDisk
from tests.settop.store.test_slots import header_of

A, B = Source.SLOT_A, Source.SLOT_B
HEADER = header_of("1.0.0")


@pytest.fixture
def disk():
    return CutDisk()


@pytest.fixture
def marks(disk):
    marks = Marks(disk)
    marks.put(A, HEADER, 77)
    return marks


def test_a_mark_tells_when_its_slot_was_confirmed(marks, disk):
    assert marks.seq(A, HEADER) == 77
    assert disk.names() == ["slot-a.confirmed"]
    assert len(disk.read("slot-a.confirmed")) == MarkFormat.size == 44
    disk._lose_power()
    assert marks.seq(A, HEADER) == 77, "it is on the medium, name and all"


def test_it_is_of_this_slot_and_this_release(marks):
    assert marks.seq(B, HEADER) is None
    assert marks.seq(A, header_of("1.0.1")) is None
    assert marks.seq(A, HEADER.but(raw=HEADER.raw[:-1] + b"x")) is None, "one that is signed anew"


def test_any_damaged_byte_spoils_it(marks, disk):
    whole = disk.read("slot-a.confirmed")
    for at in range(len(whole)):
        disk.write("slot-a.confirmed", 0, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert marks.seq(A, HEADER) is None, at
    for size in (0, 43):
        disk.truncate("slot-a.confirmed", size)
        assert marks.seq(A, HEADER) is None


def test_what_the_medium_does_not_give_is_no_mark(marks, disk, monkeypatch):
    def fail(name):
        raise OSError(5, "Input/output error", name)

    monkeypatch.setattr(disk, "read", fail)
    assert marks.seq(A, HEADER) is None


def test_a_mark_that_was_removed_does_not_come_back(marks, disk):
    marks.remove(A)
    assert marks.seq(A, HEADER) is None
    disk._lose_power()
    assert disk.names() == []
    operations = disk.operations
    marks.remove(A)
    marks.remove(B)
    assert disk.operations == operations, "where there is none, nothing is written"
