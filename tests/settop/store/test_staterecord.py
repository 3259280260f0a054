import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.crc import crc32
from settop.store.staterecord import (
    RECORD_BYTES,
    SECTORS,
    Erase,
    Failure,
    Program,
    SlotRecord,
    SlotState,
    StateRecord,
    newest_record,
    plan_append,
)

SECTOR = 8 * RECORD_BYTES
u32 = st.integers(0, 2**32 - 1)
slots = st.builds(
    SlotRecord,
    st.sampled_from(SlotState),
    st.integers(0, 3),
    st.sampled_from(Failure),
    u32,
    st.binary(min_size=8, max_size=8),
)
records = st.builds(
    StateRecord, u32, u32, st.sampled_from([0, 1, 255]), st.sampled_from(Failure), st.tuples(slots, slots)
)


class Flash:
    """NOR: programming only clears bits, erasing sets a sector's."""

    def __init__(self, content=b"\xff" * SECTORS * SECTOR):
        self.content = bytearray(content)

    def apply(self, operation):
        if isinstance(operation, Erase):
            self.content[operation.sector * SECTOR : (operation.sector + 1) * SECTOR] = b"\xff" * SECTOR
        else:
            for index, byte in enumerate(operation.data):
                self.content[operation.offset + index] &= byte

    def append(self, record):
        for operation in plan_append(bytes(self.content), record):
            self.apply(operation)


@given(records)
def test_what_is_built_is_parsed(record):
    raw = record.build()
    assert len(raw) == RECORD_BYTES
    assert StateRecord.parse(raw) == record


@given(records, st.integers(0, RECORD_BYTES * 8 - 1))
def test_any_flipped_bit_spoils_a_record(record, bit):
    raw = bytearray(record.build())
    raw[bit // 8] ^= 1 << bit % 8
    assert StateRecord.parse(bytes(raw)) is None


@given(st.lists(records, min_size=1, max_size=40), st.binary(min_size=SECTORS * SECTOR, max_size=SECTORS * SECTOR))
def test_the_last_appended_record_is_the_newest(history, rubbish):
    flash = Flash(rubbish)
    for record in history:
        flash.append(record)
    assert newest_record(bytes(flash.content)).but(seq=0) == history[-1].but(seq=0)


def test_seq_wraps_around():
    flash = Flash()
    flash.apply(Program(0, StateRecord(seq=0xFFFFFFFE).build()))
    for floor in range(1, 6):
        flash.append(StateRecord(floor=floor))
        newest = newest_record(bytes(flash.content))
        assert newest.floor == floor
        assert newest.seq == (0xFFFFFFFE + floor) & 0xFFFFFFFF


def test_the_sector_of_the_newest_record_is_never_erased():
    flash = Flash()
    for floor in range(1, 100):
        operations = plan_append(bytes(flash.content), StateRecord(floor=floor))
        holds_newest = [
            newest_record(bytes(flash.content[sector * SECTOR : (sector + 1) * SECTOR])) for sector in range(SECTORS)
        ]
        for operation in operations:
            if isinstance(operation, Erase) and any(holds_newest):
                kept = holds_newest[1 - operation.sector]
                assert kept == newest_record(bytes(flash.content))
            flash.apply(operation)


@pytest.mark.parametrize("torn_bytes", [1, 4, 30, 63])
def test_a_torn_record_leaves_the_one_before(torn_bytes):
    flash = Flash()
    flash.append(StateRecord(floor=1))
    (operation,) = plan_append(bytes(flash.content), StateRecord(floor=2))
    flash.apply(Program(operation.offset, operation.data[:torn_bytes]))
    assert newest_record(bytes(flash.content)).floor == 1
    flash.append(StateRecord(floor=3))
    assert newest_record(bytes(flash.content)).floor == 3


@given(st.binary(min_size=SECTORS * SECTOR, max_size=SECTORS * SECTOR))
def test_rubbish_is_no_record(rubbish):
    assert newest_record(rubbish) is None


@pytest.mark.parametrize("at", [4, 17, 20, 22], ids=["layout", "last failure", "state", "failure"])
def test_a_whole_record_that_says_what_nobody_knows_is_passed_over(at):
    raw = bytearray(StateRecord(seq=9).build())
    raw[at] = 77
    raw[-4:] = crc32(bytes(raw[:-4])).to_bytes(4, "little")
    good = StateRecord(seq=5)
    for records in ((good.build(), raw), (raw, good.build()), (raw, good.build(), raw)):
        assert newest_record(b"".join(records).ljust(SECTORS * SECTOR, b"\xff")) == good
    assert newest_record(bytes(raw).ljust(SECTORS * SECTOR, b"\xff")) is None


@pytest.mark.parametrize(("older", "newer"), [(255, 256), (0x01FF, 0x0200), (0xFFFF, 0x10000), (0xFFFFFFFF, 0)])
def test_numbers_are_compared_as_numbers_wherever_the_records_lie(older, newer):
    for places in ((0, RECORD_BYTES), (RECORD_BYTES, 0), (0, SECTOR), (SECTOR, 0)):
        flash = bytearray(b"\xff" * SECTORS * SECTOR)
        for place, seq in zip(places, (older, newer), strict=True):
            flash[place : place + RECORD_BYTES] = StateRecord(seq=seq).build()
        assert newest_record(bytes(flash)).seq == newer


def test_a_record_lies_at_a_multiple_of_its_size():
    flash = bytearray(b"\xff" * SECTORS * SECTOR)
    flash[32 : 32 + RECORD_BYTES] = StateRecord(seq=9).build()
    assert newest_record(bytes(flash)) is None


def test_where_there_is_no_record_the_first_sector_is_erased_for_it():
    for rubbish in (b"\x55", b"\xff"):
        operations = plan_append(rubbish * SECTORS * SECTOR, StateRecord(floor=4))
        assert operations == [Erase(0), Program(0, StateRecord(seq=1, floor=4).build())]


def test_a_record_never_lands_among_bytes_that_are_not_erased():
    """What a cut left behind the newest one is passed over; where no rest of a sector is erased, the other one is."""
    flash = Flash()
    flash.append(StateRecord())
    flash.content[2 * RECORD_BYTES + 5] = 0
    assert plan_append(bytes(flash.content), StateRecord())[0].offset == 3 * RECORD_BYTES
    flash.content[SECTOR - 1] = 0
    assert plan_append(bytes(flash.content), StateRecord())[0] == Erase(1)
