from itertools import combinations

import pytest

from settop.store.choice import (
    FREE_SLOT_ORDER,
    Source,
    boot_candidates,
    confirmed,
    failed,
    forgotten,
    free_slot,
    on_trial,
    staged,
    tried,
    writing,
)
from settop.store.staterecord import NO_SLOT, Failure, SlotRecord, SlotState, StateRecord


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


def test_each_candidate_says_why():
    record = installed(confirmed(installed(StateRecord(), 0), 0), 1)
    assert [(each.source, each.reason, each.on_trial) for each in boot_candidates(record)] == [
        (Source.SLOT_B, "on trial, 3 of 3 tries left", True),
        (Source.SLOT_A, "confirmed", False),
        (Source.EEPROM, "no slot holds an image to boot", False),
    ]
    both = confirmed(record, 1)
    assert [each.reason for each in boot_candidates(both)][:2] == ["confirmed", "confirmed before"]
    assert sources(both.but(active=NO_SLOT)) == [Source.SLOT_A, Source.SLOT_B, Source.EEPROM]
    assert sources(failed(both, 1, Failure.MARKED_BAD).but(active=1)) == [Source.SLOT_A, Source.EEPROM]


@pytest.mark.parametrize(("better", "worse"), list(combinations(FREE_SLOT_ORDER, 2)))
def test_of_two_free_slots_the_one_that_is_missed_least_is_taken(better, worse):
    for index in (0, 1):
        record = StateRecord().with_slot(index, SlotRecord(better)).with_slot(1 - index, SlotRecord(worse))
        assert free_slot(record) == index


def test_each_step_changes_its_slot_and_no_more():
    before = StateRecord(seq=5, floor=2, slots=(SlotRecord(), SlotRecord(SlotState.CONFIRMED, digest=b"other..!")))
    wrote = writing(before, 0, b"d" * 8, 4)
    assert wrote == before.but(slots=(SlotRecord(SlotState.WRITING, 0, Failure.NONE, 4, b"d" * 8), before.slots[1]))
    assert staged(wrote, 0).slots == (wrote.slots[0].but(state=SlotState.STAGED), before.slots[1])
    trial = on_trial(staged(wrote, 0), 0)
    assert trial.slots[0] == SlotRecord(SlotState.TRIAL, 3, Failure.NONE, 4, b"d" * 8)
    assert tried(trial, 0, 2).slots[0].tries_left == 1
    good = confirmed(trial, 0)
    assert good == before.but(
        floor=4,
        active=0,
        slots=(SlotRecord(SlotState.CONFIRMED, 0, Failure.NONE, 4, b"d" * 8), before.slots[1]),
    )
    bad = failed(good, 0, Failure.HALTED)
    assert (bad.active, bad.last_failure, bad.floor) == (1, Failure.HALTED, 4)
    assert bad.slots == (SlotRecord(SlotState.FAILED, 0, Failure.HALTED, 4, b"d" * 8), before.slots[1])
    assert failed(trial, 0, Failure.HALTED).slots[0].tries_left == 0
    assert failed(good.but(active=1), 0, Failure.HALTED).active == 1, "the active slot has not failed"
    assert forgotten(bad, 0) == bad.but(slots=(SlotRecord(), before.slots[1]))


def test_slots_have_their_index_and_sources_their_slot():
    assert [source.slot for source in (Source.SLOT_A, Source.SLOT_B, Source.EEPROM)] == [0, 1, -1]
    assert [Source.of_slot(index) for index in (0, 1)] == [Source.SLOT_A, Source.SLOT_B]
