"""What an install leaves in the flash on its way, step by step."""

import pytest

from settop.flasher.frames import Message, Place, Refusal
from settop.store.staterecord import NO_SLOT, RECORD_BYTES, SlotState, StateRecord
from tests.firmware_stub.core.interruptions import INSTALLED, Scenario, boot, install, prepared, record_of
from tests.firmware_stub.loader.talk import ask, started
from tests.firmware_stub.stubhost import Board, Geometry, header_of, image_of

pytestmark = pytest.mark.stub

CONFIRMED_A = Scenario(("1.0.0",), "install", 6)


def states_of(board, slot):
    """What the records say of a slot, in the order they were written."""
    raw = board.region("records")
    records = [StateRecord.parse(raw[at : at + RECORD_BYTES]) for at in range(0, len(raw), RECORD_BYTES)]
    written = sorted((record for record in records if record is not None), key=lambda record: record.seq)
    return [record.slots[slot].state for record in written]


def test_a_slot_is_writing_then_staged_then_on_trial():
    board = prepared(CONFIRMED_A)
    assert install(board, "2.0.0") == INSTALLED
    assert states_of(board, 1)[-3:] == [SlotState.WRITING, SlotState.STAGED, SlotState.TRIAL]


def test_a_transfer_that_begins_again_writes_no_record_again():
    board = started(prepared(CONFIRMED_A))
    begin = {"place": 255, "header": header_of("2.0.0", 2).raw}
    ask(board, Message.BEGIN, **begin)
    before = record_of(board)
    ask(started(board), Message.BEGIN, **begin)
    assert record_of(board) == before
    ask(board, Message.BEGIN, place=255, header=header_of("3.0.0", 2).raw)
    assert record_of(board).seq == before.seq + 1


def test_a_confirmed_image_that_rotted_is_not_held():
    board = started(prepared(CONFIRMED_A))
    begin = {"place": 255, "header": header_of("1.0.0", 1).raw}
    assert ask(board, Message.BEGIN, **begin).is_held
    board.put(board.geometry.regions["slot_a"][0] + board.geometry.sector_bytes, b"rot")
    begun = ask(board, Message.BEGIN, **begin)
    assert (begun.place, bool(begun.is_held)) == (Place.SLOT_B, False)


def test_a_skip_over_a_sector_has_the_next_one_erased():
    """What was ready before the skip is not what is written after it."""
    board = started(prepared(CONFIRMED_A))
    sector, image = board.geometry.sector_bytes, image_of("2.0.0")
    board.put(board.geometry.regions["slot_b"][0] + sector, bytes(4) + image[4:sector] + bytes(200))
    ask(board, Message.BEGIN, place=1, header=header_of("2.0.0", 2).raw)
    ask(board, Message.DATA, image[:4], offset=0)  # erases the first sector
    ask(board, Message.DATA, image[4:sector], offset=4)
    ask(board, Message.DATA, image[sector:], offset=sector)
    assert ask(board, Message.END).written_bytes == 700
    assert board.violations() == 0


@pytest.mark.parametrize("is_rest_blank", [True, False])
def test_after_a_skip_into_a_sector_only_what_is_not_blank_is_erased(is_rest_blank):
    board = started(prepared(CONFIRMED_A))
    sector, image = board.geometry.sector_bytes, image_of("2.0.0")
    held = image[:256] + (b"\xff" * 256 if is_rest_blank else b"\xff" * 255 + b"\0")
    board.put(board.geometry.regions["slot_b"][0] + sector, held)
    ask(board, Message.BEGIN, place=1, header=header_of("2.0.0", 2).raw)
    assert ask(board, Message.SKIP, offset=0, to=256).offset == 256
    answer = ask(board, Message.DATA, image[256:384], offset=256)
    assert (answer.offset, bool(answer.is_gap)) == ((384, False) if is_rest_blank else (0, True))
    assert board.image("slot_b", 256) == (image[:256] if is_rest_blank else b"\xff" * 256)


def test_a_skip_out_of_a_ready_sector_makes_the_next_write_look_again():
    board = started(prepared(CONFIRMED_A))
    sector, image = board.geometry.sector_bytes, image_of("2.0.0")
    board.put(board.geometry.regions["slot_b"][0] + 2 * sector, image[sector : sector + 4] + bytes(100))
    ask(board, Message.BEGIN, place=1, header=header_of("2.0.0", 2).raw)
    ask(board, Message.DATA, image[:4], offset=0)
    assert ask(board, Message.SKIP, offset=4, to=sector + 4).offset == sector + 4
    answer = ask(board, Message.DATA, image[sector + 4 : sector + 8], offset=sector + 4)
    assert (answer.offset, bool(answer.is_gap)) == (sector, True)
    assert board.violations() == 0


def test_only_the_last_piece_may_be_odd():
    board = started(prepared(CONFIRMED_A))
    ask(board, Message.BEGIN, place=1, header=header_of("2.0.0", 2).raw)
    for length in (1, 3, 127):
        assert ask(board, Message.DATA, bytes(length), offset=0).refusal == Refusal.MALFORMED
    assert ask(board, Message.SKIP, offset=0, to=3).refusal == Refusal.MALFORMED


def test_a_stub_is_no_larger_than_its_region_and_its_slot_forgets_what_it_held():
    board = started(Board(Geometry(512, 40)))
    room = board.geometry.regions["stub"][1]
    header_offset = board.geometry.regions["slot_a"][0]
    board.put(header_offset, header_of("1.0.0").raw)
    too_big = {"size": room + 1, "sha256": bytes(32)}
    assert ask(board, Message.BEGIN_STUB, **too_big).refusal == Refusal.TOO_BIG
    assert board.flash[header_offset : header_offset + 256] == header_of("1.0.0").raw
    ask(board, Message.BEGIN_STUB, size=room, sha256=bytes(32))
    assert board.flash[header_offset : header_offset + 256] == b"\xff" * 256


def test_what_was_confirmed_boots_after_all_of_it():
    board = prepared(CONFIRMED_A)
    assert record_of(board).active != NO_SLOT
    assert boot(board) == "1.0.0"
