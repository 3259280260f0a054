"""What a board knows of its slots where no record is left: whole images are on trial, in C as in Python."""

from itertools import product

import pytest

from settop.store.staterecord import TRIES, SlotState
from tests.firmware_stub.core.sameflash import SameFlash, flash_of
from tests.firmware_stub.core.test_boot import SOURCES, same_confirmation, same_decision

pytestmark = pytest.mark.stub

KINDS = ["none", "good", "bad image", "bad header", "other key", "other hardware"]


@pytest.mark.parametrize(("slot_a", "slot_b"), list(product(KINDS, repeat=2)))
def test_whole_images_are_on_trial_and_nothing_else_is(slot_a, slot_b):
    board = SameFlash()
    board.put_records(flash_of([]))
    for name, kind in (("slot_a", slot_a), ("slot_b", slot_b), ("eeprom", "good")):
        board.put_slot(name, kind)
    record = board.store.record()
    for slot, kind in zip(record.slots, (slot_a, slot_b), strict=True):
        is_whole = kind == "good"
        assert (slot.state is SlotState.TRIAL) == is_whole
        assert slot.tries_left == (TRIES if is_whole else 0)
    for _ in range(2 * TRIES + 1):
        last = same_decision(board)
        assert not board.records_differ()
    same_confirmation(board)
    assert last in SOURCES.values()
