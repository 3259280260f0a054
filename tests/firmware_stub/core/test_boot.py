"""One decision, two implementations: Python's store and the C stub, on the same flash, step by step alike."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carousel.errors import OperatorError
from carousel.release.header import SignedHeader
from settop.flasher.frames import Place
from settop.stitch.policy import DIGEST_PREFIX_BYTES
from settop.store.choice import Source
from settop.store.staterecord import NO_SLOT, Failure, SlotRecord, SlotState, StateRecord
from tests.conftest import KEY
from tests.firmware_stub.core.sameflash import SameFlash, flash_of, histories, images
from tests.firmware_stub.stubhost import header_of, image_of, library

pytestmark = pytest.mark.stub

SOURCES = {Place.SLOT_A: Source.SLOT_A, Place.SLOT_B: Source.SLOT_B, Place.EEPROM: Source.EEPROM}
REASONS = {1: "confirmed", 2: "confirmed before", 3: "no slot holds an image to boot"}


def same_decision(board):
    """Boot both; say what booted, having compared everything."""
    decision = board.boot()
    try:
        expected = board.store.boot()
    except OperatorError:
        assert decision is None
        return None
    assert decision is not None
    assert SOURCES[decision.place] is expected.source
    assert bytes(decision.header) == expected.header.raw
    passed_over = [
        (SOURCES[each.place], Failure(each.failure)) for each in decision.passed_over[: decision.passed_over_count]
    ]
    assert passed_over == list(expected.passed_over)
    reason = REASONS.get(decision.reason, f"on trial, {decision.tries_left} of 3 tries left")
    assert reason == expected.reason
    return expected.source


def same_confirmation(board):
    outcome = board.confirm()
    try:
        expected = board.store.confirm()
    except OperatorError as error:
        assert outcome == (2 if "not been booted" in str(error) else 3)
        return
    assert outcome == (0 if expected is not None else 1)


def same_halt(board):
    """A halted roll-out of what slot B holds."""
    digest = header_of("1.1.0", counter=2).image_sha256
    halted = board.store.halt(digest)
    assert board.halt(digest) == (0 if halted is not None else 1)
    return halted


@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(
    histories, images, images, images, st.lists(st.sampled_from(["boot", "confirm", "halt"]), min_size=1, max_size=6)
)
def test_the_same_boots_and_confirmations(history, slot_a, slot_b, eeprom, steps):
    board = SameFlash()
    board.put_records(flash_of(history))
    for name, kind in (("slot_a", slot_a), ("slot_b", slot_b), ("eeprom", eeprom)):
        board.put_slot(name, kind)
    for step in steps:
        {"boot": same_decision, "confirm": same_confirmation, "halt": same_halt}[step](board)
        assert not board.records_differ(), f"after {step} the two flashes differ"
    assert board.violations() == 0


likely_slots = st.builds(
    lambda state, tries: SlotRecord(state, tries if state is SlotState.TRIAL else 0, Failure.NONE, 2, b"12345678"),
    st.sampled_from([SlotState.TRIAL, SlotState.CONFIRMED, SlotState.FAILED, SlotState.STAGED]),
    st.integers(0, 3),
)


@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([0, 1, NO_SLOT]), likely_slots, likely_slots, st.integers(0, 4), images, images, st.integers(1, 6)
)
def test_the_same_life_from_a_likely_record(active, first, second, floor, slot_a, slot_b, boots):
    board = SameFlash()
    board.put_records(flash_of([(5, StateRecord(7, floor, active, Failure.NONE, (first, second)), None)]))
    for name, kind in (("slot_a", slot_a), ("slot_b", slot_b), ("eeprom", "good")):
        board.put_slot(name, kind)
    for _ in range(boots):
        assert same_decision(board) is not None
        assert not board.records_differ()
    same_confirmation(board)
    assert not board.records_differ()


def on_trial(name, version):
    """A flash with the factory image, and one on trial that nobody has started."""
    board = SameFlash()
    digest = header_of(version, counter=2).image_sha256[:8]
    trial = SlotRecord(SlotState.TRIAL, 3, Failure.NONE, 2, digest)
    slots = (SlotRecord(), trial) if name == "slot_b" else (trial, SlotRecord())
    board.put_records(flash_of([(0, StateRecord(1, 0, NO_SLOT, Failure.NONE, slots), None)]))
    board.put_slot(name, "good")
    board.put_slot("eeprom", "good")
    return board


def test_a_halted_trial_is_failed_for_a_reason_of_its_own():
    board = on_trial("slot_b", "1.1.0")
    assert same_halt(board) is Source.SLOT_B
    assert not board.records_differ()
    record = board.store.record()
    assert (record.slots[1].state, record.slots[1].failure) == (SlotState.FAILED, Failure.HALTED)
    assert record.last_failure is Failure.HALTED
    assert same_decision(board) is Source.EEPROM
    assert same_halt(board) is None  # it is no trial any more


def test_a_halt_of_another_image_or_of_a_confirmed_one_changes_nothing():
    board = on_trial("slot_a", "1.0.0")
    before = board.flash
    assert same_halt(board) is None
    assert board.flash == before
    board = on_trial("slot_b", "1.1.0")
    assert same_decision(board) is Source.SLOT_B
    same_confirmation(board)
    assert same_halt(board) is None
    assert same_decision(board) is Source.SLOT_B


@pytest.mark.parametrize("byte", range(DIGEST_PREFIX_BYTES))
def test_a_halt_names_its_image_by_all_of_the_digests_begin(byte):
    board = on_trial("slot_b", "1.1.0")
    digest = bytearray(header_of("1.1.0", counter=2).image_sha256)
    digest[byte] ^= 1
    before = board.flash
    assert board.halt(bytes(digest)) == 1
    assert board.store.halt(bytes(digest)) is None
    assert board.flash == before


def test_what_has_not_been_booted_is_not_confirmed():
    board = on_trial("slot_a", "1.0.0")
    before = board.flash
    assert board.confirm() == 2
    assert board.flash == before
    same_confirmation(board)
    assert same_decision(board) is Source.SLOT_A
    same_confirmation(board)
    assert board.store.record().slots[0].state is SlotState.CONFIRMED


def test_a_header_with_any_bytes_in_its_name_is_read_alike():
    """The name is for people: a byte that is no UTF-8 keeps neither side from booting."""
    header = bytearray(header_of("1.0.0", counter=2).raw)
    header[128] = 0xFF
    header[188:192] = library().host_crc32(bytes(header[:188]), 188).to_bytes(4, "little")
    header[192:] = KEY.sign(bytes(header[:192]))
    assert SignedHeader.parse(bytes(header)).name.startswith("\\xff")
    board = SameFlash()
    board.put_records(flash_of([]))
    board.put_image("eeprom", bytes(header), image_of("1.0.0"))
    board.disk.write("eeprom.header", 0, bytes(header))
    board.disk.write("eeprom.image", 0, image_of("1.0.0"))
    assert same_decision(board) is Source.EEPROM
