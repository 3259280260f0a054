"""From the record's choice to a running image, step by step over each board: what is armed, refused and told."""

import errno

import pytest

from carousel.errors import OperatorError
from settop.boot import flow
from settop.boot.backend import SlotImage
from settop.boot.tryboot import CONFIG_TXT, build_autoboot
from settop.store.choice import Source
from settop.store.staterecord import Failure, SlotState
from tests.settop.boot.models import (
    BOARDS,
    SLOTS,
    GrubBoard,
    KexecBoard,
    Restarted,
    SystemdBootBoard,
    TryBootBoard,
    UBootBoard,
    header_of,
    image_of,
    parts_of,
)
from tests.settop.boot.test_backends import install, settle, with_first

A, B = SLOTS
every_board = pytest.mark.parametrize("make_board", BOARDS, ids=lambda each: each.name)
loaders = pytest.mark.parametrize("make_board", [each for each in BOARDS if each.name != "kexec"], ids=lambda b: b.name)
counting = pytest.mark.parametrize("make_board", [UBootBoard, GrubBoard], ids=lambda each: each.name)


def prepare(board):
    return flow.prepare(board.store, board.disk, board.backend)


def confirm(board):
    return flow.confirm(board.store, board.disk, board.backend)


def on_trial(make_board):
    """A board that runs 2.0.0 on trial, with 1.0.0 confirmed."""
    board = with_first(make_board)
    install(board, "2.0.0")
    assert settle(board) == "2.0.0"
    return board


# --- prepare -----------------------------------------------------------------------------------------------------


@every_board
def test_what_runs_already_is_not_started_again(make_board):
    board = on_trial(make_board)
    prepared = prepare(board)
    assert (prepared.runs_already, prepared.decision.source) == (True, B)
    assert prepared.image.name == "slot-b.image"
    assert bytes(prepared.image.read()) == image_of("2.0.0")
    assert prepared.notes == ()


@every_board
def test_a_board_with_nothing_left_says_what_is_wrong_with_each(make_board):
    board = with_first(make_board)
    board.power_on()
    board.disk.write("slot-a.image", 0, b"damage")
    board.disk.write("eeprom.image", 0, b"damage")
    with pytest.raises(OperatorError) as caught:
        prepare(board)
    assert str(caught.value) == (
        "nothing here can be booted, not even the EEPROM image (slot-a: its image does not match its SHA-256; "
        "eeprom: its image does not match its SHA-256)"
    )


@counting
def test_a_loader_that_counts_is_armed_for_the_tries_that_are_left_and_the_eeprom_for_one(make_board):
    board = make_board()
    board.power_on()
    prepare(board)
    assert (board.backend.state().armed, board.backend.state().tries_left) == (Source.EEPROM, 1)
    install(board, "1.0.0")
    board.store.set_tries(0, 2)
    assert prepare(board).decision.source is A
    assert (board.backend.state().armed, board.backend.state().tries_left) == (A, 2)
    assert board.store.record().slots[0].tries_left == 1, "this start is counted before it happens"


def test_a_loader_that_does_not_count_is_armed_for_one_start():
    board = with_first(SystemdBootBoard)
    install(board, "2.0.0")
    board.power_on()
    prepare(board)
    assert (board.backend.state().armed, board.backend.state().tries_left) == (B, 1)
    assert board.store.record().slots[1].tries_left == 2


@counting
def test_a_store_that_can_not_be_written_is_told_and_boots_what_is_confirmed(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    board.power_on()
    prepare(board)
    board.backend._change(tries_left=1)
    board.disk.read_only = True
    prepared = prepare(board)
    assert (prepared.decision.source, prepared.runs_already, prepared.image.name) == (A, True, "slot-a.image")
    assert prepared.decision.passed_over == ((B, Failure.UNRECORDABLE),)
    (note,) = prepared.notes
    assert note.startswith(f"{board.name}: what it would start can't be compared with the record (")
    assert "read-only" in note


@loaders
def test_a_slot_whose_partition_can_not_be_read_is_passed_over_and_it_is_told_why(make_board, monkeypatch):
    board = with_first(make_board)
    install(board, "2.0.0")
    board.power_on()

    def fail(source, image, real=board.backend.holds):
        if source is B:
            raise OSError(errno.EIO, "Input/output error", "slot-b")
        return real(source, image)

    monkeypatch.setattr(board.backend, "holds", fail)
    prepared = prepare(board)
    assert prepared.decision.source is A
    assert prepared.decision.passed_over == ((B, "slot-b: the device reports an error; check the medium"),)


def test_an_image_whose_header_goes_after_the_check_is_passed_over(monkeypatch):
    board = with_first(KexecBoard)
    install(board, "2.0.0")
    store = board.store
    monkeypatch.setattr(store, "check", lambda candidate: board.disk.remove("slot-b.header") or Failure.NONE)
    prepared = flow.prepare(store, board.disk, board.backend)
    assert (prepared.decision.source, prepared.decision.passed_over) == (A, ((B, Failure.UNREADABLE),))


@loaders
@pytest.mark.parametrize("runs_already", [True, False])
def test_whoever_boots_is_told_what_the_loader_would_have_started_instead(make_board, runs_already):
    board = with_first(make_board)
    board.power_on()
    board.backend.commit(B)
    if not runs_already:
        board.disk.write("slot-a.image", 0, b"damage")
    prepared = prepare(board)
    assert prepared.runs_already is runs_already
    assert prepared.decision.source is (A if runs_already else Source.EEPROM)
    assert prepared.image.name == f"{prepared.decision.source.value}.image"
    assert prepared.notes == (f"{board.name}: it would start slot-b, the record says slot-a",)


@loaders
def test_a_confirmed_slot_is_the_loader_s_default_and_not_armed(make_board):
    board = with_first(make_board)
    board.backend.commit(None)
    board.power_on()
    prepared = prepare(board)
    assert (prepared.decision.source, prepared.runs_already) == (A, False)
    assert board.backend.state().default is A
    assert board.backend.state().armed is None


def test_kexec_refuses_a_kernel_for_another_processor_and_takes_what_it_can_start():
    board = with_first(KexecBoard)
    board.power_on()
    board.machine.files["/proc/sys/kernel/arch"] = b"x86_64\n"
    image = SlotImage(board.disk, "slot-a.image", header_of("1.0.0"))
    with pytest.raises(OperatorError, match="another processor"):
        board.backend.place(A, image)
    board.machine.files["/proc/sys/kernel/arch"] = b"aarch64\n"
    board.backend.place(A, image)


# --- reconcile -----------------------------------------------------------------------------------------------------


@loaders
def test_a_loader_that_would_start_something_else_is_brought_in_line_and_it_is_told(make_board):
    board = on_trial(make_board)
    board.backend.commit(B)
    (note,) = flow.reconcile(board.store, board.disk, board.backend)
    assert note == f"{make_board.name}: it would start slot-b, the record says slot-a"
    assert board.backend.state().default is A
    assert flow.reconcile(board.store, board.disk, board.backend) == []
    board.store.mark_bad(A)
    board.store._append(board.store.record().but(active=0xFF))
    assert flow.disagreements(board.store.record(), board.backend) == [
        "it would start slot-a, the record says the receiver"
    ]
    flow.reconcile(board.store, board.disk, board.backend)
    assert board.backend.state().default is None


@counting
def test_the_loader_s_count_holds_for_the_image_that_it_was_armed_for(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    board.power_on()
    prepare(board)
    newest = board.backend.environment()
    board.backend._change(tries_left=1)
    flow.reconcile(board.store, board.disk, board.backend)
    assert board.store.record().slots[1].tries_left == 1
    assert newest.tries_left == 3
    board.firmware.write("slot-b.efi", 0, b"another image")
    flow.reconcile(board.store, board.disk, board.backend)
    assert board.backend.state().armed is None, "it was armed for an image that is not there any more"
    assert board.store.record().slots[1].tries_left == 1


@counting
def test_what_is_armed_for_a_slot_without_a_header_is_disarmed(make_board):
    board = make_board()
    board.backend.arm(B, None, 3)
    flow.reconcile(board.store, board.disk, board.backend)
    assert board.backend.state().armed is None


@counting
def test_what_is_armed_and_not_on_trial_is_disarmed_and_it_is_told(make_board):
    board = on_trial(make_board)
    board.backend.arm(A, None, 2)
    assert flow.disagreements(board.store.record(), board.backend) == ["it has slot-a armed, which is not on trial"]
    flow.reconcile(board.store, board.disk, board.backend)
    assert board.backend.state().armed is None
    confirm(board)
    board.backend.arm(Source.EEPROM, None, 1)
    assert flow.disagreements(board.store.record(), board.backend) == [], "the EEPROM image is on trial for ever"


@counting
def test_tries_that_the_loader_used_up_fail_the_trial(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    board.power_on()
    prepare(board)
    board.backend._change(tries_left=0)
    flow.reconcile(board.store, board.disk, board.backend)
    slot = board.store.record().slots[1]
    assert (slot.state, slot.failure) == (SlotState.FAILED, Failure.TRIES_USED_UP)


# --- confirm and mark bad --------------------------------------------------------------------------------------------


@every_board
def test_only_the_image_that_runs_is_confirmed(make_board):
    board = on_trial(make_board)
    assert confirm(board) is B
    assert not board.backend.keeps_default or board.backend.state().default is B
    assert confirm(board) is None
    assert board.store.record().active == 1


def test_an_older_image_of_the_same_slot_confirms_nothing():
    board = on_trial(KexecBoard)
    install(board, "3.0.0")
    board.store.set_tries(1, 2)
    with pytest.raises(OperatorError, match="an older image of slot-b is running than is on trial"):
        confirm(board)
    board.machine.files["/proc/cmdline"] = b"bootcast.slot=slot-a bootcast.image=00\n"
    with pytest.raises(OperatorError, match="slot-a is running, but slot-b is on trial"):
        confirm(board)


def test_where_nobody_can_tell_what_runs_the_person_is_believed():
    board = on_trial(KexecBoard)
    board.machine.files["/proc/cmdline"] = b"quiet\n"
    assert confirm(board) is B


@every_board
def test_an_image_marked_bad_is_given_up_by_record_and_loader(make_board):
    board = on_trial(make_board)
    confirm(board)
    flow.mark_bad(board.store, board.disk, board.backend, B)
    assert board.store.record().active == 0
    assert flow.disagreements(board.store.record(), board.backend) == []
    assert settle(board) == "1.0.0"
    install(board, "2.5.0")
    flow.mark_bad(board.store, board.disk, None, B)
    assert board.store.record().slots[1].failure is Failure.MARKED_BAD


@loaders
def test_the_loader_forgets_every_slot_that_failed_and_goes_to_the_confirmed_one(make_board):
    board = on_trial(make_board)
    board.store.mark_bad(B)
    board.backend.commit(B)
    flow.forget_failed(board.store, board.backend)
    assert (board.backend.state().default, board.backend.state().armed) == (A, None)


@pytest.mark.parametrize("make_board", [UBootBoard, GrubBoard, SystemdBootBoard], ids=lambda each: each.name)
def test_what_is_armed_stays_armed_until_it_fails(make_board):
    board = on_trial(make_board)
    board.backend.arm(B, None, 2)
    flow.forget_failed(board.store, board.backend)
    assert board.backend.state().armed is B
    board.store.mark_bad(B)
    flow.forget_failed(board.store, board.backend)
    assert (board.backend.state().default, board.backend.state().armed) == (A, None)


@pytest.mark.parametrize("make_board", [UBootBoard, GrubBoard, SystemdBootBoard], ids=lambda each: each.name)
def test_nothing_points_at_an_image_while_another_one_takes_its_place(make_board):
    board = on_trial(make_board)
    confirm(board)
    install(board, "3.0.0")
    board.backend.commit(A)
    board.backend.arm(A, None, 1)
    board.backend.place(A, SlotImage(board.disk, "slot-a.image", header_of("3.0.0")))
    assert (board.backend.state().default, board.backend.state().armed) == (None, None)


# --- the Pi's two places ---------------------------------------------------------------------------------------------


def test_the_eeprom_image_goes_where_the_default_is_not():
    for default, place in ((None, B), (A, B), (B, A)):
        board = TryBootBoard()
        board.backend.commit(default)
        image = SlotImage(board.disk, "eeprom.image", header_of("0.1.0"))
        board.backend.place(Source.EEPROM, image)
        assert board.slots[place].read("kernel8.img") == parts_of("0.1.0")[0]
        assert board.slots[A if place is B else B].names() == []
        assert board.backend.state().default is default
        board.backend.arm(Source.EEPROM, image, 1)
        assert board.backend._try_partition() == (2 if place is A else 3)


def test_a_pi_is_armed_without_touching_its_default_and_started_with_the_flag_where_that_is_needed():
    board = TryBootBoard()
    install(board, "1.0.0")
    board.backend.commit(A)
    board.backend.arm(B, None, 1)
    assert board.backend.state().raw == "tryboot: boot_partition=2, [tryboot] boot_partition=3"
    with pytest.raises(Restarted) as plain:
        board.backend.start(A, None)
    with pytest.raises(Restarted) as tried:
        board.backend.start(B, None)
    assert (plain.value.words, tried.value.words) == ("", "0 tryboot")
    board.backend.place(A, SlotImage(board.disk, "slot-a.image", header_of("1.0.0")))
    assert board.backend.state().raw == "tryboot: boot_partition=1, [tryboot] boot_partition=3"


def test_forgetting_leaves_another_default_alone():
    board = TryBootBoard()
    board.backend.commit(A)
    before = board.first.read("autoboot.txt")
    board.backend.forget(B)
    assert board.first.read("autoboot.txt") == before
    operations = board.rails.operations
    board.backend.commit(A)
    assert board.rails.operations == operations, "what is so already is not written again"
    board.backend.forget(A)
    assert board.first.read("autoboot.txt") == build_autoboot(1, 3), "a slot stays the one to try"


def test_a_pi_that_goes_back_to_the_receiver_keeps_the_slot_to_try():
    board = TryBootBoard()
    board.backend.commit(A)
    board.backend.commit(None)
    assert board.first.read("autoboot.txt") == build_autoboot(1, 3)


def test_placing_where_the_default_points_takes_the_default_away_first():
    board = TryBootBoard()
    install(board, "1.0.0")
    image = SlotImage(board.disk, "slot-a.image", header_of("1.0.0"))
    board.backend.commit(A)
    board.backend.place(A, image)
    assert board.first.read("autoboot.txt") == build_autoboot(1, 3)
    assert board.slots[A].read("config.txt") == CONFIG_TXT
    board.backend.commit(A)
    board.backend.place(A, image)
    assert board.backend.state().default is A, "what is there already is not touched"
    raw = board.backend.state().raw
    assert raw == "tryboot: boot_partition=2, [tryboot] boot_partition=3"
