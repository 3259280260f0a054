"""Which loader is chosen, and what is said where none is there."""

import pytest

from carousel.errors import OperatorError
from settop.boot.table import BACKENDS, BackendOptions, choose_backend
from settop.image.boards import board_named
from settop.image.cardfiles import firmware_files
from settop.store.choice import Source
from tests.settop.boot.models import STUB, FakeMachine, Rails


def bare_machine():
    machine = FakeMachine(Rails())
    machine.programs.clear()
    return machine


@pytest.mark.parametrize("name", BACKENDS)
def test_a_loader_that_is_not_there_is_said_with_what_is_missing(name, tmp_path):
    with pytest.raises(OperatorError, match=rf"--backend {name} can't boot here: (there is|this|neither|no|it needs)"):
        choose_backend(name, BackendOptions(tmp_path, tmp_path), bare_machine())


def test_where_nothing_can_boot_each_loader_says_why(tmp_path):
    with pytest.raises(OperatorError, match="no way to boot was found here") as refused:
        choose_backend("auto", BackendOptions(tmp_path, tmp_path), bare_machine())
    assert all(f"{name}: " in str(refused.value) for name in BACKENDS)
    with pytest.raises(OperatorError, match="is no folder; mount"):
        choose_backend("auto", BackendOptions(tmp_path, tmp_path / "missing"), bare_machine())
    with pytest.raises(OperatorError, match="there is no backend 'lilo'; there are auto, command"):
        choose_backend("lilo", BackendOptions(tmp_path), bare_machine())


def test_the_partitions_of_slots_are_those_mounted_beside_the_firmware_s(tmp_path):
    for name in ("firmware", "slot-b"):
        (tmp_path / name).mkdir()
    (tmp_path / "slot-a").write_text("no partition")
    assert BackendOptions(tmp_path).slot_disks() == {}
    slots = BackendOptions(tmp_path, tmp_path / "firmware").slot_disks()
    assert {source: disk.path("x") for source, disk in slots.items()} == {Source.SLOT_B: tmp_path / "slot-b" / "x"}


@pytest.mark.parametrize(("name", "loader"), [("uboot-arm64", None), ("uefi-arm64", "grub")])
def test_auto_knows_a_card_by_its_loader_s_files_and_takes_kexec_without_them(name, loader, tmp_path):
    board = board_named(name, loader)
    machine = FakeMachine(Rails())
    machine.files["/sys/kernel/kexec_loaded"] = b"0\n"
    tree, firmware = tmp_path / "tree", tmp_path / "firmware"
    firmware.mkdir()
    for path in ("systemd/boot/efi/linuxaa64.efi.stub", "grub/arm64-efi/monolithic/grubaa64.efi"):
        (tree / "usr/lib" / path).parent.mkdir(parents=True)
        (tree / "usr/lib" / path).write_bytes(STUB)
    assert choose_backend("auto", BackendOptions(tmp_path, firmware), machine).name == "kexec"
    for path, content in firmware_files(board, tree, b"kernel", b"initrd", "quiet").items():
        (firmware / path).parent.mkdir(parents=True, exist_ok=True)
        (firmware / path).write_bytes(content)
    assert choose_backend("auto", BackendOptions(tmp_path, firmware), machine).name == board.backend
    for left in firmware.glob("bootcast-*"):
        left.unlink()
    assert choose_backend("auto", BackendOptions(tmp_path, firmware), machine).name == board.backend
