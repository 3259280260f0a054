"""The checklist: what is judged, and what a Pi's device tree is expected to say."""

import pytest

from settop.boot.doctor import examine_board, examine_loaders, examine_partition
from settop.boot.identity import box_id
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
    assert not found(examine_loaders([(board.backend, "not here")], None))["boot loader"].is_good
