"""The flasher and the C loader across a modelled line: faults, resets, windows, and every way to end."""

import random

import pytest

from bench.virtual.serialline import Faults, VirtualLine
from carousel.release.identity import Hardware
from settop.flasher.errors import FlashError
from settop.flasher.events import AlreadyThere, BoardState, Flashed, Progress, Resetting
from settop.flasher.flasher import Image, Job, StubImage
from settop.flasher.frames import STUB_HEAD_OFFSET, Place, StubHead
from settop.flasher.line import ResetLine
from settop.store.staterecord import SlotState, StateRecord
from tests.conftest import HARDWARE, KEY, OTHER_KEY, noise
from tests.firmware_stub.stubhost import Board, Geometry, header_of, image_of

pytestmark = pytest.mark.stub

GEOMETRY = Geometry(4096, 10)
SIZE = 30_000


def image(version="1.0.0", size=SIZE, place=Place.FREE_SLOT, **fields):
    return Image(header_of(version, size=size, **fields), image_of(version, size), place)


def flashed(line):
    return [event for event in line.events if isinstance(event, Flashed)]


def names(line):
    return [event.event for event in line.events if event.event not in ("progress", "connecting", "already_there")]


def run(board, job, **fields):
    line = VirtualLine(board, job, **fields)
    assert line.run(), "still not done after ten minutes"
    assert line.overflow_bytes == 0, "the board's window was not kept"
    assert board.violations() == 0
    return line


def boots(board):
    """Which version boots, its image read from the flash; None where nothing does."""
    decision = board.boot()
    if decision is None:
        return None
    header = bytes(decision.header)
    version = ".".join(str(int.from_bytes(header[at : at + 2], "little")) for at in (24, 26, 28))
    size = int.from_bytes(header[40:48], "little")
    assert board.image(("slot_a", "slot_b", "eeprom")[decision.place], size) == image_of(version, size)
    return version


def test_flash_boot_and_the_next_update():
    board = Board(GEOMETRY)
    line = run(board, Job(image("1.0.0")))
    assert names(line) == ["connected", "baud", "begun", "flashed", "banner"]
    assert line.has_booted
    assert boots(board) == "1.0.0"
    assert board.confirm() == 0
    line = run(board, Job(image("2.0.0")))
    assert flashed(line)[0].place is Place.SLOT_B
    assert boots(board) == "2.0.0"


def test_a_clean_line_is_used_for_nine_tenths_and_more():
    board = Board(Geometry(1 << 18, 3))
    board.set_flash_speed(400_000, 1_000)
    line = run(board, Job(image(size=400_000)))
    assert flashed(line)[0].sent.bytes_per_s >= 0.9 * 92160


@pytest.mark.parametrize("window_bytes", [3000, 8192])
def test_a_small_window_is_kept(window_bytes):
    board = Board(GEOMETRY)
    board.set_flash_speed(30_000, 3_000)
    run(board, Job(image()), window_bytes=window_bytes)
    assert boots(board) == "1.0.0"


def test_what_is_there_is_not_sent_again():
    board = Board(GEOMETRY)
    run(board, Job(image()))
    line = run(board, Job(image()))  # on trial: it gets its tries anew, and no byte moves
    assert flashed(line)[0].sent.written_bytes == 0
    boots(board)
    board.confirm()
    assert "held" in names(run(board, Job(image())))


def test_only_changed_sectors_are_sent():
    board = Board(GEOMETRY)
    run(board, Job(image()))
    offset = board.geometry.regions["slot_a"][0] + 3 * 4096 + 100  # in the image's third sector
    board.put(offset, bytes(4))
    line = run(board, Job(image()))
    assert flashed(line)[0].sent.written_bytes == 4096
    assert boots(board) == "1.0.0"


def test_a_transfer_cut_off_in_mid_sector_goes_on_there():
    board = Board(Geometry(1 << 16, 3))
    whole = image(size=100_000)
    line = VirtualLine(board, Job(whole))
    while line.now_s < 1.5:  # 85,000 bytes and more
        line.step()
    line = run(board, Job(whole))
    assert flashed(line)[0].sent.written_bytes < 20_000
    assert boots(board) == "1.0.0"


def test_going_back_over_an_erased_sector_sends_all_of_it():
    """A sector whose begin is right and whose end is not blank is erased, so its begin must be sent again."""
    board = Board(Geometry(1 << 16, 3))
    whole = image(size=100_000)
    offset = board.geometry.regions["slot_a"][0] + (1 << 16)
    board.put(offset, whole.content[:20_000] + noise(5_000, "old"))
    line = run(board, Job(whole))
    assert flashed(line)[0].sent.written_bytes == 100_000
    assert "note" not in names(line)
    assert boots(board) == "1.0.0"


@pytest.mark.parametrize("at_s", [0.05, 0.5, 0.8, 1.0, 1.2])
def test_a_board_that_is_reset_is_taken_up_again(at_s):
    board = Board(GEOMETRY)
    line = run(board, Job(image(size=36_000)), reset_at_s=[0.3 + at_s])
    assert flashed(line)
    assert boots(board) == "1.0.0"


@pytest.mark.parametrize("hangs_on", ResetLine)
def test_a_board_that_runs_an_image_is_reset(hangs_on):
    """RTS first, then DTR; the board answers after the one that its reset hangs on."""
    job = Job(image(size=3_000), resets=tuple(ResetLine))
    line = run(Board(GEOMETRY), job, reset_line=hangs_on)
    pulled = [event.line for event in line.events if isinstance(event, Resetting)]
    assert pulled == ["rts", "dtr"][: 1 + (hangs_on is ResetLine.DTR)]
    assert flashed(line)


def test_a_board_in_its_loader_is_not_reset():
    line = run(Board(GEOMETRY), Job(image(size=3_000), resets=tuple(ResetLine)))
    assert "resetting" not in names(line)


def test_a_board_that_no_line_resets_is_told_apart():
    job = Job(image(size=3_000), connect_s=3.0, resets=(ResetLine.DTR,))
    assert refused(Board(GEOMETRY), job, reset_line=ResetLine.RTS) == "no_answer"


def test_progress_is_told_by_time_not_by_bytes():
    """An event a quarter of a second, and one for the end, however fast the line is."""
    board = Board(Geometry(1 << 16, 20))
    line = run(board, Job(image(size=1_000_000), baud=3_000_000))
    told = [event for event in line.events if isinstance(event, Progress)]
    elapsed_s = flashed(line)[0].sent.elapsed_s
    assert elapsed_s * 4 - 2 <= len(told) <= elapsed_s * 4 + 3
    assert told[-1].done_bytes == 1_000_000


def test_what_is_there_already_is_told_and_does_not_count_as_speed():
    board = Board(Geometry(1 << 16, 20))
    whole = image(size=1_000_000)
    line = VirtualLine(board, Job(whole))
    while line.now_s < 8:
        line.step()
    line = run(board, Job(whole))
    there = next(event for event in line.events if isinstance(event, AlreadyThere))
    assert there.held_bytes + there.left_bytes == 1_000_000
    assert 500_000 < there.held_bytes < 800_000
    rates = [event.rate_bytes_per_s for event in line.events if isinstance(event, Progress)]
    assert 0 < max(rates) <= 92_160
    assert flashed(line)[0].sent.bytes_per_s <= 92_160
    assert flashed(line)[0].sent.held_bytes == there.held_bytes


def test_a_rate_that_the_line_can_not_do_is_left_again():
    board = Board(GEOMETRY)
    line = run(board, Job(image(size=3_000), baud=2_000_000), broken_baud=2_000_000)
    assert "note" in names(line)
    assert flashed(line)[0].sent.bytes_per_s < 11_520
    assert boots(board) == "1.0.0"


def test_state_is_read():
    board = Board(GEOMETRY)
    run(board, Job(image()))
    line = run(board, Job(inspect=True, boot=False))
    state = next(event for event in line.events if isinstance(event, BoardState))
    record = StateRecord.parse(bytes(state.board.record))
    assert record.slots[0].state is SlotState.TRIAL
    assert [failure for failure, _ in state.places.values()] == [0, 2, 2]
    assert not line.has_booted


def test_a_stub_is_replaced_and_the_board_comes_back():
    board = Board(GEOMETRY)
    body = noise(9_000)
    head = {
        "size": len(body),
        "version": 2,
        "hardware_oui": HARDWARE.oui,
        "hardware_model": 7,
        "hardware_version": 0xFFFF,
    }
    built = StubHead.build(head)
    content = body[:STUB_HEAD_OFFSET] + built + body[STUB_HEAD_OFFSET + len(built) :]
    line = VirtualLine(board, Job(stub=StubImage(content, HARDWARE, 2), resets=tuple(ResetLine)))
    while board.stub_replacements() == 0:
        line.step()
        assert line.now_s < 60
    line.has_booted = True  # for some seconds it writes, and answers nothing
    begun_s = line.now_s
    while line.now_s < begun_s + 5:
        line.step()
    line.start_board()
    assert line.run()
    assert board.region("stub")[: len(content)] == content
    assert "resetting" not in names(line), "nothing pulls a reset line while the stub may be written"
    assert flashed(line)[0].place is Place.STUB
    assert "held" in names(run(board, Job(stub=StubImage(content, HARDWARE, 2))))


# --- refusals ------------------------------------------------------------------------------------------------------


def refused(board, job, **fields):
    with pytest.raises(FlashError) as caught:
        run(board, job, **fields)
    return caught.value.kind


def test_refusals_have_kinds_and_nothing_is_written():
    trusting = Board(GEOMETRY, public_key=KEY.public_key().public_bytes_raw())
    before = trusting.flash
    assert refused(trusting, Job(image(hardware=Hardware(1, 2)))) == "wrong_device"
    assert refused(trusting, Job(image(size=40_000))) == "too_big"
    assert refused(trusting, Job(image(key=OTHER_KEY))) == "bad_signature"
    forged = image()
    header = forged.header.but(raw=forged.header.raw[:-1] + bytes([forged.header.raw[-1] ^ 1]))
    assert refused(trusting, Job(Image(header, forged.content))) == "bad_signature"
    assert refused(trusting, Job(stub=StubImage(bytes(100), Hardware(1, 2), 2))) == "wrong_device"
    assert refused(trusting, Job(stub=StubImage(bytes(200_000), HARDWARE, 2))) == "too_big"
    assert trusting.flash == before
    run(trusting, Job(image()))


def test_without_a_key_policy_any_key_will_do():
    board = Board(GEOMETRY)
    run(board, Job(image(key=OTHER_KEY)))
    assert boots(board) == "1.0.0"


def test_the_active_slot_and_old_counters_are_refused():
    board = Board(GEOMETRY)
    run(board, Job(image(counter=5)))
    boots(board)
    board.confirm()
    assert refused(board, Job(image("2.0.0", counter=5, place=Place.SLOT_A))) == "active_slot"
    assert refused(board, Job(image("2.0.0", counter=4))) == "security_counter"
    assert boots(board) == "1.0.0"
    run(board, Job(image("0.1.0", counter=0, place=Place.EEPROM)))  # the factory image is below no floor


def test_an_image_that_is_not_its_headers_is_noticed():
    board = Board(GEOMETRY)
    other = Image(image().header, noise(SIZE, "another"))
    assert refused(board, Job(other)) == "digest_mismatch"
    assert boots(board) is None


def test_silence_noise_and_a_booted_board_are_told_apart():
    job = Job(image(), connect_s=2.0)
    assert refused(Board(GEOMETRY), job, faults=Faults(drop=1.0)) == "no_answer"
    assert refused(Board(GEOMETRY), job, faults=Faults(truncate=1.0)) in ("noise", "no_answer")

    class Talking(VirtualLine):
        def serve(self):
            self.up.send(b"login: \r\n" if self.rng_tick() else b"", self.now_s, 115200)

        def rng_tick(self):
            return int(self.now_s * 10) % 5 == 0

    class Noisy(VirtualLine):
        def serve(self):
            self.up.send(bytes([0x80, 0xF1, 0xC0]), self.now_s, 115200)

    for kind, line in (("not_in_loader", Talking), ("noise", Noisy)):
        with pytest.raises(FlashError) as caught:
            line(Board(GEOMETRY), job).run()
        assert caught.value.kind == kind


def test_a_line_that_goes_dead_is_given_up_with_a_reason():
    board = Board(GEOMETRY)
    line = VirtualLine(board, Job(image(size=36_000), connect_s=1.0))
    while "begun" not in names(line):
        line.step()
    line.down.faults = line.up.faults = Faults(drop=1.0)
    with pytest.raises(FlashError) as caught:
        line.run()
    assert caught.value.kind == "no_answer"
    assert "resuming" in names(line)


def test_a_chip_that_erases_for_seconds_is_borne_with_a_warning():
    board = Board(GEOMETRY)
    board.put(board.geometry.regions["slot_a"][0] + 2 * 4096, bytes(8192))
    board.set_flash_speed(5_000_000, 0)
    line = run(board, Job(image(size=9_000)))
    assert "stalled" in names(line)
    assert "resuming" not in names(line)
    assert boots(board) == "1.0.0"


# --- thousands, from seeds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", range(8))
def test_each_of_thousands_ends_right_or_with_a_clear_error(batch, record_property):
    """Never with wrong bytes called right, whatever the line does; the seed of a failure is in its message."""
    right = failed = 0
    for seed in range(batch * 150, (batch + 1) * 150):
        rng = random.Random(seed)
        board = Board(Geometry(rng.choice([512, 4096]), 10))
        if rng.random() < 0.3:
            board.put(board.geometry.regions["slot_a"][0], noise(4096, str(seed)))
        size = rng.randrange(1, board.geometry.capacity)
        job = Job(image(size=size), boot=False, connect_s=3.0)
        severity = rng.choice([0.002, 0.01, 0.03, 0.1])
        faults = Faults(*(rng.random() * severity for _ in range(5)))
        resets = sorted(rng.random() * 3 for _ in range(rng.choice([0, 0, 1, 2])))
        line = VirtualLine(board, job, faults, seed, resets)
        try:
            assert line.run(), f"seed {seed}: still not done"
        except FlashError as error:
            failed += 1
            assert str(error).count(":") <= 3
        assert board.violations() == 0, f"seed {seed}"
        if flashed(line):
            right += 1
            assert board.image("slot_a", size) == job.image.content, f"seed {seed}: wrong bytes called right"
            assert boots(board) == "1.0.0", f"seed {seed}"
    record_property("transfers over a modelled bad line, ended right", right)
    record_property("transfers over a modelled bad line, ended with an error", failed)
    assert right > 120
