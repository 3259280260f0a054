import pytest

from settop.store.choice import (
    Source,
    boot_candidates,
    confirmed,
    failed,
    free_slot,
    on_trial,
    staged,
    tried,
    writing,
)
from settop.store.staterecord import NO_SLOT, Failure, SlotState, StateRecord


def installed(record, index, counter=0):
    return on_trial(staged(writing(record, index, b"d" * 8, counter), index), index)


def sources(record):
    return [candidate.source for candidate in boot_candidates(record)]


def test_the_eeprom_is_always_last():
    assert sources(StateRecord()) == [Source.EEPROM]
    record = confirmed(installed(StateRecord(), 0), 0)
    record = confirmed(installed(record, 1), 1)
    assert sources(record) == [Source.SLOT_B, Source.SLOT_A, Source.EEPROM]


def test_a_trial_comes_first_as_long_as_it_has_tries():
    record = installed(confirmed(installed(StateRecord(), 0), 0), 1)
    for left in (2, 1, 0):
        assert sources(record)[0] is Source.SLOT_B
        record = tried(record, 1)
        assert record.slots[1].tries_left == left
    assert sources(record) == [Source.SLOT_A, Source.EEPROM]


@pytest.mark.parametrize("state", [SlotState.EMPTY, SlotState.WRITING, SlotState.STAGED, SlotState.FAILED])
def test_other_states_do_not_boot(state):
    record = StateRecord()
    record = record.with_slot(0, type(record.slots[0])(state, tries_left=3))
    assert sources(record) == [Source.EEPROM]


def test_an_install_never_takes_the_active_slot():
    for active in (0, 1):
        record = confirmed(installed(StateRecord(), active), active)
        assert free_slot(record) == 1 - active
        assert free_slot(confirmed(installed(record, 1 - active), 1 - active)) == active


def test_an_unconfirmed_trial_is_replaced():
    assert free_slot(installed(StateRecord(), 1)) == 1


def test_a_new_install_clears_a_failure():
    record = failed(installed(StateRecord(), 0), 0, Failure.TRIES_USED_UP)
    assert record.slots[0].failure is Failure.TRIES_USED_UP
    assert installed(record, 0).slots[0].failure is Failure.NONE


def test_when_the_active_slot_fails_the_other_confirmed_one_is_active():
    record = confirmed(installed(confirmed(installed(StateRecord(), 0), 0), 1), 1)
    assert failed(record, 1, Failure.IMAGE_DAMAGED).active == 0
    assert failed(failed(record, 1, Failure.IMAGE_DAMAGED), 0, Failure.IMAGE_DAMAGED).active == NO_SLOT


def test_the_floor_never_falls():
    record = confirmed(installed(StateRecord(floor=7), 0, counter=3), 0)
    assert record.floor == 7
    assert confirmed(installed(record, 1, counter=9), 1).floor == 9
