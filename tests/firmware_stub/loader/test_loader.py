"""The loader and its SLIP decoder against anything: rubbish, mutated frames, valid frames in any order."""

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.crc import crc32
from settop.flasher.frames import MAX_FRAME_BYTES, PAYLOADS, Message, Refusal, build_frame, parse_frame, parse_payload
from settop.flasher.slip import SlipDecoder, slip_encode
from settop.store.staterecord import SlotState, StateRecord
from tests.conftest import noise
from tests.firmware_stub.core.interruptions import Scenario, boot, prepared
from tests.firmware_stub.stubhost import STUB, Board, Geometry, build, header_of, image_of

pytestmark = pytest.mark.stub

GEOMETRY = Geometry(512, 3)
BATCHES = 6


def started(board=None):
    board = board or Board(GEOMETRY)
    board.loader_start(7, 1)
    board.take_output()
    return board


def answers(board):
    pieces = SlipDecoder(MAX_FRAME_BYTES).feed(board.take_output())
    return [parse_frame(piece) for piece in pieces]


def say(board, frame):
    wrapped = slip_encode(frame)
    board.loader_receive(wrapped, len(wrapped))
    return answers(board)


def test_it_announces_itself():
    board = Board(GEOMETRY)
    board.loader_start(7, 1)
    (frame,) = answers(board)
    fields, _ = parse_payload(frame)
    assert (frame.type, fields.session, fields.sector_bytes) == (Message.ANNOUNCE, 7, 512)
    assert list(fields.image_capacity) == [1024] * 3


@given(st.binary(max_size=3 * MAX_FRAME_BYTES))
def test_rubbish_is_never_answered_and_changes_nothing(rubbish):
    board = started()
    before = board.flash
    board.loader_receive(rubbish, len(rubbish))
    assert board.flash == before
    assert board.take_output() == b"" or any(parse_frame(piece) for piece in SlipDecoder(MAX_FRAME_BYTES).feed(rubbish))


@given(st.binary(min_size=7, max_size=400), st.integers(0, 2**32))
def test_after_rubbish_the_next_frame_is_heard(rubbish, seed):
    board = started()
    rubbish = rubbish.replace(b"\xc0", b"\x00")
    board.loader_receive(rubbish, len(rubbish))
    (answer,) = say(board, build_frame(Message.HELLO, seed & 0xFFFF, protocol=1))
    assert (answer.type, answer.seq) == (Message.ANNOUNCE, seed & 0xFFFF)


@pytest.mark.parametrize("message", [message for message in Message if message < 0x80 and PAYLOADS[message].sizeof()])
def test_a_payload_of_the_wrong_length_is_refused(message):
    board = started()
    fields = {field.name: bytes(field.sizeof()) if field.sizeof() > 8 else 0 for field in PAYLOADS[message].subcons}
    whole = build_frame(message, 1, **fields)
    short = whole[:-5]
    (answer,) = say(board, short + crc32(short).to_bytes(4, "little"))
    assert answer.type is Message.REFUSED


@pytest.mark.parametrize("batch", range(BATCHES))
def test_valid_frames_in_any_order_never_lose_the_confirmed_image(batch, record_property):
    """State-machine fuzz: all frames have good CRCs, their fields are likely or wild."""
    frames = 0
    for seed in range(batch * 100, (batch + 1) * 100):
        rng = random.Random(seed)
        board = started(prepared(Scenario(("1.0.0",), "install", 6)))
        for _ in range(rng.randrange(1, 60)):
            say(board, random_frame(rng))
            frames += 1
        assert board.violations() == 0, f"seed {seed}"
        record = StateRecord.parse(board.load()[0])
        assert record.slots[0].state is SlotState.CONFIRMED, f"seed {seed}"
        assert [boot(board) for _ in range(5)][-1] == "1.0.0", f"seed {seed}: the confirmed image is lost"
    record_property("frames of any order and content", frames)


def random_frame(rng):
    image = image_of("2.0.0")
    number = lambda *likely: rng.choice([*likely, rng.randrange(2**32)])  # noqa: E731
    offset = number(0, 512, 700, 4, 696)
    cut = slice(offset, offset + rng.choice([4, 128, 512, 700, 1024]))
    choices = [
        (Message.HELLO, {"protocol": 1}, b""),
        (Message.BEGIN, {"place": rng.choice([0, 1, 3, 7, 255]), "header": header_of("2.0.0", 2).raw}, b""),
        (Message.BEGIN, {"place": 255, "header": noise(256, str(offset))}, b""),
        (
            Message.SUMS,
            {"offset": offset, "span_bytes": number(512, 128, 0), "count": rng.choice([1, 2, 6, 65535])},
            b"",
        ),
        (Message.DATA, {"offset": offset}, image[cut] if offset < 2**16 else b"wild"),
        (Message.DATA, {"offset": offset}, rng.randbytes(rng.randrange(1024))),
        (Message.SKIP, {"offset": number(0, 512), "to": number(512, 700)}, b""),
        (Message.END, {}, b""),
        (Message.INSPECT, {"place": rng.randrange(5)}, b""),
        (Message.BAUD, {"baud": number(115200, 0, 9600)}, b""),
    ]
    message, fields, tail = rng.choice(choices)
    return build_frame(message, rng.randrange(65536), tail, **fields)


@settings(max_examples=300)
@given(st.binary(max_size=MAX_FRAME_BYTES), st.integers(0, 50))
def test_slip_of_both_sides_agrees(frame, at):
    """What Python wraps, Python unwraps; a frame that C takes for good is answered, wherever the stream is cut."""
    wrapped = slip_encode(frame)
    decoder = SlipDecoder(MAX_FRAME_BYTES)
    assert decoder.feed(wrapped[:at]) + decoder.feed(wrapped[at:]) == ([frame] if frame else [])


@given(st.binary(max_size=600))
def test_escapes_survive_both_ways(data):
    """DATA with any bytes reaches the flash as it was sent: encoder here, decoder in C."""
    board = started(Board(Geometry(512, 4)))
    data = data.ljust(-(-max(1, len(data)) // 4) * 4, b"\xdb")
    header = header_of("9.9.9", size=1400)
    say(board, build_frame(Message.BEGIN, 1, place=0, header=header.raw))
    (answer,) = say(board, build_frame(Message.DATA, 2, data, offset=0))
    assert parse_payload(answer)[0].offset == len(data)
    assert board.image("slot_a", len(data)) == data


def test_an_end_without_data_is_told_apart_from_one_that_came_too_soon():
    board = started()
    say(board, build_frame(Message.BEGIN, 1, place=0, header=header_of("2.0.0").raw))
    (answer,) = say(board, build_frame(Message.END, 2))
    assert parse_payload(answer)[0].refusal == Refusal.NOTHING_WRITTEN
    say(board, build_frame(Message.DATA, 3, image_of("2.0.0")[:512], offset=0))
    (answer,) = say(board, build_frame(Message.END, 4))
    assert parse_payload(answer)[0].refusal == Refusal.INCOMPLETE
    assert board.load()[1]
    assert boot_source(board) is None


def boot_source(board):
    decision = board.boot()
    return decision.place if decision else None


def test_an_idle_loader_leaves_by_itself():
    board = Board(GEOMETRY)
    board.set_now(1000)
    board.loader_start(1, 0)
    board.set_now(1250)
    assert board.loader_tick()
    board.set_now(1301)
    assert not board.loader_tick()


def test_a_heard_loader_stays_for_half_a_minute_and_goes_back_to_its_first_rate():
    board = Board(GEOMETRY)
    board.loader_start(1, 0)
    say(board, build_frame(Message.HELLO, 1, protocol=1))
    say(board, build_frame(Message.BAUD, 2, baud=921600))
    assert board.baud() == 921600
    say(board, build_frame(Message.HELLO, 3, protocol=1))
    board.set_now(2_500)
    assert board.loader_tick()
    assert board.baud() == 921600
    board.set_now(3_100)
    assert board.loader_tick()
    assert board.baud() == 115200
    board.set_now(30_001)
    assert not board.loader_tick()


def test_the_boards_own_work_is_no_silence_of_the_host():
    """Erasing may take longer than an idle loader stays."""
    board = Board(GEOMETRY)
    board.put(board.geometry.regions["slot_a"][0], b"old header")
    board.set_flash_speed(31_000_000, 0)
    board.loader_start(1, 0)
    board.take_output()
    say(board, build_frame(Message.BEGIN, 1, place=0, header=header_of("2.0.0").raw))
    assert board.busy_us() >= 31_000_000
    assert board.loader_tick()


def test_the_factory_image_is_below_no_floor():
    board = started(prepared(Scenario(("2.0.0",), "install", 6)))  # confirmed: the floor is 2
    header, image = header_of("0.1.0", 0), image_of("0.1.0")
    offset, _ = board.geometry.regions["eeprom"]
    board.put(offset, header.raw)
    board.put(offset + board.geometry.sector_bytes, image)
    (answer,) = say(board, build_frame(Message.INSPECT, 1, place=2))
    assert parse_payload(answer)[0].failure == 0


def test_a_stranded_loader_stays_and_calls():
    board = started()
    for now_ms in range(0, 100_000, 500):
        board.set_now(now_ms)
        assert board.loader_tick()
    assert 40 <= len(answers(board)) <= 100


@pytest.mark.long
def test_all_of_this_again_under_the_address_sanitizer():
    build()
    runtime = subprocess.run(["cc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
    environment = os.environ | {
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "STUB_LIBRARY": str(STUB / "build" / "libstub-asan.so"),
        "PYTEST_XDIST_WORKER": "",
    }
    tests = [f"tests/firmware_stub/{room}" for room in ("core", "loader")]
    selected = "not thousands and not power_cut and not mutated and not again"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", selected, *tests]
    run = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=1800, cwd=STUB.parent
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert " passed" in run.stdout
