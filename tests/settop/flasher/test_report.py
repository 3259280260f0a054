"""What `settop flash` prints."""

import json

import pytest

from carousel.release.header import HEADER_BYTES
from settop.flasher.events import Banner, BoardState, Connected, Flashed, Progress, Sent
from settop.flasher.frames import Announce, Place
from settop.flasher.report import BoardReporter, state_of
from settop.store.staterecord import Failure, SlotRecord, SlotState, StateRecord
from tests.firmware_stub.stubhost import header_of

SENT = {"size_bytes": 9000, "written_bytes": 4096, "held_bytes": 4904, "elapsed_s": 0.5}
SENT |= {"bytes_per_s": 18000, "sha256": "ab" * 32}


def announced(record):
    fields = dict.fromkeys(
        ("protocol", "hardware_model", "block_bytes", "stub_version", "session", "window_bytes", "sector_bytes"), 1
    )
    fields |= dict.fromkeys(("stub_capacity", "max_baud", "erase_ms", "hash_kib_per_s"), 1)
    fields |= {"hardware_oui": 0xA1B2, "hardware_version": 3, "stub_digest": bytes(8), "image_capacity": [1, 1, 1]}
    return Announce.parse(Announce.build(fields | {"public_key": bytes(32), "record": record}))


def test_lines_for_people(capfd):
    reporter = BoardReporter("tty", as_json=False, is_terminal=False)
    reporter.tell(Connected("00A1B2:7", 1))
    for done in range(0, 1001, 10):
        reporter.tell(Progress(done, 1000, 100.0 if done >= 400 else 0.0))
    reporter.tell(Flashed(Place.SLOT_B, "1.0.0", Sent(**SENT)))
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "tty: connected: hardware 00A1B2:7, stub 1"
    assert "tty:  50 %, 100 B/s, 5 s left" in lines
    assert "tty:  30 %, 0 B/s" in lines, "nobody knows how long it takes before anything has moved"
    assert len(lines) == 13
    assert lines[-1].startswith("tty: slot-b holds 1.0.0: 9,000 bytes in 0.5 s, 18.0 kB/s; 4,904 bytes were there")


def test_lines_for_machines(capfd):
    reporter = BoardReporter("tty", as_json=True, is_terminal=False)
    reporter.tell(Flashed(Place.SLOT_B, "1.0.0", Sent(**SENT)))
    assert json.loads(capfd.readouterr().out) == {"event": "flashed", "place": "slot-b", "version": "1.0.0", **SENT}


@pytest.mark.parametrize("has_record", [True, False])
def test_state_in_plain_data(has_record, capfd):
    slots = (SlotRecord(SlotState.TRIAL, 2), SlotRecord(SlotState.FAILED, failure=Failure.TRIES_USED_UP))
    record = StateRecord(9, 4, 0xFF, Failure.NONE, slots).build() if has_record else b"\xff" * 64
    places = {
        Place.SLOT_A: (0, header_of("1.0.0").raw),
        Place.SLOT_B: (2, bytes(HEADER_BYTES)),
        Place.EEPROM: (0, header_of("0.1.0").raw),
    }
    state = state_of(announced(record), places)
    assert state["next_boot"] == "slot-a"
    assert [source["verifies"] for source in state["sources"]] == [True, False, True]
    if has_record:
        assert (state["floor"], state["sources"][0]["tries_left"]) == (4, 2)
        assert "used up" in state["sources"][1]["failure"]
    BoardReporter("tty", as_json=False, is_terminal=False).tell(BoardState(announced(record), places))
    assert "next boot: slot-a" in capfd.readouterr().out


def test_what_a_board_says_is_no_markup():
    """Square brackets in a banner (a kernel's time stamps) must not be read as rich's tags."""
    reporter = BoardReporter("tty", as_json=False, is_terminal=True)
    reporter.tell(Banner("[    0.000000] Booting [/Linux] [bold"))
    reporter.close()
