"""A flash that reports faults: once, at any operation, in five ways; and one that is worn out or write-protected."""

from itertools import product

import pytest

from settop.flasher.frames import Place, Refusal
from settop.store.staterecord import TRIES, Failure, SlotState
from tests.firmware_stub.core.interruptions import (
    CONFIRMED_NOW,
    INSTALLED,
    SCENARIOS,
    act,
    check,
    count_operations,
    is_confirmed,
    prepared,
    record_of,
)
from tests.firmware_stub.stubhost import POWER_WENT, Cut, header_of

pytestmark = pytest.mark.stub

CONFIRM_FLASH_FAULT, HALT_FLASH_FAULT = 4, 2
SEEDS = 4


def judge(board, scenario, outcome):
    """What the stub says of an action under a fault must be so."""
    if scenario.action == "install":
        assert outcome in (INSTALLED, Refusal.FLASH_FAULT, Refusal.DIGEST_MISMATCH)
        record = record_of(board)
        is_on_trial = record is not None and any(slot.state is SlotState.TRIAL for slot in record.slots)
        assert is_on_trial or outcome != INSTALLED, "it says it is on trial, and it is not"
    elif scenario.action == "confirm":
        assert outcome in (CONFIRMED_NOW, CONFIRM_FLASH_FAULT)
        assert is_confirmed(record_of(board), "2.0.0") or outcome != CONFIRMED_NOW, "it says confirmed, and it is not"
    else:
        assert outcome is not None, "nothing boots"
        assert outcome != POWER_WENT


@pytest.mark.parametrize("is_silent", [False, True], ids=["reported", "silent"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_fault_at_every_operation_is_said_and_borne(scenario, is_silent, record_property):
    """Reported by the chip, or found by reading back alone."""
    board = prepared(scenario)
    snapshot = board.flash
    operations = count_operations(board, lambda: act(board, scenario.action))
    for at, cut, seed in product(range(1, operations + 1), Cut, range(SEEDS)):
        board.flash = snapshot
        board.arm_fault(at, cut, seed, is_silent=is_silent)
        outcome = act(board, scenario.action)
        board.arm(0)
        judge(board, scenario, outcome)
        check(board, scenario)
    record_property("flash faults, C stub", operations * len(Cut) * SEEDS)


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.action == "boot"], ids=str)
def test_a_try_that_can_not_be_recorded_is_not_started(scenario):
    """A worn or write-protected chip: an uncounted try might never end, so the image before boots, for ever."""
    fallback = scenario.history[-1] if scenario.history else "0.1.0"
    board = prepared(scenario)
    before = board.flash
    for _ in range(TRIES + 2):
        board.arm_fault(1, Cut.BEFORE, is_worn=True)
        decision = board.boot()
        assert decision.passed_over_count == 1
        assert decision.passed_over[0].failure == Failure.UNRECORDABLE
        assert bytes(decision.header) == header_of(fallback, 1).raw
    assert board.flash == before
    board.arm(0)
    assert bytes(board.boot().header) == header_of("2.0.0", 2).raw, "once it can be written, the trial starts"


@pytest.mark.parametrize("cut", Cut)
def test_a_halt_that_can_not_be_recorded_says_so(cut):
    scenario = next(each for each in SCENARIOS if each.action == "confirm" and each.history)
    board = prepared(scenario)
    board.arm_fault(1, cut, is_worn=True)
    assert board.halt(header_of("2.0.0", 2).image_sha256) == HALT_FLASH_FAULT
    board.arm(0)
    check(board, scenario)


@pytest.mark.parametrize("place", [Place.SLOT_B, Place.EEPROM])
def test_an_install_into_a_worn_chip_is_refused(place):
    scenario = next(each for each in SCENARIOS if each.action == "install" and each.history == ("1.0.0",))
    board = prepared(scenario)
    board.arm_fault(1, Cut.BEFORE, is_worn=True)
    assert board.install(header_of("2.0.0", 2), bytes(700), place) == Refusal.FLASH_FAULT
