"""A card for each board, built of Debian's packages and looked into: what its board starts is there; twice the same."""

import hashlib
import struct
import subprocess

import pytest

from carousel.uki import parse_uki
from settop.image.boards import BOARDS
from settop.image.card import LABELS, CardRequest, Factory, build_card, settings_of
from tests.settop.boot.models import header_of, image_of
from tests.settop.image.test_formats import unpack

pytestmark = pytest.mark.vm
FACTORY = Factory(header_of("0.1.0"), image_of("0.1.0"), {"0-lab.pub": b"a key"}, {"0-ops.pub": b"another"})
LOADERS = {
    "qemu-arm64": ["EFI/BOOT/BOOTAA64.EFI"],
    "uboot-arm64": ["boot.scr", "receiver.efi", "bootcast-0.env", "bootcast-1.env"],
    "uefi-arm64": ["EFI/BOOT/BOOTAA64.EFI", "receiver.efi", "loader/loader.conf", "loader/entries/slot-b.conf"],
    "uefi-x86": ["EFI/BOOT/BOOTX64.EFI", "receiver.efi", "loader/loader.conf", "loader/entries/slot-b.conf"],
    "pi": ["autoboot.txt", "kernel8.img", "initrd.img", "cmdline.txt", "start4.elf", "bcm2711-rpi-4-b.dtb"],
}
RECEIVERS = {"qemu-arm64": "EFI/BOOT/BOOTAA64.EFI", "pi": "initrd.img"}
MODULES = {"pi": ["mdio_bcm_unimac", "genet"], "uefi-x86": ["crc32c_generic", "ext4"], "qemu-arm64": ["virtio_net"]}
"""Behind each other; the first of each pair only because the second wishes for it, or asks for it as it mounts."""


def make(board, path):
    build_card(CardRequest(board, "00A1B2:7", "239.255.77.1:5077", "eth0", zstd_level=1), FACTORY, path)
    return path


def partitions(card, board):
    """Return (offset, size) by role, as the card's table says."""
    with card.open("rb") as file:
        table = file.read(512)
    entries = (struct.unpack_from("<8xII", table, 446 + 16 * index) for index in range(len(board.cards)))
    return {role: (first * 512, count * 512) for role, (first, count) in zip(board.cards, entries, strict=True)}


def check_file_system(card, place, program, tmp_path):
    """Let the file system's own checker read it."""
    offset, size = place
    part = tmp_path / "part"
    words = ["dd", f"if={card}", f"of={part}", "bs=1M", f"skip={offset >> 20}", f"count={size >> 20}", "conv=sparse"]
    subprocess.run(words, check=True, capture_output=True)
    done = subprocess.run([*program, part], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    label = subprocess.run(
        ["/sbin/blkid", "-o", "value", "-s", "LABEL", part], check=True, capture_output=True, text=True
    )
    part.unlink()
    return label.stdout.strip()


def read(card, place, name):
    words = ["mtype", "-i", f"{card}@@{place[0]}", f"::/{name}"]
    return subprocess.run(words, check=True, capture_output=True).stdout


def initramfs(card, place, board):
    """Return what the receiver unpacks: content by name."""
    receiver = read(card, place, RECEIVERS.get(board.name, "receiver.efi"))
    packed = receiver if board.name == "pi" else bytes(parse_uki(memoryview(receiver)).initrd)
    archive = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout
    return {name: content for name, _, content in unpack(archive)}


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_card_holds_what_its_board_starts(board, tmp_path):
    card = make(board, tmp_path / "card.img")
    places = partitions(card, board)
    for role, place in places.items():
        checker = ["/sbin/e2fsck", "-fn"] if role == "store" else ["/sbin/fsck.vfat", "-n"]
        assert check_file_system(card, place, checker, tmp_path) == LABELS[role]
    firmware = places["firmware"]
    for name in LOADERS[board.name]:
        assert read(card, firmware, name), f"{name} is not there"
    assert read(card, firmware, "factory/eeprom.image") == FACTORY.image
    assert read(card, firmware, "factory/trust-bulletin/0-ops.pub") == b"another"
    found = initramfs(card, firmware, board)
    settings = found["etc/bootcast/board.conf"].decode()
    assert all(f"{key}='{value}'" in settings for key, value in settings_of(CardRequest(
        board, "00A1B2:7", "239.255.77.1:5077", "eth0")).items())  # fmt: skip
    modules = found["etc/bootcast/modules"].decode().split()
    places_of = [modules.index(f"{name}.ko") for name in MODULES.get(board.name, [])]
    assert places_of == sorted(places_of)
    assert all(f"lib/modules/{name}" in found for name in modules)
    assert found["init"].startswith(b"#!/bin/busybox sh")


def test_two_builds_of_a_card_have_one_sha256(tmp_path):
    digests = set()
    for name in ("one", "two"):
        card = make(BOARDS["uboot-arm64"], tmp_path / name)
        with card.open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").hexdigest())
        card.unlink()
    assert len(digests) == 1
