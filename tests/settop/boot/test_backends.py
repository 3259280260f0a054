"""One suite over all backends: updates, trials, power cuts at every operation, and what a person does wrong."""

import copy
import errno
from contextlib import suppress
from itertools import count, product

import pytest

from carousel.errors import OperatorError
from settop.boot import flow
from settop.boot.firmwarefiles import Environment, EnvironmentBackend, place_program
from settop.boot.uboot import UBoot
from settop.store.choice import Source
from settop.store.slots import Store
from settop.store.staterecord import Failure, SlotState
from tests.settop.boot.models import BOARDS, Board, FileBoard, Jumped, Restarted, UBootBoard, header_of, image_of
from tests.settop.store.powercut import Cut, PowerCut

MOST_RESTARTS = 12
TORN = (Cut.TORN_PREFIX, Cut.RANDOM_BITS)

every_board = pytest.mark.parametrize("make_board", BOARDS, ids=lambda each: each.name)
loaders = pytest.mark.parametrize("make_board", [each for each in BOARDS if each.name != "kexec"], ids=lambda b: b.name)


def start_prepared(board: Board):
    prepared = flow.prepare(board.store, board.disk, board.backend)
    if not prepared.runs_already:
        board.backend.start(prepared.decision.source, prepared.image)
    return prepared


def boot(board: Board):
    """`settop boot`, in the receiver or in a running image: return what runs, or Restarted's words."""
    try:
        start_prepared(board)
    except Jumped:
        return board.jump()
    except Restarted as restart:
        return restart
    return board.backend.booted()


def settle(board: Board, hangs=()):
    """Switch on, and on again when a version of `hangs` runs; a good image runs `settop boot` as a service.

    Returns the version that goes on running.
    """
    running, words = None, ""
    for _ in range(MOST_RESTARTS):
        running = board.power_on(words)
        words = ""
        if running is not None and board.tried[-1] in hangs:
            continue
        came = boot(board)
        while isinstance(came, Source):
            if board.tried[-1] in hangs:
                break
            return board.tried[-1]
        if isinstance(came, Restarted):
            words = came.words
    raise AssertionError(f"it restarts for ever: {board.tried}")


def deliver(board, version, counter=0, kind="uki"):
    board.disk.write("x.part", 0, image_of(version, kind) + b"repair symbols")
    board.disk.sync("x.part")
    board.disk.sync_names()
    return header_of(version, counter, kind)


def install(board, version, counter=0, kind="uki"):
    return board.store.install(deliver(board, version, counter, kind), "x.part")


def with_first(make_board):
    """A board that runs 1.0.0, confirmed."""
    board = make_board()
    install(board, "1.0.0")
    assert settle(board) == "1.0.0"
    flow.confirm(board.store, board.disk, board.backend)
    assert settle(board) == "1.0.0"
    board.tried.clear()
    return board


@every_board
def test_a_new_board_boots_its_eeprom_image(make_board):
    assert settle(make_board()) == "0.1.0"


@every_board
def test_a_good_update_is_confirmed_and_stays(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    assert settle(board) == "2.0.0"
    assert flow.confirm(board.store, board.disk, board.backend) is Source.SLOT_B
    for _ in range(5):
        assert settle(board) == "2.0.0"
    assert board.store.record().active == 1
    assert flow.disagreements(board.store.record(), board.backend) == []


@every_board
def test_a_bad_update_is_tried_three_times_and_the_board_is_back(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    assert settle(board, hangs=("2.0.0",)) == "1.0.0"
    assert board.tried.count("2.0.0") == 3
    board.tried.clear()
    assert settle(board, hangs=("2.0.0",)) == "1.0.0"
    assert "2.0.0" not in board.tried
    record = board.store.record()
    assert (record.slots[1].state, record.slots[1].failure) == (SlotState.FAILED, Failure.TRIES_USED_UP)
    assert flow.disagreements(record, board.backend) == []


@every_board
def test_a_bad_first_update_leads_back_to_the_eeprom(make_board):
    board = make_board()
    install(board, "1.0.0")
    assert settle(board, hangs=("1.0.0",)) == "0.1.0"
    assert board.tried.count("1.0.0") == 3


@every_board
def test_ordinary_power_cycles_use_up_nothing(make_board):
    board = with_first(make_board)
    before = board.store.record()
    for _ in range(8):
        assert settle(board) == "1.0.0"
    assert board.store.record() == before


@every_board
def test_an_update_after_a_failed_one_is_taken(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    settle(board, hangs=("2.0.0",))
    install(board, "3.0.0")
    assert settle(board) == "3.0.0"
    flow.confirm(board.store, board.disk, board.backend)
    assert settle(board) == "3.0.0"


@every_board
def test_a_slot_marked_bad_is_forgotten_by_the_loader(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    settle(board)
    flow.confirm(board.store, board.disk, board.backend)
    board.store.mark_bad(Source.SLOT_B)
    assert bool(flow.disagreements(board.store.record(), board.backend)) == board.backend.keeps_default
    flow.forget_failed(board.store, board.backend)
    assert flow.disagreements(board.store.record(), board.backend) == []
    assert settle(board) == "1.0.0"


@every_board
def test_the_other_slot_is_not_confirmed_by_accident(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    if board.name == "kexec":
        settle(board)
        board.machine.files["/proc/cmdline"] = b"bootcast.slot=slot-a"
    with pytest.raises(OperatorError, match=r"slot-b is on trial|not been booted"):
        flow.confirm(board.store, board.disk, board.backend)


@loaders
def test_a_placed_image_that_rotted_is_placed_anew(make_board):
    board = with_first(make_board)
    disk = board.firmware if isinstance(board, FileBoard) else board.slots[Source.SLOT_A]
    name = "slot-a.efi" if isinstance(board, FileBoard) else "kernel8.img"
    disk.remove(name)
    board.backend.commit(None)
    assert settle(board) == "1.0.0"
    assert disk.read(name)


@loaders
def test_a_read_only_firmware_partition_is_said_and_the_confirmed_slot_boots(make_board):
    board = with_first(make_board)
    install(board, "2.0.0")
    for disk in [board.firmware] if isinstance(board, FileBoard) else [board.first, *board.slots.values()]:
        disk.read_only = True
    assert board.power_on() is Source.SLOT_A
    started = start_prepared(board)
    assert started.decision.source is Source.SLOT_A
    ((source, reason),) = started.decision.passed_over
    assert source is Source.SLOT_B
    assert "read-only" in reason
    assert board.store.record().slots[1].tries_left == 3, "it was never started"


@every_board
def test_an_image_that_is_no_uki_is_said_and_the_confirmed_slot_boots(make_board):
    board = with_first(make_board)
    install(board, "2.0.0", kind="plain")
    assert settle(board) == "1.0.0"
    assert board.store.record().slots[1].tries_left == 3
    image = flow.SlotImage(board.disk, "slot-b.image", header_of("2.0.0", kind="plain"))
    with pytest.raises(OperatorError, match="headend pack --uki") as refused:
        board.backend.place(Source.SLOT_B, image)
    assert not isinstance(board, FileBoard) or f"which {board.name} starts" in str(refused.value)


@pytest.mark.parametrize("make_board", [each for each in BOARDS if each.name in ("uboot", "grub")])
@pytest.mark.parametrize("damage", [b"", b"torn", b"\xff" * 4096, None])
def test_a_torn_environment_is_passed_over(make_board, damage):
    board = with_first(make_board)
    for name in board.backend.files:
        again = copy.deepcopy(board)
        raw = again.firmware.read(name)
        again.firmware.remove(name)
        if damage is not None:
            again.firmware.write(name, 0, damage + raw[len(damage) : 600] if damage else b"")
        assert settle(again) == "1.0.0"
        install(again, "2.0.0")
        assert settle(again) == "2.0.0"


@pytest.mark.parametrize("make_board", [each for each in BOARDS if each.name in ("uboot", "grub")])
def test_both_environments_lost_is_a_new_card(make_board):
    board = with_first(make_board)
    for name in board.backend.files:
        board.firmware.remove(name)
    board.firmware.write(board.backend.script, 0, b"the loader's script, as `settop image` puts it there")
    assert board.power_on() is None
    assert board.backend.probe() is None
    assert settle(board) == "1.0.0", "the record knows"


# --- power cuts -------------------------------------------------------------------------------------------------


def act_place_and_start(board):
    """`settop boot` of a new trial: place, record, arm."""
    with suppress(Restarted, Jumped):
        start_prepared(board)


def act_confirm(board):
    flow.confirm(board.store, board.disk, board.backend)


def act_back_from_failure(board):
    """`settop boot` when the trial's tries are used up: reconcile, forget."""
    act_place_and_start(board)


def act_loader_start(board):
    """The loader's own start of an armed slot: it counts."""
    board.power_on("0 tryboot" if board.name == "tryboot" else "")


ACTIONS = (act_place_and_start, act_confirm, act_back_from_failure, act_loader_start)


def prepare_for(make_board, action):
    """A board that runs 1.0.0 confirmed, with 2.0.0 on its way as far as the action needs it."""
    board = with_first(make_board)
    install(board, "2.0.0")
    if action is act_back_from_failure:
        board.power_on()
        for _ in range(3):
            came = boot(board)
            board.power_on(came.words if isinstance(came, Restarted) else "")
        while board.power_on() is Source.SLOT_B:
            pass
    elif action is act_confirm:
        assert settle(board) == "2.0.0"
    elif action is act_loader_start:
        board.power_on()
        boot(board)
    else:
        board.power_on()
    return board


def check_after(board, action):
    """Whatever was cut: a verified image boots, the old or the new one, never the EEPROM's; and the box goes on."""
    if action is not act_confirm:
        assert settle(copy.deepcopy(board), hangs=("2.0.0",)) == "1.0.0"
    version = settle(board)
    assert version in ("1.0.0", "2.0.0"), f"fell back to {version}"
    assert flow.disagreements(board.store.record(), board.backend) == []
    install(board, "3.0.0")
    assert settle(board) == "3.0.0"
    flow.confirm(board.store, board.disk, board.backend)
    assert settle(board) == "3.0.0"


def operations_of(board, action):
    board.rails.arm(None)
    action(board)
    return board.rails.operations


def cut_during(board, action, at, cut, seed):
    """Return the board after a cut at that operation."""
    board.rails.arm(at, cut, seed)
    with pytest.raises(PowerCut):
        action(board)
    return board


@pytest.mark.slow
@every_board
@pytest.mark.parametrize("action", ACTIONS)
def test_a_power_cut_at_every_operation(make_board, action, record_property):
    prepared = prepare_for(make_board, action)
    count = operations_of(copy.deepcopy(prepared), action)
    ways = [*product(range(1, count + 1), Cut, [0]), *product(range(1, count + 1), TORN, [1])]
    for at, cut, seed in ways:
        check_after(cut_during(copy.deepcopy(prepared), action, at, cut, seed), action)
    record_property(f"power cuts, {prepared.name}", len(ways))
    if prepared.backend.keeps_default and action is not act_loader_start:
        assert count >= 2


@pytest.mark.slow
@loaders
@pytest.mark.parametrize("action", [act_place_and_start, act_confirm])
def test_a_second_power_cut_during_recovery(make_board, action, record_property):
    """Pairs: a cut in the action, another one while the board settles."""
    prepared, tried = prepare_for(make_board, action), 0
    for at, cut in product(range(1, operations_of(copy.deepcopy(prepared), action) + 1), (Cut.TORN_PREFIX, Cut.AFTER)):
        board = cut_during(copy.deepcopy(prepared), action, at, cut, 1)
        for second in range(1, operations_of(copy.deepcopy(board), settle) + 1):
            again = cut_during(copy.deepcopy(board), settle, second, Cut.RANDOM_BITS, 2)
            assert settle(again) in ("1.0.0", "2.0.0")
            tried += 1
    record_property(f"pairs of power cuts, {prepared.name}", tried)
    assert tried >= 5


def cut_everywhere(make_board):
    for action in ACTIONS:
        test_a_power_cut_at_every_operation(make_board, action, lambda name, count: None)


@pytest.mark.parametrize(
    "mutation", ["pointed at while it is placed", "a torn environment believed", "never committed"]
)
def test_the_power_cut_test_can_fail(mutation, monkeypatch):
    """A careless backend must be caught, or the tests above prove nothing."""
    if mutation == "pointed at while it is placed":

        def careless(self, source, image):
            self.commit(source)
            place_program(self._disk, image, source, self._machine, self.name)

        monkeypatch.setattr(EnvironmentBackend, "place", careless)
    elif mutation == "a torn environment believed":
        decode, believed = UBoot.decode, Environment(1 << 20, Source.SLOT_B)
        monkeypatch.setattr(UBoot, "decode", staticmethod(lambda raw: decode(raw) or believed))
    else:
        monkeypatch.setattr(EnvironmentBackend, "commit", lambda self, source: None)
    with pytest.raises((AssertionError, OperatorError, pytest.fail.Exception)):
        cut_everywhere(UBootBoard)


# --- operations that fail ------------------------------------------------------------------------------------


class FailingReads:
    """A store's disk of which one operation fails, reading included."""

    def __init__(self, disk, at, code):
        self._disk, self._at, self._code, self._done = disk, at, code, 0

    @property
    def has_failed(self):
        return self._done >= self._at

    def __getattr__(self, name):
        found = getattr(self._disk, name)
        if name not in ("read", "chunks", "write", "truncate", "rename", "remove", "sync", "sync_names"):
            return found

        def operation(*arguments):
            self._done += 1
            if self._done == self._at:
                raise OSError(self._code, "the medium fails")
            return found(*arguments)

        return operation


@every_board
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_one_failing_operation_of_the_store_stops_no_boot(make_board, code, record_property):
    """Whichever it is, an image is placed and armed: the trial, or what is confirmed, or the EEPROM's."""
    for at in count(1):
        board = with_first(make_board)
        install(board, "2.0.0")
        failing = FailingReads(board.disk, at, code)
        store = Store(failing, board.store._hardware, board.store._trust)
        prepared = flow.prepare(store, failing, board.backend)
        assert str(prepared.decision.header.version) in ("0.1.0", "1.0.0", "2.0.0")
        if not failing.has_failed:
            record_property("failing operations under a boot", at - 1)
            assert at > 10
            return
