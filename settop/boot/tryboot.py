"""tryboot: the Raspberry Pi's own A/B boot, by autoboot.txt on its first partition (docs/boards.md, "Raspberry Pi").

    partition 1: autoboot.txt and the receiver        [all]       boot_partition=N   where it boots
    partition 2: slot A     partition 3: slot B       [tryboot]   boot_partition=M   after `reboot "0 tryboot"`, once

The firmware boots no UKI: a slot's partition gets the kernel, the initrd and the command line out of it, and
config.txt. autoboot.txt is one sector of fixed places: a torn write mixes old and new digits, and what is no
digit of a partition makes the firmware boot partition 1, the receiver.
"""

from collections.abc import Mapping
from typing import ClassVar, NoReturn

from carousel.errors import FormatError, OperatorError, explain_os_error
from carousel.uki import Uki, parse_uki
from settop.boot.backend import LoaderState, SlotImage
from settop.boot.firmwarefiles import place_bytes
from settop.boot.kexec import booted_by_command_line, slot_words
from settop.boot.machine import Machine
from settop.store.choice import Source
from settop.store.disk import Disk

__all__ = [
    "AUTOBOOT_BYTES",
    "BOOTLOADER",
    "CONFIG_TXT",
    "TryBoot",
    "build_autoboot",
    "parse_autoboot",
    "told_by_firmware",
]

AUTOBOOT = "autoboot.txt"
AUTOBOOT_BYTES = 512
CONFIG_TXT = b"arm_64bit=1\nenable_uart=1\nkernel=kernel8.img\ninitramfs initrd.img followkernel\n"
BOOTLOADER = "/proc/device-tree/chosen/bootloader"
RECEIVER_PARTITION = 1
_PARTITIONS = {Source.SLOT_A: 2, Source.SLOT_B: 3}
_SOURCES = {number: source for source, number in _PARTITIONS.items()}


def build_autoboot(partition: int, try_partition: int) -> bytes:
    """Return autoboot.txt: always 512 bytes, the digits always in the same places."""
    text = f"[all]\ntryboot_a_b=1\nboot_partition={partition}\n[tryboot]\nboot_partition={try_partition}\n"
    return text.encode().ljust(AUTOBOOT_BYTES - 1, b"#") + b"\n"


def parse_autoboot(raw: bytes, tryboot: bool) -> int:
    """Return the partition that the firmware takes from autoboot.txt; 1 where it says nothing it understands."""
    section, found = b"all", RECEIVER_PARTITION
    for line in raw[:AUTOBOOT_BYTES].split(b"\n"):
        if line.startswith(b"[") and line.rstrip().endswith(b"]"):
            section = line.strip()[1:-1]
        elif line.startswith(b"boot_partition=") and (section == b"all" or (section == b"tryboot" and tryboot)):
            digits = line.split(b"=", 1)[1].strip()
            found = int(digits) if digits in (b"1", b"2", b"3") else found
    return found


def told_by_firmware(machine: Machine, name: str) -> int:
    """Return a number that the firmware left in the device tree; 0 where it left none."""
    return int.from_bytes(machine.read(f"{BOOTLOADER}/{name}") or b"", "big")


class TryBoot:
    """The Raspberry Pi's firmware."""

    name: ClassVar[str] = "tryboot"
    counts: ClassVar[bool] = False
    keeps_default: ClassVar[bool] = True

    def __init__(self, first: Disk | None, slots: Mapping[Source, Disk], machine: Machine) -> None:
        self._first = first
        self._slots = slots
        self._machine = machine

    @property
    def _disk(self) -> Disk:
        if self._first is None:
            raise OperatorError("--backend tryboot needs the card's first partition: name its folder with --firmware")
        return self._first

    def probe(self) -> str | None:
        """It serves on a Raspberry Pi whose firmware knows tryboot, from a card of ours."""
        if self._machine.read(f"{BOOTLOADER}/tryboot") is None:
            return "this board's firmware has no tryboot (no chosen/bootloader/tryboot in the device tree)"
        if self._first is None or AUTOBOOT not in self._first.names():
            return f"there is no {AUTOBOOT} in the folder of --firmware"
        missing = [source.value for source in _PARTITIONS if source not in self._slots]
        return f"the partition of {missing[0]} is not mounted beside it" if missing else None

    def booted(self) -> Source | None:
        """What the command line in the slot's partition says; else which partition the firmware took.

        The partition is 0 on a Pi 3 and with old EEPROMs of a Pi 5, so the command line is the better witness.
        """
        return booted_by_command_line(self._machine) or _SOURCES.get(told_by_firmware(self._machine, "partition"))

    def holds(self, source: Source, image: SlotImage) -> bool:
        """Compare the files in the slot's partition."""
        _, disk = self._place_of(source)
        return all(disk.read(name) == content for name, content in _files(source, image).items())

    def place(self, source: Source, image: SlotImage) -> None:
        """Unpack the UKI into the slot's partition; the EEPROM image into the one that is not the default."""
        if self.holds(source, image):
            return
        partition, disk = self._place_of(source)
        if self._default() == partition:
            self._write(RECEIVER_PARTITION, self._try_partition())
        for name, content in _files(source, image).items():
            place_bytes(disk, name, content)

    def arm(self, source: Source, image: SlotImage, tries: int) -> None:
        """Say where a restart with the firmware's flag goes; the flag itself goes with the restart."""
        self._write(self._default(), self._place_of(source)[0])

    def start(self, source: Source, image: SlotImage) -> NoReturn:
        """Restart, with the flag where the slot is not the default."""
        partition, _ = self._place_of(source)
        self._machine.restart("" if self._default() == partition else "0 tryboot")

    def commit(self, source: Source | None) -> None:
        """Make its partition the one that boots, and the other one the one to try."""
        partition = self._place_of(source)[0] if source else RECEIVER_PARTITION
        self._write(partition, 5 - partition if partition in _SOURCES else self._try_partition())

    def forget(self, source: Source) -> None:
        """Not the default any more; a tryboot goes nowhere without its flag."""
        if _SOURCES.get(self._default()) is source:
            self._write(RECEIVER_PARTITION, self._try_partition())

    def state(self) -> LoaderState:
        """Return what autoboot.txt says."""
        default = self._default()
        raw = f"tryboot: boot_partition={default}, [tryboot] boot_partition={self._try_partition()}"
        return LoaderState(raw, _SOURCES.get(default))

    def _place_of(self, source: Source) -> tuple[int, Disk]:
        slot = source
        if source is Source.EEPROM:
            slot = Source.SLOT_A if self._default() == _PARTITIONS[Source.SLOT_B] else Source.SLOT_B
        if slot not in self._slots:
            raise OperatorError(f"the partition of {slot.value} is not mounted; mount it beside that of --firmware")
        return _PARTITIONS[slot], self._slots[slot]

    def _default(self) -> int:
        return parse_autoboot(self._disk.read(AUTOBOOT) or b"", tryboot=False)

    def _try_partition(self) -> int:
        return parse_autoboot(self._disk.read(AUTOBOOT) or b"", tryboot=True)

    def _write(self, partition: int, try_partition: int) -> None:
        raw = build_autoboot(partition, try_partition)
        if self._disk.read(AUTOBOOT) == raw:
            return
        try:
            self._disk.write(AUTOBOOT, 0, raw)
            self._disk.sync(AUTOBOOT)
            self._disk.sync_names()
        except OSError as error:
            raise OperatorError(f"the first partition does not take {AUTOBOOT}: {explain_os_error(error)}") from None
        if self._disk.read(AUTOBOOT) != raw:
            raise OperatorError(f"{AUTOBOOT} does not read back as it was written: check the card")


def _parts(image: SlotImage) -> Uki:
    try:
        return parse_uki(image.read())
    except FormatError as error:
        raise OperatorError(
            f"{image.name} is no unified kernel image ({error.reason}), which is unpacked for the Raspberry Pi's "
            f"firmware; make one with `headend pack --uki`"
        ) from None


def _files(source: Source, image: SlotImage) -> dict[str, bytes]:
    """Return the files of a slot's partition."""
    uki = _parts(image)
    return {
        "kernel8.img": bytes(uki.linux),
        "initrd.img": bytes(uki.initrd),
        "config.txt": CONFIG_TXT,
        "cmdline.txt": f"{uki.command_line} {slot_words(source, image)}\n".encode(),
    }
