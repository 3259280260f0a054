"""One decision, two implementations: Python's store and the C stub, on the same flash, step by step alike."""

import ctypes
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carousel.errors import OperatorError
from carousel.header import ReleaseHeader
from carousel.identity import Hardware
from carousel.trust import TrustRing
from settop.board.frames import Place
from settop.bootchoice import Source, free_slot
from settop.disk import Disk
from settop.staterecord import (
    NO_SLOT,
    RECORD_BYTES,
    Failure,
    SlotRecord,
    SlotState,
    StateRecord,
    newest_record,
    plan_append,
)
from settop.store import SECTOR_BYTES, Store
from tests.conftest import HARDWARE, KEY, OTHER_KEY
from tests.firmware_stub.stubhost import Board, Geometry, header_of, image_of, library
from tests.settop.powercut import CutDisk

pytestmark = pytest.mark.stub

GEOMETRY = Geometry(SECTOR_BYTES, 2)
PUBLIC_KEY = KEY.public_key().public_bytes_raw()
SOURCES = {Place.SLOT_A: Source.SLOT_A, Place.SLOT_B: Source.SLOT_B, Place.EEPROM: Source.EEPROM}
REASONS = {1: "confirmed", 2: "confirmed before", 3: "no slot holds an image to boot"}

u32 = st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1))
slot_records = st.builds(
    SlotRecord,
    st.sampled_from(SlotState),
    st.integers(0, 3),
    st.sampled_from(Failure),
    u32,
    st.binary(min_size=8, max_size=8),
)
records = st.builds(
    StateRecord,
    u32,
    st.integers(0, 3),
    st.sampled_from([0, 1, NO_SLOT]),
    st.sampled_from(Failure),
    st.tuples(slot_records, slot_records),
)
damage = st.one_of(st.none(), st.tuples(st.integers(0, RECORD_BYTES * 8 - 1), st.sampled_from(["flip", "tear"])))
images = st.sampled_from(
    [
        "none",
        "good",
        "newer",
        "other key",
        "other hardware",
        "other version",
        "low counter",
        "bad image",
        "bad header",
        "cut",
    ]
)


class SameFlash(Board):
    """A C board and a Python store that see the same bytes."""

    def __init__(self):
        super().__init__(GEOMETRY, HARDWARE, PUBLIC_KEY)
        self.disk: Disk = CutDisk()
        self.store = Store(self.disk, HARDWARE, TrustRing.of([KEY.public_key()]))

    def put_records(self, content):
        self.put(self.geometry.regions["records"][0], content)
        self.disk.write("state.bin", 0, content)

    def records_differ(self):
        return self.region("records") != self.disk.read("state.bin")

    def put_slot(self, name, kind):
        header, image = slot_content(kind, name)
        if header is None:
            return
        self.put_image(name, header, image)
        file = name.replace("_", "-")
        self.disk.write(f"{file}.header", 0, header)
        size = int.from_bytes(header[40:48], "little")
        self.disk.write(f"{file}.image", 0, self.image(name, min(size, GEOMETRY.capacity)))


def slot_content(kind, name):
    version = {"slot_a": "1.0.0", "slot_b": "1.1.0", "eeprom": "0.1.0"}[name]
    version = "2.0.0" if kind == "newer" else version
    fields = {
        "other key": {"key": OTHER_KEY},
        "other hardware": {"hardware": Hardware(1, 2)},
        "other version": {"hardware": replace(HARDWARE, version=9)},
        "low counter": {"counter": 0},
    }.get(kind, {"counter": 2})
    header, image = header_of(version, **fields), image_of(version)
    if kind == "none":
        return None, b""
    if kind == "bad image":
        return header.raw, image[:-1] + bytes([image[-1] ^ 1])
    if kind == "bad header":
        return header.raw[:100] + bytes([header.raw[100] ^ 0x10]) + header.raw[101:], image
    return header.raw, image[:300] if kind == "cut" else image


def hurt(content, place):
    if place is None:
        return content
    bit, how = place
    if how == "tear":
        return content[: bit // 8].ljust(RECORD_BYTES, b"\xff")
    return bytes(byte ^ (1 << bit % 8 if index == bit // 8 else 0) for index, byte in enumerate(content))


def flash_of(history):
    """Records at their places, each perhaps hurt; then rubbish is what a sector held before."""
    sectors = bytearray(b"\xff" * 2 * SECTOR_BYTES)
    for place, record, damaged in history:
        offset = place * RECORD_BYTES
        sectors[offset : offset + RECORD_BYTES] = hurt(record.build(), damaged)
    return bytes(sectors)


histories = st.lists(st.tuples(st.integers(0, 2 * SECTOR_BYTES // RECORD_BYTES - 1), records, damage), max_size=6)
grown = st.lists(records, max_size=8)


def settled(test):
    return settings(deadline=None, suppress_health_check=list(HealthCheck))(test)


@settled
@given(records)
def test_the_same_free_slot(record):
    assert library().host_free_slot(record.build()) == free_slot(record)


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


@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(histories, images, images, images, st.lists(st.sampled_from(["boot", "confirm"]), min_size=1, max_size=6))
def test_the_same_boots_and_confirmations(history, slot_a, slot_b, eeprom, steps):
    board = SameFlash()
    board.put_records(flash_of(history))
    for name, kind in (("slot_a", slot_a), ("slot_b", slot_b), ("eeprom", eeprom)):
        board.put_slot(name, kind)
    for step in steps:
        same_decision(board) if step == "boot" else same_confirmation(board)
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


def test_a_header_with_any_bytes_in_its_name_is_read_alike():
    """The name is for people: a byte that is no UTF-8 keeps neither side from booting."""
    header = bytearray(header_of("1.0.0", counter=2).raw)
    header[128] = 0xFF
    header[188:192] = library().host_crc32(bytes(header[:188]), 188).to_bytes(4, "little")
    header[192:] = KEY.sign(bytes(header[:192]))
    assert ReleaseHeader.parse(bytes(header)).name.startswith("\\xff")
    board = SameFlash()
    board.put_records(flash_of([]))
    board.put_image("eeprom", bytes(header), image_of("1.0.0"))
    board.disk.write("eeprom.header", 0, bytes(header))
    board.disk.write("eeprom.image", 0, image_of("1.0.0"))
    assert same_decision(board) is Source.EEPROM
