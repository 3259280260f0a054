"""The newest record and the place of the next one, in C as in Python (settop/store/staterecord.py)."""

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.crc import crc32
from settop.store.slots import SECTOR_BYTES
from settop.store.staterecord import RECORD_BYTES, Failure, SlotState, StateRecord, newest_record, plan_append
from tests.firmware_stub.core.sameflash import GEOMETRY, SameFlash, flash_of, grown, histories, settled
from tests.firmware_stub.stubhost import Board

pytestmark = pytest.mark.stub


@settled
@given(histories)
def test_the_same_newest_record(history):
    board = Board(GEOMETRY)
    flash = flash_of(history)
    board.put(board.geometry.regions["records"][0], flash)
    raw, found = board.load()
    newest = newest_record(flash)
    assert found == (newest is not None)
    if newest is not None:
        assert StateRecord.parse(raw) == newest
        assert raw == newest.build()


@settled
@given(histories, grown, st.integers(0, 2**32 - 1))
def test_appends_alternate_and_leave_the_same_flash(history, appended, first_seq):
    """Torn places, full sectors, wraparound of seq: both append at the same place with the same bytes."""
    board = SameFlash()
    board.put_records(flash_of([(0, StateRecord().but(seq=first_seq), None), *history]))
    for turn, record in enumerate(appended):
        flash = board.region("records")
        expected = bytearray(flash)
        for operation in plan_append(flash, record):
            if hasattr(operation, "sector"):
                begin = operation.sector * SECTOR_BYTES
                expected[begin : begin + SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
            else:
                expected[operation.offset : operation.offset + RECORD_BYTES] = operation.data
        if turn % 2:
            board.put_records(bytes(expected))
            continue
        assert board.append(ctypes.create_string_buffer(record.build(), RECORD_BYTES)) == 1
        assert board.region("records") == bytes(expected)
    assert board.violations() == 0


def sealed(record, offset, value):
    """A record with one byte changed, its CRC right."""
    raw = bytearray(record.build())
    raw[offset] = value
    return bytes(raw[:-4]) + crc32(bytes(raw[:-4])).to_bytes(4, "little")


FOREIGN = {
    "magic": (0, ord("X")),
    "layout": (4, 2),
    "size": (6, 65),
    "active slot": (16, 2),
    "last failure": (17, max(Failure) + 1),
    "padding": (18, 1),
    "slot A's state": (20, max(SlotState) + 1),
    "slot A's failure": (22, max(Failure) + 1),
    "slot A's reserved byte": (23, 1),
    "slot B's state": (36, max(SlotState) + 1),
    "slot B's failure": (38, max(Failure) + 1),
    "slot B's reserved byte": (39, 1),
    "reserved, first": (52, 1),
    "reserved, last": (59, 1),
}


@pytest.mark.parametrize("field", FOREIGN)
def test_a_record_of_another_layout_is_none_though_its_crc_is_right(field):
    offset, value = FOREIGN[field]
    good = StateRecord(seq=1, active=0)
    flash = bytearray(flash_of([(0, good, None)]))
    flash[RECORD_BYTES : 2 * RECORD_BYTES] = sealed(good.but(seq=2), offset, value)
    board = Board(GEOMETRY)
    board.put(board.geometry.regions["records"][0], bytes(flash))
    assert newest_record(bytes(flash)) == good
    assert board.load() == (good.build(), True)


@pytest.mark.parametrize("apart", [1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1])
@pytest.mark.parametrize("first_seq", [0, 1, 2**31, 2**32 - 1])
def test_which_of_two_is_newer_is_the_same_all_around_the_ring(first_seq, apart):
    """At half the ring neither is newer (RFC 1982): the first one found stays."""
    first, second = (
        StateRecord(seq=seq % 2**32, floor=floor) for seq, floor in ((first_seq, 1), (first_seq + apart, 2))
    )
    flash = flash_of([(0, first, None), (1, second, None)])
    board = Board(GEOMETRY)
    board.put(board.geometry.regions["records"][0], flash)
    newest = second if apart < 2**31 else first
    assert newest_record(flash) == newest
    assert board.load() == (newest.build(), True)
