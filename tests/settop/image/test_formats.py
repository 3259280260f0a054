"""What a card is made of: archives, partition tables, boot scripts, file systems; and what can't be made is said."""

import gzip
import re
import struct
import subprocess
import zipfile
import zlib
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settop
from carousel.errors import OperatorError
from carousel.uki import build_uki
from settop.image import cardfiles, debian, initramfs, ownwheel, tools
from settop.image.boards import BOARDS, board_named
from settop.image.card import CardRequest, Factory, check_image, check_kernel, plan_partitions, settings_of
from settop.image.ext4 import make_ext4
from settop.image.fat import make_fat
from settop.image.kernelmodules import modules_in_order
from settop.image.mbr import FAT32, LINUX, Partition, build_mbr
from settop.image.newc import Entry, build_archive
from settop.image.ownwheel import files_of_wheel, find_wheel
from settop.image.ubootscript import build_script
from tests.settop.boot.models import STUB, header_of

MEBIBYTE = 1 << 20
names = st.text("abcdefgh-_.", min_size=1, max_size=12).filter(lambda name: name.strip("."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


def unpack(archive):
    """Read a newc archive as Linux does: (path, mode, content)."""
    at, found = 0, []
    while True:
        fields = [int(archive[at + 6 + 8 * index : at + 14 + 8 * index], 16) for index in range(13)]
        assert archive[at : at + 6] == b"070701"
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        at += 110 + fields[11]
        at += -at % 4
        if name == "TRAILER!!!":
            return found
        found.append((name, fields[1], archive[at : at + fields[6]]))
        at += fields[6]
        at += -at % 4


@given(st.dictionaries(paths, st.binary(max_size=50), max_size=8))
def test_an_archive_unpacks_to_its_files_each_behind_its_folder(contents):
    files = {path: content for path, content in contents.items() if not any(o.startswith(f"{path}/") for o in contents)}
    archive = build_archive({path: Entry(content) for path, content in files.items()})
    found = unpack(archive)
    assert {name: content for name, mode, content in found if mode & 0o170000 == 0o100000} == files
    seen = set()
    for name, mode, _ in found:
        assert "/" not in name or name.rsplit("/", 1)[0] in seen, "its folder comes later"
        seen.add(name)
        assert mode & 0o170000 in (0o040000, 0o100000)
    assert archive == build_archive({path: Entry(content) for path, content in reversed(files.items())})


def test_modes_and_links():
    archive = build_archive({"bin/sh": Entry(link_to="busybox"), "init": Entry(b"#!", True), "note": Entry(b"n")})
    modes = {name: (mode, content) for name, mode, content in unpack(archive)}
    assert modes["bin/sh"] == (0o120777, b"busybox")
    assert (modes["init"][0], modes["note"][0]) == (0o100755, 0o100644)


def test_a_partition_table():
    sector = build_mbr(
        [Partition(FAT32, MEBIBYTE, 64 * MEBIBYTE, True), Partition(LINUX, 65 * MEBIBYTE, 8 * MEBIBYTE)], 7
    )
    assert (len(sector), sector[510:]) == (512, b"\x55\xaa")
    assert struct.unpack_from("<B3xB3xII", sector, 446) == (0x80, 0x0C, 2048, 64 * 2048)
    assert struct.unpack_from("<B3xB3xII", sector, 462) == (0, 0x83, 65 * 2048, 8 * 2048)
    assert sector[478:510] == bytes(32)
    with pytest.raises(ValueError, match="four partitions"):
        build_mbr([Partition(LINUX, MEBIBYTE, MEBIBYTE)] * 5, 7)


def test_a_boot_script_has_both_checks():
    script = build_script("echo hello\n")
    magic, header_crc, _, size, _, _, data_crc = struct.unpack_from(">7I", script)
    assert (magic, size, len(script)) == (0x27051956, len(script) - 64, 64 + 8 + 11)
    assert data_crc == zlib.crc32(script[64:])
    assert header_crc == zlib.crc32(script[:4] + bytes(4) + script[8:64])


@pytest.mark.cards
def test_file_systems_in_a_card_are_the_same_each_time(tmp_path):
    files = {"EFI/BOOT/A.EFI": b"a" * 5000, "factory/eeprom.image": b"e" * 70000, "top.txt": b"t"}
    cards = []
    for name in ("one", "two"):
        card = tmp_path / name
        with card.open("wb") as file:
            file.truncate(60 * MEBIBYTE)
        make_fat(card, MEBIBYTE, 40 * MEBIBYTE, "BCBOOT", files)
        make_ext4(card, 41 * MEBIBYTE, 19 * MEBIBYTE, "BCSTORE")
        cards.append(card.read_bytes())
    assert cards[0] == cards[1]
    listed = subprocess.run(
        ["mtype", "-i", f"{tmp_path / 'one'}@@1M", "::/factory/eeprom.image"], capture_output=True, check=True
    )
    assert listed.stdout == files["factory/eeprom.image"]
    (tmp_path / "store").write_bytes(cards[0][41 * MEBIBYTE :])
    subprocess.run(["/sbin/e2fsck", "-fn", tmp_path / "store"], check=True, capture_output=True)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_partitions_stand_apart_and_hold_what_they_must(board):
    contents = {role: {"kernel": bytes(MEBIBYTE)} for role in ("firmware", "slot-a", "slot-b")}
    layout = plan_partitions(board, 256 * MEBIBYTE, contents, image_bytes=5 * MEBIBYTE)
    assert tuple(layout) == board.cards
    at = MEBIBYTE
    for partition in layout.values():
        assert partition.offset_bytes == at
        at += partition.size_bytes
    assert at <= 256 * MEBIBYTE
    with pytest.raises(OperatorError, match=r"too small for this image; give --size \d+M") as refused:
        plan_partitions(board, 32 * MEBIBYTE, contents, image_bytes=5 * MEBIBYTE)
    enough = int(str(refused.value).rsplit("--size ", 1)[1].split("M")[0])
    plan_partitions(board, enough * MEBIBYTE, contents, image_bytes=5 * MEBIBYTE)


def test_boards_and_loaders_that_are_not_there():
    with pytest.raises(OperatorError, match="there are qemu-arm64"):
        board_named("toaster")
    with pytest.raises(OperatorError, match="is for UEFI boards"):
        board_named("pi", "grub")
    assert board_named("uefi-arm64", "grub").backend == "grub"


def test_settings_are_what_init_reads():
    settings = settings_of(CardRequest(board_named("pi"), "00A1B2:7", "239.255.77.1:5077", "eth0"))
    scripts = cardfiles.files("settop.image") / "files"
    read = (scripts / "bringup").read_text() + (scripts / "init").read_text()
    for name in settings:
        assert f"${name}" in read, f"nothing reads {name}"


def test_the_factory_s_keys_lie_where_init_looks_for_them():
    factory = Factory(header_of("0.1.0"), b"image", {"0-lab.pub": b"k"}, {"0-ops.pub": b"b"})
    files = factory.files()
    assert files["factory/trust/0-lab.pub"] == b"k"
    assert files["factory/trust-bulletin/0-ops.pub"] == b"b"
    init = (cardfiles.files("settop.image") / "files" / "init").read_text()
    for folder, option in (("trust", "--trust"), ("trust-bulletin", "--trust-bulletin")):
        words = "".join(init.split(f'"$factory"/{folder}/*.pub', 1)[1].splitlines()[:1])
        assert f'echo "{option} $key"' in words


def kernel_module(needs, wishes=""):
    """A module with nothing but a .modinfo section (ELF64, little-endian)."""
    info, names = f"softdep={wishes}\0depends={','.join(needs)}\0".encode(), b"\0.modinfo\0.shstrtab\0"
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 1, 183, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 2)
    data = 64 + 3 * 64
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, data, len(info), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 10, 3, 0, 0, data + len(info), len(names), 0, 0, 1, 0)
    return header + sections + info + names


def test_modules_come_behind_what_they_need_and_missing_ones_are_named(tmp_path):
    for name, needs in (("virtio", ()), ("virtio_ring", ("virtio",)), ("virtio-net", ("virtio_ring", "failover")),
                        ("failover", ())):  # fmt: skip
        (tmp_path / f"{name}.ko").write_bytes(kernel_module(needs))
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    order = list(modules_in_order(tmp_path, ("virtio_net", "ext4")))
    assert set(order) == {"virtio.ko", "virtio_ring.ko", "virtio_net.ko", "failover.ko"}
    assert order.index("virtio.ko") < order.index("virtio_ring.ko") < order.index("virtio_net.ko") == 3
    with pytest.raises(OperatorError, match="lacks vfat, which the receiver needs"):
        modules_in_order(tmp_path, ("virtio_net", "vfat"))
    (tmp_path / "vfat.ko").write_bytes(b"no module")
    with pytest.raises(OperatorError, match=r"vfat.ko is no kernel module"):
        modules_in_order(tmp_path, ("vfat",))


def test_modules_that_are_wished_for_come_first_and_other_kernels_may_have_other_drivers(tmp_path):
    (tmp_path / "genet.ko").write_bytes(kernel_module((), "pre: mdio-bcm-unimac crc32c post: late"))
    for name in ("mdio-bcm-unimac", "late", "dwc2"):
        (tmp_path / f"{name}.ko").write_bytes(kernel_module(()))
    assert list(modules_in_order(tmp_path, ("genet",))) == ["mdio_bcm_unimac.ko", "genet.ko"]
    assert list(modules_in_order(tmp_path, (), ("dwc_otg", "dwc2"))) == ["dwc2.ko"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_where_ext4_is_a_module_its_checksum_comes_before_it(board):
    """It asks for crc32c as it mounts, and a receiver has no program that loads modules."""
    if "ext4" in board.modules:
        assert board.modules.index("crc32c_generic") < board.modules.index("ext4")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_an_image_that_the_board_can_not_start_is_refused(board):
    with pytest.raises(OperatorError, match=r"nothing that \S+ starts \(not_a_pe_file\); make it with `headend pack"):
        check_image(board, memoryview(b"no image at all"), "v0.release")
    uki = memoryview(build_uki(STUB, b"kernel", b"initrd", "console=x", "ID=x\n"))
    is_other = board.debian != "arm64"
    with pytest.raises(OperatorError, match="for another processor than") if is_other else nullcontext():
        check_image(board, uki, "v0.release")


def test_what_is_taken_apart_must_be_a_uki():
    check_image(board_named("uboot-arm64"), memoryview(STUB), "v0.release")
    with pytest.raises(OperatorError, match="no_uki"):
        check_image(board_named("pi"), memoryview(STUB), "v0.release")


def test_a_kernel_that_drops_the_word_tryboot_is_refused_for_a_raspberry_pi():
    knows = b"MZ... 0 tryboot ..."
    for kernel in (knows, gzip.compress(knows)):
        check_kernel(board_named("pi"), kernel, "vmlinuz-6.6-rpi-v8")
    check_kernel(board_named("uboot-arm64"), b"MZ", "vmlinuz-6.1")
    with pytest.raises(OperatorError, match=r"vmlinuz-6\.1 knows no tryboot.*linux-image-rpi-v8"):
        check_kernel(board_named("pi"), b"MZ", "vmlinuz-6.1")


def test_a_wheel_without_the_native_core_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        wheel.writestr("carousel/uki.py", "x = 1\n")
        wheel.writestr("settop/image/card.py", "x = 1\n")
    with pytest.raises(OperatorError, match="no native core"):
        files_of_wheel(tmp_path / "w.whl")
    with zipfile.ZipFile(tmp_path / "w.whl", "a") as wheel:
        wheel.writestr("carousel/native/libcarousel.so", b"\x7fELF")
    assert set(files_of_wheel(tmp_path / "w.whl")) == {"carousel/uki.py", "carousel/native/libcarousel.so"}
    with pytest.raises(OperatorError, match="is no wheel"):
        files_of_wheel(tmp_path / "none.whl")
    assert find_wheel("arm64", tmp_path / "w.whl") == tmp_path / "w.whl"


def test_a_wheel_of_other_sources_is_refused(tmp_path, monkeypatch):
    package, folder = tmp_path / "carousel" / "__init__.py", tmp_path / "dist" / "wheels"
    package.parent.mkdir()
    folder.mkdir(parents=True)
    package.write_text("x = 1\n")
    monkeypatch.setattr(ownwheel.carousel, "__file__", str(package))
    with pytest.raises(OperatorError, match="run `make wheels`"):
        find_wheel("arm64", None)
    path = folder / "bootcast-1-py3-none-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("carousel/__init__.py", "x = 1\n")
        wheel.writestr("carousel/native/libcarousel.so", b"\x7fELF")
    assert find_wheel("arm64", None) == path
    package.write_text("x = 2\n")
    with pytest.raises(OperatorError, match="was made of other sources than these"):
        find_wheel("arm64", None)


def test_what_the_machine_lacks_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(tools, "_EXTRA_PATHS", "")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OperatorError, match="run: apt-get install e2fsprogs mtools"):
        tools.need_tools(["mformat", "mcopy", "mke2fs"])


@pytest.mark.parametrize("is_first", [True, False])
def test_two_cards_that_are_made_at_once_may_fetch_the_same_tree(is_first, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "need_tools", lambda names: None)

    def fetch(words):
        for folder in [words[-1]] if is_first else [words[-1], words[-1].with_suffix("")]:
            folder.mkdir()
            (folder / "vmlinuz").touch()

    monkeypatch.setattr(debian, "run", fetch)
    tree = debian.debian_tree(board_named("pi"))
    assert list(tree.parent.iterdir()) == [tree]
    assert (tree / "vmlinuz").exists()


def test_a_receiver_asks_for_nothing_that_a_card_leaves_out_of_numpy():
    """But for `--drop`, which tries losses out on a workbench."""
    root = Path(settop.__file__).parents[1]
    left_out = re.compile(rf"\bnp\.({'|'.join(initramfs._NOT_ON_A_BOX)})\b")
    asking = {
        str(path.relative_to(root))
        for package in ("carousel", "settop")
        for path in (root / package).rglob("*.py")
        if left_out.search(path.read_text())
    }
    assert asking == {"settop/link/loss.py"}
