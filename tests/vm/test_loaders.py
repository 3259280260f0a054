"""Real loaders from Debian: a bad B three times, then A; a good B, confirmed, stays. Marked: half a minute each."""

import pytest

from settop.boot.firmwarefiles import Environment
from settop.boot.grub import Grub
from settop.boot.systemdboot import LOADER_GUID, SystemdBoot
from settop.boot.uboot import UBoot
from settop.image.boards import board_named
from settop.image.cardfiles import firmware_files
from settop.store.choice import Source
from tests.settop.boot.models import FakeMachine, Rails
from tests.vm.machines import OFF, PANIC, Board, images_run, make_card, payload, read_card, slot_files, tree, write_card

pytestmark = pytest.mark.vm

ARMED = Environment(4, Source.SLOT_A, Source.SLOT_B, 3)
A_BEFORE = Environment(3, Source.SLOT_A)
COUNTING = [
    pytest.param(UBoot, "uboot-arm64", None, "uboot", id="uboot"),
    pytest.param(Grub, "uefi-arm64", "grub", "uefi", id="grub"),
]


def loader_files(name, loader):
    """What `settop image` puts there for this loader, without the receiver, which a payload stands for here."""
    files = firmware_files(board_named(name, loader), tree(), b"MZ", b"", "")
    del files["receiver.efi"]
    return files


@pytest.mark.parametrize(("backend", "name", "loader", "firmware"), COUNTING)
def test_a_counting_loader_tries_a_bad_b_three_times_then_a_and_keeps_a_confirmed_b(
    backend, name, loader, firmware, tmp_path
):
    bad = slot_files(a=payload("A", OFF), b=payload("B", PANIC), receiver=payload("receiver", OFF))
    card = make_card(tmp_path / "card", loader_files(name, loader) | bad)
    board = Board(card, firmware)
    write_card(card, backend.files[0], backend.encode(A_BEFORE))
    write_card(card, backend.files[1], backend.encode(ARMED))
    assert images_run(board.run()) == ["B", "B", "B", "A"]
    found = [backend.decode(read_card(card, each)) for each in backend.files]
    newest = max(filter(None, found), key=lambda environment: environment.sequence)
    assert (newest.armed, newest.tries_left, newest.default) == (Source.SLOT_B, 0, Source.SLOT_A)
    write_card(card, "slot-b.efi", payload("good B", OFF))
    write_card(card, backend.files[0], backend.encode(Environment(newest.sequence + 1, Source.SLOT_B)))
    assert images_run(board.run()) == ["good B"]


@pytest.mark.parametrize(("backend", "name", "loader", "firmware"), COUNTING)
def test_a_torn_environment_and_a_missing_slot_lead_to_what_is_left(backend, name, loader, firmware, tmp_path):
    files = slot_files(a=payload("A", OFF), receiver=payload("receiver", OFF))
    card = make_card(tmp_path / "card", loader_files(name, loader) | files)
    board = Board(card, firmware)
    torn = backend.encode(Environment(9, Source.SLOT_B, Source.SLOT_B, 3))
    write_card(card, backend.files[0], torn[:40] + bytes(10) + torn[50:])
    write_card(card, backend.files[1], backend.encode(A_BEFORE))
    assert images_run(board.run()) == ["A"]
    write_card(card, backend.files[1], backend.encode(Environment(10, Source.SLOT_B)))
    assert images_run(board.run()) == ["receiver"], "slot B is not there"


def test_systemd_boot_takes_a_one_shot_entry_once_and_a_default_for_good(tmp_path):
    """The payload stands for the receiver: it sets what the backend sets, byte for byte, and restarts."""
    machine = FakeMachine(Rails())
    backend = SystemdBoot(None, machine)
    backend.arm(Source.SLOT_B, None, 1)
    once = machine.files[f"/sys/firmware/efi/efivars/LoaderEntryOneShot-{LOADER_GUID}"]
    machine.files.clear()
    backend.commit(Source.SLOT_A)
    default = machine.files[f"/sys/firmware/efi/efivars/LoaderEntryDefault-{LOADER_GUID}"]
    receiver = f"""
for module in /modules/*; do /bin/busybox insmod $module; done
vars=/sys/firmware/efi/efivars
/bin/busybox mount -t efivarfs efivarfs $vars
if [ -e $vars/LoaderEntryOneShot-{LOADER_GUID} ]; then echo "the one-shot entry is still set"; fi
for _ in 1 2 3 4 5 6 7 8 9; do [ -e /dev/vda1 ] && break; /bin/busybox sleep 1; done
/bin/busybox mount -t vfat /dev/vda1 /card || /bin/busybox ls /dev
tries=$(/bin/busybox cat /card/tries 2>/dev/null || echo 0)
echo $((tries + 1)) > /card/tries
if [ $tries -lt 3 ]; then
  /bin/busybox cat /once > $vars/LoaderEntryOneShot-{LOADER_GUID}
else
  /bin/busybox cat /default > $vars/LoaderEntryDefault-{LOADER_GUID}
fi
/bin/busybox umount /card
/bin/busybox reboot -f
"""
    modules = ("virtio_ring", "virtio", "virtio_mmio", "virtio_blk", "vfat", "nls_cp437", "nls_ascii", "efivarfs")
    images = slot_files(
        a=payload("A", OFF),
        b=payload("B", PANIC),
        receiver=payload("receiver", receiver, {"once": once, "default": default}, modules),
    )
    card = make_card(tmp_path / "card", loader_files("uefi-arm64", None) | images)
    board = Board(card, "uefi")
    said = board.run()
    assert images_run(said) == ["receiver", "B", "receiver", "B", "receiver", "B", "receiver", "A"]
    assert "still set" not in said
    assert images_run(board.run()) == ["A"], "the default outlives a power cycle"
