"""A Raspberry Pi's card, started by a model of its firmware, with Debian's kernel and the emulator's drivers."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carousel.uki import parse_uki
from settop.boot.tryboot import parse_autoboot
from settop.image.boards import BOARDS
from settop.image.card import CardRequest, Factory, build_card
from tests.conftest import KEY
from tests.vm.machines import OFF, images_run, payload
from tests.vm.pifirmware import PiBoard
from tests.vm.test_cards import partitions

pytestmark = pytest.mark.vm
DRIVERS = ("virtio_ring", "virtio", "virtio_pci", "virtio_mmio", "virtio_blk")
BOARD = BOARDS["pi"].but(modules=(*DRIVERS, *BOARDS["pi"].modules), console="ttyAMA0")


def test_a_card_starts_its_eeprom_image_by_tryboot_and_the_next_power_cycle_has_forgotten_it(make_release, tmp_path):
    image = payload("factory", OFF)
    header = make_release(image, version="0.1.0").header
    key = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    card = tmp_path / "card.img"
    request = CardRequest(BOARD, "00A1B2:7", "239.255.77.1:5077", "eth0", timeout="1s", zstd_level=3)
    build_card(request, Factory(header, image, {"0-lab.pub": key}), card)
    board = PiBoard(card, [offset for offset, _ in partitions(card, BOARD).values()])
    (receiver, first_said), (partition, said) = board.run(deadline_s=600)
    assert receiver == 1, first_said[-3000:]
    assert (partition, images_run(said)) == (3, ["factory"]), said[-3000:]
    assert board.partition_file(3, "kernel8.img") == parse_uki(memoryview(image)).linux
    autoboot = board.partition_file(1, "autoboot.txt")
    assert [parse_autoboot(autoboot, tryboot) for tryboot in (False, True)] == [1, 3]
