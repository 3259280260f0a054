"""Whole cards, switched on for the first time: whatever keeps the store from being filled, the EEPROM image starts."""

import pytest

from settop.image.ext4 import make_ext4
from tests.vm.machines import MEBIBYTE, OFF, Board, images_run, payload
from tests.vm.story import HARDWARE, pack, run, store_offset

pytestmark = pytest.mark.vm


def fill_up(card):
    """A store that mounts, and is too small for anything."""
    make_ext4(card, store_offset(card), 2 * MEBIBYTE, "BCSTORE")


def lose(card):
    """A store that is no file system any more."""
    with card.open("r+b") as file:
        file.seek(store_offset(card))
        file.write(bytes(MEBIBYTE))


@pytest.mark.parametrize(
    ("name", "firmware", "break_store", "complaint"),
    [
        ("uboot-arm64", "uboot", fill_up, "the store can't be filled"),
        ("uefi-arm64", "uefi", lose, "no partition labelled BCSTORE"),
    ],
    ids=["full", "lost"],
)
def test_the_eeprom_image_starts_without_a_store(name, firmware, break_store, complaint, tmp_path):
    card, image = tmp_path / "card.img", tmp_path / "factory.efi"
    image.write_bytes(payload("factory", OFF))
    run("headend", "keygen", tmp_path / "lab")
    factory = pack(tmp_path, "factory", "0.1.0", image)
    words = ["settop", "image", "--board", name, "--hardware", HARDWARE, "--trust", tmp_path / "lab.pub"]
    words += ["--eeprom", factory, "--interface", "eth0", "--timeout", "1s", "--zstd-level", 3, "-o", card]
    run(*words)
    break_store(card)
    said = Board(card, firmware, memory="1024").run(deadline_s=600)
    assert complaint in said, said[-3000:]
    assert images_run(said) == ["factory"], said[-3000:]
    card.unlink()
