"""What lies on a card's firmware partition: the receiver as this loader starts it, and the factory's image and keys."""

from importlib.resources import files
from pathlib import Path

from carousel.errors import OperatorError
from carousel.uki import DEFAULT_OS_RELEASE, build_uki
from settop.boot.firmwarefiles import Environment
from settop.boot.grub import Grub
from settop.boot.tryboot import CONFIG_TXT, build_autoboot
from settop.boot.uboot import UBoot
from settop.image.boards import Board
from settop.image.ubootscript import build_script

__all__ = ["firmware_files", "slot_files"]

_EFI_NAMES = {"arm64": "aa64", "amd64": "x64"}
_GRUB_FOLDERS = {"arm64": "arm64-efi", "amd64": "x86_64-efi"}
_PI_FILES = ("*.dtb", "overlays/*.dtbo", "start.elf", "start4.elf", "fixup.dat", "fixup4.dat", "bootcode.bin")


def firmware_files(board: Board, tree: Path, kernel: bytes, initramfs: bytes, command_line: str) -> dict[str, bytes]:
    """Return the files of the firmware's partition by name, but for the factory's."""
    if board.loader == "pi":
        return _pi_files(tree, kernel, initramfs, command_line)
    suffix = _EFI_NAMES[board.debian]
    stub = _of_package(tree, f"usr/lib/systemd/boot/efi/linux{suffix}.efi.stub", "systemd-boot-efi")
    receiver = build_uki(stub, kernel, initramfs, command_line, DEFAULT_OS_RELEASE)
    removable = f"EFI/BOOT/BOOT{suffix.upper()}.EFI"
    if board.loader == "removable":
        return {removable: receiver}
    if board.loader == "uboot":
        fresh = UBoot.encode(Environment())
        script = build_script((files("settop.image") / "files" / "boot.cmd").read_text())
        return {UBoot.script: script, "receiver.efi": receiver, **dict.fromkeys(UBoot.files, fresh)}
    if board.loader == "grub":
        fresh = Grub.encode(Environment())
        path = f"usr/lib/grub/{_GRUB_FOLDERS[board.debian]}/monolithic/grub{suffix}.efi"
        configuration = (files("settop.image") / "files" / "grub.cfg").read_bytes()
        grub = _of_package(tree, path, f"grub-efi-{board.debian}-bin")
        placed = {removable: grub, Grub.script: configuration, "receiver.efi": receiver}
        return placed | dict.fromkeys(Grub.files, fresh)
    loader = _of_package(tree, f"usr/lib/systemd/boot/efi/systemd-boot{suffix}.efi", "systemd-boot-efi")
    entries = {
        f"loader/entries/{name}.conf": f"title {name}\nefi /{name}.efi\n".encode()
        for name in ("receiver", "slot-a", "slot-b", "eeprom")
    }
    settings = b"default receiver.conf\ntimeout 0\neditor no\n"
    return {removable: loader, "loader/loader.conf": settings, "receiver.efi": receiver, **entries}


def slot_files(board: Board, tree: Path) -> dict[str, bytes]:
    """Return what a slot's own partition has before the first image (the Raspberry Pi's device trees)."""
    return _pi_firmware(tree) if board.loader == "pi" else {}


def _pi_files(tree: Path, kernel: bytes, initramfs: bytes, command_line: str) -> dict[str, bytes]:
    return _pi_firmware(tree) | {
        "autoboot.txt": build_autoboot(1, 2),
        "config.txt": CONFIG_TXT,
        "kernel8.img": kernel,
        "initrd.img": initramfs,
        "cmdline.txt": f"{command_line}\n".encode(),
    }


def _pi_firmware(tree: Path) -> dict[str, bytes]:
    """Return the firmware's own files, and the device trees of the kernel."""
    found: dict[str, bytes] = {}
    kernels = sorted((tree / "usr/lib").glob("linux-image-*"))
    for folder in [tree / "usr/lib/raspi-firmware", *(each / "broadcom" for each in kernels)]:
        for pattern in _PI_FILES:
            found |= {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern))}
    if not any(name.startswith("start") for name in found):
        raise OperatorError("the package raspi-firmware did not bring start4.elf; is non-free-firmware reachable?")
    return found


def _of_package(tree: Path, path: str, package: str) -> bytes:
    if not (tree / path).is_file():
        raise OperatorError(f"there is no {path} in {tree}: it is in Debian's package {package}")
    return (tree / path).read_bytes()
