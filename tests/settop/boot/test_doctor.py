"""The checklist: what is judged, and what a Pi's device tree is expected to say."""

import pytest

from settop.boot.doctor import examine_board, examine_loaders, examine_partition
from settop.boot.identity import box_id
from settop.store.choice import Source
from tests.settop.boot.models import BOARDS, FakeMachine, RailDisk, Rails, TryBootBoard


def found(checks):
    return {check.name: check for check in checks}


def test_a_bare_machine_is_told_what_it_lacks():
    checks = found(examine_board(FakeMachine(Rails()), "eth0"))
    assert not checks["interface"].is_good
    assert not checks["watchdog"].is_good
    assert not checks["box id"].is_good
    assert "firmware's partition" not in checks


def test_a_pi_is_read_as_its_firmware_writes_it():
    board = TryBootBoard()
    board.power_on()
    board.machine.files |= {
        "/proc/device-tree/model": b"Raspberry Pi 4 Model B Rev 1.4\0",
        "/proc/device-tree/serial-number": b"10000000abcdef01\0",
        "/proc/device-tree/chosen/bootloader/build-timestamp": (1_700_000_000).to_bytes(4, "big"),
        "/sys/class/net/eth0/operstate": b"up\n",
        "/sys/class/watchdog/watchdog0/identity": b"Broadcom BCM2835 Watchdog timer\n",
    }
    checks = found(examine_board(board.machine, "eth0"))
    assert checks["board"].found == "Raspberry Pi 4 Model B Rev 1.4"
    assert checks["box id"].found == "serial-10000000abcdef01"
    assert checks["firmware's partition"].found in "123"
    assert all(check.is_good is not False for check in checks.values())


def test_a_box_id_is_a_serial_number_or_an_address_never_a_placeholder():
    machine = FakeMachine(Rails())
    machine.files["/sys/class/dmi/id/product_serial"] = b"To be filled by O.E.M.\n"
    machine.files["/sys/class/net/eth0/address"] = b"b8:27:eb:12:34:56\n"
    assert box_id(machine, ("eth0",)) == "mac-b827eb123456"
    machine.files["/sys/class/dmi/id/board_serial"] = b"XJ-9\n"
    assert box_id(machine, ("eth0",)) == "serial-XJ-9"
    assert box_id(FakeMachine(Rails()), ("eth0",)) == ""


def test_a_partition_is_tried_and_left_as_it_was():
    disk = RailDisk(Rails())
    assert examine_partition("firmware", disk).is_good
    assert disk.names() == []
    disk.read_only = True
    check = examine_partition("firmware", disk)
    assert not check.is_good
    assert "read-only" in check.found


@pytest.mark.parametrize("make_board", BOARDS, ids=lambda each: each.name)
def test_a_loader_is_compared_with_the_record(make_board):
    board = make_board()
    board.power_on()
    checks = found(examine_loaders([(board.backend, board.backend.probe())], board.store.record()))
    assert checks["agrees with the record"].is_good
    assert "serves here" in checks[f"backend {board.name}"].found
    assert checks["boot loader"].found.startswith(f"{board.name}: "), "what it would do, in its own words"
    assert not found(examine_loaders([(board.backend, "not here")], None))["boot loader"].is_good


# --- each finding, good and bad ------------------------------------------------------------------------------------

NET, WATCHDOG = "/sys/class/net/eth0", "/sys/class/watchdog/watchdog0/identity"
PI = "/proc/device-tree/chosen/bootloader"
PI_FILES = {f"{PI}/tryboot": bytes(4), f"{PI}/partition": bytes(4), f"{PI}/build-timestamp": b"\x65\0\0\0"}


def machine_with(**files):
    machine = FakeMachine(Rails())
    machine.files |= files
    return machine


@pytest.mark.parametrize(
    ("files", "name", "is_good", "said"),
    [
        ({}, "board", None, "no device tree: a PC, or an emulated board with UEFI"),
        ({"/proc/device-tree/model": b"Board \xff 9\0\0"}, "board", None, "Board \ufffd 9"),
        ({}, "box id", False, "none"),
        ({f"{NET}/address": b"02:00:00:00:00:01\n"}, "box id", True, "mac-020000000001"),
        ({}, "interface", False, "eth0: not there"),
        ({f"{NET}/operstate": b"down\n"}, "interface", False, "eth0: down"),
        ({f"{NET}/operstate": b"up\n"}, "interface", True, "eth0: up"),
        (
            {f"{NET}/operstate": b"unknown\n"},
            "interface",
            True,
            "eth0: there; whether its link is up, its driver does not tell",
        ),
        ({}, "watchdog", False, "none"),
        ({WATCHDOG: b"i6300ESB timer\n"}, "watchdog", True, "i6300ESB timer"),
        ({WATCHDOG: b""}, "watchdog", True, "none"),
        ({WATCHDOG: b"odd \xff\n"}, "watchdog", True, "odd \ufffd"),
        (PI_FILES, "firmware's partition", True, "0"),
        (PI_FILES | {f"{PI}/partition": None}, "firmware's partition", True, "0"),
        (PI_FILES | {f"{PI}/partition": b"\0\0\0\2"}, "firmware's partition", True, "2"),
        (PI_FILES | {f"{PI}/partition": b"\0\0\0\3"}, "firmware's partition", True, "3"),
        (PI_FILES | {f"{PI}/partition": b"\0\0\0\4"}, "firmware's partition", False, "4"),
        (PI_FILES | {f"{PI}/partition": b"\0\0\1\0"}, "firmware's partition", False, "256"),
        (PI_FILES, "tryboot flag", True, "0"),
        (PI_FILES | {f"{PI}/tryboot": b"\0\0\0\1"}, "tryboot flag", True, "1"),
        (PI_FILES | {f"{PI}/tryboot": b"\0\0\0\2"}, "tryboot flag", False, "2"),
        (PI_FILES, "kernel", None, "not told"),
        (PI_FILES | {"/proc/sys/kernel/osrelease": b"6.6.51+rpt-rpi-v8\n"}, "kernel", None, "6.6.51+rpt-rpi-v8"),
        (PI_FILES | {"/proc/sys/kernel/osrelease": b"6.6-\xff\n"}, "kernel", None, "6.6-\ufffd"),
        ({"/proc/device-tree/serial-number": b"9\xe9\0"}, "box id", True, "serial-9\ufffd"),
        (PI_FILES, "EEPROM built", True, str(0x65000000)),
        (PI_FILES | {f"{PI}/build-timestamp": b"\0\0\0\1"}, "EEPROM built", True, "1"),
        (PI_FILES | {f"{PI}/build-timestamp": None}, "EEPROM built", False, "0"),
    ],
)
def test_what_is_found_and_whether_it_is_good(files, name, is_good, said):
    check = found(examine_board(machine_with(**files), "eth0"))[name]
    assert (check.is_good, check.found) == (is_good, said)
    assert check.is_good is None or check.expected, "who is judged is told by what"


def test_checks_come_in_one_order_and_those_of_a_pi_on_a_pi_alone():
    plain = [check.name for check in examine_board(machine_with(), "eth0")]
    assert plain == ["board", "box id", "interface", "watchdog"]
    assert found(examine_board(machine_with(), "eth0"))["interface"].expected == "up"
    pi = [check.name for check in examine_board(machine_with(**PI_FILES), None)]
    assert pi == ["board", "box id", "watchdog", "firmware's partition", "kernel", "tryboot flag", "EEPROM built"]
    assert all(check.expected for check in examine_board(machine_with(**PI_FILES), None) if check.name == "kernel")


def test_where_no_interface_is_named_none_is_looked_at(monkeypatch):
    machine, read = machine_with(), []
    monkeypatch.setattr(machine, "read", read.append)
    list(examine_board(machine, None))
    assert [path for path in read if path.startswith("/sys/class/net/")] == []


@pytest.mark.parametrize("path", ["/proc/device-tree/serial-number", "/sys/class/dmi/id/product_serial"])
@pytest.mark.parametrize(
    "raw", [b"0\0", b"None\n", b" \t\n", b"Default string\n", b"Not Specified", b"System Serial Number"]
)
def test_a_placeholder_is_no_serial_number(path, raw):
    machine = machine_with(**{path: raw, "/sys/class/dmi/id/board_serial": b" S 12 \n"})
    assert box_id(machine, ()) == "serial-S 12"


def test_the_device_tree_s_serial_number_is_the_first_and_addresses_are_the_last():
    serials = {"/proc/device-tree/serial-number": b"tree\0", "/sys/class/dmi/id/product_serial": b"board\n"}
    assert box_id(machine_with(**serials), ()) == "serial-tree"
    nobody = {"/sys/class/net/lo/address": b"00:00:00:00:00:00\n", f"{NET}/address": b"00:00:00:00:00:0a\n"}
    assert box_id(machine_with(**nobody), ("lo", "none", "eth0")) == "mac-00000000000a"
    assert box_id(machine_with(**nobody), ("lo",)) == ""


def test_a_partition_that_lies_or_fails_is_no_good_and_says_so(monkeypatch):
    disk = RailDisk(Rails())
    monkeypatch.setattr(disk, "read", lambda name: b"something else")
    check = examine_partition("slot-a", disk)
    assert (check.name, check.is_good, check.found) == ("slot-a", False, "does not read back what is written")
    disk.read_only = True
    check = examine_partition("slot-a", disk)
    assert (check.name, check.is_good, check.expected) == ("slot-a", False, "can be written")
    good = examine_partition("slot-b", RailDisk(Rails()))
    assert (good.name, good.is_good, good.found, good.expected) == ("slot-b", True, "can be written", "can be written")


def test_a_partition_is_tried_on_the_medium_not_in_memory():
    disk, done = RailDisk(Rails()), []
    for name in ("write", "sync", "read", "remove", "sync_names"):
        real = getattr(disk, name)
        setattr(disk, name, lambda *given, name=name, real=real: done.append((name, given[:1])) or real(*given))
    examine_partition("x", disk)
    (file,) = {given for _, given in done if given}
    assert done == [("write", file), ("sync", file), ("read", file), ("remove", file), ("sync_names", ())]


def test_each_loader_is_named_and_the_first_that_serves_is_asked():
    board = TryBootBoard()
    board.power_on()
    other = BOARDS[1]()
    loaders = [(other.backend, "is not here"), (board.backend, None), (BOARDS[0]().backend, None)]
    checks = list(examine_loaders(loaders, board.store.record()))
    assert [(check.name, check.is_good, check.found) for check in checks] == [
        ("backend uboot", None, "is not here"),
        ("backend tryboot", None, "serves here"),
        ("backend kexec", None, "serves here"),
        ("boot loader", None, board.backend.state().raw),
        ("running", None, "the receiver, or not known"),
        ("agrees with the record", True, "yes"),
    ]
    board.backend.commit(Source.SLOT_B)
    board.machine.files["/proc/cmdline"] = b"bootcast.slot=slot-b"
    checks = found(examine_loaders(loaders, board.store.record()))
    assert checks["running"].found == "slot-b"
    agrees = checks["agrees with the record"]
    assert (agrees.is_good, agrees.expected) == (False, "yes")
    assert agrees.found == "it would start slot-b, the record says the receiver"
    assert "agrees with the record" not in found(examine_loaders(loaders, None))


def test_a_loader_whose_state_can_not_be_read_is_no_good():
    lost = TryBootBoard()
    lost.backend._first = None
    last = list(examine_loaders([(lost.backend, None)], None))[-1]
    assert (last.name, last.is_good, last.expected) == ("boot loader", False, "its state can be read")
    assert "needs the card's first partition" in last.found
    none = list(examine_loaders([(lost.backend, "no")], None))[-1]
    assert (none.name, none.is_good, none.found) == ("boot loader", False, "none that serves here")
    assert none.expected
