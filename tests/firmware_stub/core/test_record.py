"""The newest record and the place of the next one, in C as in Python (settop/store/staterecord.py)."""

import ctypes
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settop.store.slots import SECTOR_BYTES
from settop.store.staterecord import RECORD_BYTES, StateRecord, newest_record, plan_append
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
    board.put_records(flash_of([(0, replace(StateRecord(), seq=first_seq), None), *history]))
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
