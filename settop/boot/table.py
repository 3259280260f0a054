"""The boot loaders we know, and which of them is here."""

from collections.abc import Callable
from pathlib import Path

from carousel.errors import OperatorError
from carousel.frozen import Frozen
from settop.boot.backend import Backend
from settop.boot.command import Command
from settop.boot.grub import Grub
from settop.boot.kexec import Kexec
from settop.boot.machine import LinuxMachine, Machine
from settop.boot.systemdboot import SystemdBoot
from settop.boot.tryboot import TryBoot
from settop.boot.uboot import UBoot
from settop.store.choice import Source
from settop.store.disk import Disk, FolderDisk

__all__ = ["BACKENDS", "BackendOptions", "choose_backend", "probe_all"]


class BackendOptions(Frozen):
    """What the command line says: where the firmware's partition is mounted, and the command to run.

    A slot's own partition (tryboot) is mounted beside it: /boot/firmware, /boot/slot-a, /boot/slot-b.
    """

    folder: Path
    """The box's folder."""
    firmware: Path | None = None
    command: str | None = None

    def firmware_disk(self) -> Disk | None:
        """Return the firmware's partition; `OperatorError` if what is named is no folder."""
        if self.firmware is None:
            return None
        if not self.firmware.is_dir():
            raise OperatorError(f"--firmware {self.firmware} is no folder; mount the firmware's partition there")
        return FolderDisk(self.firmware)

    def slot_disks(self) -> dict[Source, Disk]:
        """Return the partitions of slots that are there."""
        if self.firmware is None:
            return {}
        folders = {source: self.firmware.parent / source.value for source in (Source.SLOT_A, Source.SLOT_B)}
        return {source: FolderDisk(folder) for source, folder in folders.items() if folder.is_dir()}


Make = Callable[[BackendOptions, Machine], Backend]

BACKENDS: dict[str, Make] = {
    "command": lambda options, machine: Command(machine, options.command, str(options.folder)),
    "tryboot": lambda options, machine: TryBoot(options.firmware_disk(), options.slot_disks(), machine),
    "uboot": lambda options, machine: UBoot(options.firmware_disk(), machine),
    "grub": lambda options, machine: Grub(options.firmware_disk(), machine),
    "systemd-boot": lambda options, machine: SystemdBoot(options.firmware_disk(), machine),
    "kexec": lambda options, machine: Kexec(machine),
}
"""In the order in which `auto` asks: what a person named first, what any kernel can do last."""


def probe_all(options: BackendOptions, machine: Machine) -> list[tuple[Backend, str | None]]:
    """Return each backend with why it can't serve here, or None."""
    backends = [make(options, machine) for make in BACKENDS.values()]
    return [(backend, backend.probe()) for backend in backends]


def choose_backend(name: str, options: BackendOptions, machine: Machine | None = None) -> Backend:
    """Return the backend of this name, or for `auto` the first that serves here; `OperatorError` says why none."""
    machine = machine or LinuxMachine()
    if name == "auto":
        found = probe_all(options, machine)
        for backend, why_not in found:
            if why_not is None:
                return backend
        reasons = "; ".join(f"{backend.name}: {why_not}" for backend, why_not in found)
        raise OperatorError(f"no way to boot was found here ({reasons})")
    if name not in BACKENDS:
        raise OperatorError(f"there is no backend {name!r}; there are auto, {', '.join(BACKENDS)}")
    backend = BACKENDS[name](options, machine)
    why_not = backend.probe()
    if why_not is not None:
        raise OperatorError(f"--backend {name} can't boot here: {why_not}")
    return backend
