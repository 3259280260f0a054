"""The boards that cards are made for: their packages, drivers, and how their firmware finds the receiver."""

from carousel.errors import OperatorError
from carousel.frozen import Frozen

__all__ = ["BOARDS", "Board", "board_named"]

_PYTHON = (
    "python3",
    "python3-numpy",
    "python3-cryptography",
    "python3-cffi-backend",
    "python3-construct",
    "busybox-static",
)
_VIRTIO = (
    "virtio_ring",
    "virtio",
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_net",
)
_FAT = ("vfat", "nls_cp437", "nls_ascii", "nls_utf8")
_EXT4 = ("crc32c_generic", "ext4")
"""The checksum first: ext4 asks for it as it mounts, of a program that loads modules, which no receiver has."""
_EFI = ("efivarfs",)
_PC = ("ahci", "sd_mod", "nvme", "e1000e", "r8169", "igb")
_PI = ("sdhci_iproc", "genet", "broadcom", "lan78xx", "smsc95xx")
_PI_DRIVERS = (
    "fixed",
    "gpio_regulator",
    "bcm2835",
    "phy_generic",
    "dwc2",
    "microchip",
    "smsc",
    "cdc_ether",
    "ax88179_178a",
    "r8152",
    "reset_raspberrypi",
    "bcm2835_wdt",
)
"""What Debian's kernel needs for a card (regulators, the older host), USB on a Pi 3, network adapters, the watchdog."""
_UKI_AND_KEXEC = ("kexec-tools", "systemd-boot-efi")
"""The stub of UKIs; and what still starts an image where a loader's files are gone."""


class Board(Frozen):
    """A kind of board. `loader` says which files its firmware partition gets (cardfiles.py)."""

    name: str
    debian: str
    """Debian's name of its architecture."""
    kernel_package: str
    loader: str
    """removable: /EFI/BOOT/BOOT*.EFI is the receiver; systemd-boot; grub; uboot; pi."""
    backend: str
    modules: tuple[str, ...]
    console: str
    drivers: tuple[str, ...] = ()
    """Modules, too, but ones that another kernel for the board may have under another name."""
    packages: tuple[str, ...] = ()
    components: tuple[str, ...] = ("main",)
    cards: tuple[str, ...] = ("firmware", "store")
    """Its partitions, in order."""

    @property
    def all_packages(self) -> tuple[str, ...]:
        """What Debian has to bring."""
        return (*_PYTHON, self.kernel_package, *self.packages)


_QEMU = Board(
    name="qemu-arm64",
    debian="arm64",
    kernel_package="linux-image-cloud-arm64",
    loader="removable",
    backend="kexec",
    modules=(*_VIRTIO, *_FAT),
    console="ttyAMA0",
    packages=_UKI_AND_KEXEC,
)
_UBOOT = Board(
    name="uboot-arm64",
    debian="arm64",
    kernel_package="linux-image-cloud-arm64",
    loader="uboot",
    backend="uboot",
    modules=(*_VIRTIO, *_FAT),
    console="ttyAMA0",
    packages=_UKI_AND_KEXEC,
)
_UEFI_ARM = Board(
    name="uefi-arm64",
    debian="arm64",
    kernel_package="linux-image-cloud-arm64",
    loader="systemd-boot",
    backend="systemd-boot",
    modules=(*_VIRTIO, *_FAT, *_EFI),
    console="ttyAMA0",
    packages=_UKI_AND_KEXEC,
)
_UEFI_X86 = Board(
    name="uefi-x86",
    debian="amd64",
    kernel_package="linux-image-amd64",
    loader="systemd-boot",
    backend="systemd-boot",
    modules=(*_VIRTIO, *_EXT4, *_FAT, *_EFI, *_PC),
    console="ttyS0",
    packages=_UKI_AND_KEXEC,
)
_PI_BOARD = Board(
    name="pi",
    debian="arm64",
    kernel_package="linux-image-arm64",
    loader="pi",
    backend="tryboot",
    modules=(*_EXT4, *_FAT, *_PI),
    drivers=_PI_DRIVERS,
    console="ttyS1,115200",
    packages=("raspi-firmware", "systemd-boot-efi"),
    components=("main", "non-free-firmware"),
    cards=("firmware", "slot-a", "slot-b", "store"),
)
BOARDS = {board.name: board for board in (_QEMU, _UBOOT, _UEFI_ARM, _UEFI_X86, _PI_BOARD)}


def board_named(name: str, loader: str | None = None) -> Board:
    """Return the board of this name, with GRUB instead of systemd-boot where that is asked for."""
    board = BOARDS.get(name)
    if board is None:
        raise OperatorError(f"there is no board {name!r}; there are {', '.join(BOARDS)}")
    if loader in (None, board.loader):
        return board
    if loader == "grub" and board.loader == "systemd-boot":
        package = f"grub-efi-{board.debian}-bin"
        return board.but(loader="grub", backend="grub", packages=(*board.packages, package))
    raise OperatorError(f"a card for {name} has {board.loader} as its loader; --loader grub is for UEFI boards")
