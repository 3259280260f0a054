"""`settop image`: a whole card for a board, or the receiver's initramfs alone."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from carousel.errors import FormatError, OperatorError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.uki import MACHINES, parse_pe, parse_uki
from settop.image.boards import Board
from settop.image.cardfiles import firmware_files, slot_files
from settop.image.debian import debian_tree, wheel_tree
from settop.image.ext4 import make_ext4
from settop.image.fat import make_fat
from settop.image.initramfs import Parts, build_initramfs
from settop.image.mbr import ALIGNMENT_BYTES, EFI_SYSTEM, FAT32, LINUX, Partition, build_mbr
from settop.image.ownwheel import find_wheel
from settop.image.tools import need_tools

__all__ = ["CardRequest", "Factory", "Made", "build_card", "check_image", "check_kernel", "initramfs_of", "kernel_of"]

_PROCESSORS = {"arm64": "aarch64", "amd64": "x86_64"}
_TAKEN_APART = ("kexec", "tryboot")
"""Backends that need a UKI: they start what is in it."""
LABELS = {"firmware": "BCBOOT", "slot-a": "BCSLOTA", "slot-b": "BCSLOTB", "store": "BCSTORE"}
CARD_WAIT_S = 20
RETRY_S = 10
_ROOM = 1.15
"""File systems need some room of their own."""
_STORE_IMAGES = 4
"""The store holds two slots, the EEPROM image, and one that is on its way in with as many repair symbols."""


class CardRequest(Frozen):
    """What a card is asked for."""

    board: Board
    hardware: str
    group: str
    interface: str
    timeout: str = "60s"
    console: str | None = None
    kernel: Path | None = None
    wheel: Path | None = None
    size_bytes: int = 512 << 20
    zstd_level: int = 19


class Factory(Frozen):
    """What the factory puts on the card: the EEPROM image, keys of releases and of bulletins by file name."""

    header: SignedHeader
    image: bytes
    keys: Mapping[str, bytes]
    bulletin_keys: Mapping[str, bytes] = MappingProxyType({})

    def files(self) -> dict[str, bytes]:
        """Return them as they lie on the firmware's partition, where the first boot finds them."""
        found = {"factory/eeprom.image": self.image, "factory/eeprom.header": self.header.raw}
        found |= {f"factory/trust/{name}": content for name, content in self.keys.items()}
        return found | {f"factory/trust-bulletin/{name}": content for name, content in self.bulletin_keys.items()}


class Made(Frozen):
    """Sizes of what was made, in bytes."""

    card: int
    initramfs: int
    kernel: int
    firmware: int


def settings_of(request: CardRequest) -> dict[str, str]:
    """Return board.conf: what the receiver's init reads."""
    return {
        "BOARD": request.board.name,
        "BACKEND": request.board.backend,
        "HARDWARE": request.hardware,
        "GROUP": request.group,
        "INTERFACE": request.interface,
        "TIMEOUT": request.timeout,
        "CARD_WAIT_S": str(CARD_WAIT_S),
        "RETRY_S": str(RETRY_S),
        "SLOT_PARTITIONS": "yes" if "slot-a" in request.board.cards else "",
    }


def initramfs_of(request: CardRequest) -> tuple[bytes, Path, Path]:
    """Return the receiver's initramfs, the kernel that it is for, and the tree of Debian's packages."""
    for name in ("hardware", "group", "interface", "timeout"):
        if "'" in getattr(request, name) or "\n" in getattr(request, name):
            raise OperatorError(f"--{name} {getattr(request, name)!r} can't be written into the receiver's settings")
    tree, kernel = kernel_of(request)
    version = kernel.name.removeprefix("vmlinuz-")
    modules = kernel.resolve().parent.parent / "lib" / "modules" / version
    if not modules.is_dir():
        raise OperatorError(
            f"there is no {modules}: --kernel needs boot/vmlinuz-VERSION beside its lib/modules/VERSION"
        )
    wheel = find_wheel(request.board.debian, request.wheel)
    parts = Parts(tree, modules, wheel, wheel_tree(request.board))
    return build_initramfs(request.board, parts, settings_of(request), request.zstd_level), kernel, tree


def kernel_of(request: CardRequest) -> tuple[Path, Path]:
    """Return the tree of Debian's packages, and the kernel: the one that is named, else Debian's."""
    tree = debian_tree(request.board)
    found = sorted((tree / "boot").glob("vmlinuz-*"))
    if request.kernel is None and not found:
        raise OperatorError(f"Debian's {request.board.kernel_package} brought no kernel; name one with --kernel")
    return tree, request.kernel or found[-1]


def build_card(request: CardRequest, factory: Factory, output: Path) -> Made:
    """Make the card; `OperatorError` if it is too small, or this machine or the kernel lacks something."""
    need_tools(["mformat", "mcopy", "mke2fs", "zstd"])
    board = request.board
    initramfs, kernel_path, tree = initramfs_of(request)
    kernel = kernel_path.read_bytes()
    command_line = f"console={request.console or board.console} panic=5 quiet bootcast.slot=receiver"
    firmware = firmware_files(board, tree, kernel, initramfs, command_line)
    firmware |= factory.files()
    contents = {"firmware": firmware, "slot-a": slot_files(board, tree), "slot-b": slot_files(board, tree)}
    layout = plan_partitions(board, request.size_bytes, contents, len(factory.image))
    partial = output.with_suffix(output.suffix + ".partial")
    try:
        with partial.open("wb") as file:
            file.truncate(request.size_bytes)
            disk_id = int.from_bytes(hashlib.sha256(board.name.encode()).digest()[:4], "little")
            file.write(build_mbr(list(layout.values()), disk_id))
        for role, partition in layout.items():
            if role == "store":
                make_ext4(partial, partition.offset_bytes, partition.size_bytes, LABELS[role])
            else:
                make_fat(partial, partition.offset_bytes, partition.size_bytes, LABELS[role], contents[role])
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    used = sum(map(len, firmware.values()))
    return Made(request.size_bytes, len(initramfs), len(kernel), used)


def check_image(board: Board, image: memoryview, name: str) -> None:
    """Raise `OperatorError` if the board could not start this image: no UKI, or one for another processor."""
    try:
        machine = (parse_uki if board.backend in _TAKEN_APART else parse_pe)(image).machine
    except FormatError as error:
        raise OperatorError(
            f"{name} is nothing that {board.name} starts ({error.reason}); make it with `headend pack --uki`"
        ) from None
    if machine != MACHINES[_PROCESSORS[board.debian]]:
        raise OperatorError(f"{name} holds a kernel for another processor than {board.name} has")


def check_kernel(board: Board, kernel: bytes, name: str) -> None:
    """Raise `OperatorError` for a Raspberry Pi's kernel that can't tell the firmware to try a slot.

    `reboot "0 tryboot"` is of Raspberry Pi's own kernels (drivers/firmware/raspberrypi.c has the word); others,
    Debian's among them, restart and drop it, so that no trial would ever start.
    """
    if board.backend != "tryboot":
        return
    image = gzip.decompress(kernel) if kernel.startswith(b"\x1f\x8b") else kernel
    if b"tryboot" not in image:
        raise OperatorError(
            f"the kernel {name} knows no tryboot, by which a Raspberry Pi tries a new image; take Raspberry Pi's own "
            f"(their package linux-image-rpi-v8, unpacked): --kernel FOLDER/boot/vmlinuz-VERSION"
        )


def plan_partitions(
    board: Board, size_bytes: int, contents: Mapping[str, Mapping[str, bytes]], image_bytes: int
) -> dict[str, Partition]:
    """Return the partitions by role, the store last; `OperatorError` if the card is too small for the image.

    Room to spare goes to each in proportion to the images that it holds, so that later images may be larger.
    """
    images = {role: _images_in(board, role) for role in board.cards}
    rooms = {"firmware": 8 << 20, "slot-a": 8 << 20, "slot-b": 8 << 20, "store": 16 << 20}
    files = {role: sum(map(len, contents.get(role, {}).values())) for role in images}
    needs = {
        role: _aligned(int((files[role] + count * image_bytes) * _ROOM) + rooms[role]) for role, count in images.items()
    }
    spare = size_bytes - ALIGNMENT_BYTES - sum(needs.values())
    if spare < 0:
        whole = (size_bytes - spare + (1 << 20)) >> 20
        raise OperatorError(
            f"a card of {size_bytes >> 20}MiB is too small for this image; give --size {whole}MiB or more"
        )
    kind = EFI_SYSTEM if board.loader != "pi" else FAT32
    at, layout = ALIGNMENT_BYTES, {}
    for role, need in needs.items():
        share = spare * images[role] // sum(images.values()) // ALIGNMENT_BYTES * ALIGNMENT_BYTES
        layout[role] = Partition(LINUX if role == "store" else kind, at, need + share, is_bootable=role == "firmware")
        at += need + share
    return layout


def _images_in(board: Board, role: str) -> int:
    """Return how many images a partition has room for, the factory's own on the firmware's not counted."""
    if role == "store":
        return _STORE_IMAGES
    if role == "firmware":
        return 3 if board.loader in ("uboot", "grub", "systemd-boot") else 0
    return 2


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
