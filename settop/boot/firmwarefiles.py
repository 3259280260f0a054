"""Files on the partition that the firmware reads: placed images, and two environment files that take turns.

FAT knows no atomic writes, and neither do loaders: an environment is written to the older of two files, with the
next sequence number and a check over all of it. A torn one fails its check, and the state before it holds. An
image is written where no environment points.
"""

import hashlib
from collections.abc import Iterable
from typing import ClassVar, NoReturn

from carousel.errors import FormatError, OperatorError, explain_os_error
from carousel.frozen import Frozen
from carousel.uki import MACHINES, parse_pe
from settop.boot.backend import LoaderState, SlotImage, placed_name
from settop.boot.machine import Machine, read_text
from settop.store.choice import Source
from settop.store.disk import Disk

__all__ = [
    "Environment",
    "EnvironmentBackend",
    "check_machine",
    "is_placed",
    "place_bytes",
    "place_program",
    "source_of",
]

RECEIVER = "receiver"


class Environment(Frozen):
    """What an environment file says; `default` and `armed` None: the receiver, nothing."""

    sequence: int = 0
    default: Source | None = None
    armed: Source | None = None
    tries_left: int = 0

    def texts(self) -> dict[str, str]:
        """Return the values as loaders have them: words."""
        default = self.default.value if self.default else RECEIVER
        return {"default": default, "slot": self.armed.value if self.armed else "none"}


def source_of(word: str) -> Source | None:
    """Return the source that a loader's word names, or None."""
    return next((source for source in Source if source.value == word), None)


def _measure(disk: Disk, name: str) -> tuple[int, bytes]:
    size, sha256 = 0, hashlib.sha256()
    for chunk in disk.chunks(name):
        size += len(chunk)
        sha256.update(chunk)
    return size, sha256.digest()


def is_placed(disk: Disk, name: str, image: SlotImage) -> bool:
    """Tell whether an image lies on the firmware's partition, whole."""
    return _measure(disk, name) == (image.header.image_size, image.header.image_sha256)


def check_machine(image: SlotImage, machine: Machine, number: int) -> None:
    """Raise `OperatorError` if a PE file's processor is not this machine's."""
    here = read_text(machine, "/proc/sys/kernel/arch")
    if here and MACHINES.get(here, number) != number:
        raise OperatorError(f"{image.name} holds a kernel for another processor than this machine's ({here})")


def place_program(disk: Disk, image: SlotImage, source: Source, machine: Machine, loader: str) -> None:
    """Write an image to the firmware's partition, as the program that the loader starts, and read it back.

    What is no EFI program for this machine is refused: not every loader comes back from one that it can't start.
    """
    try:
        check_machine(image, machine, parse_pe(image.read()).machine)
    except FormatError as error:
        raise OperatorError(
            f"{image.name} is no EFI program ({error.reason}), which {loader} starts; "
            f"make one with `headend pack --uki`"
        ) from None
    name = placed_name(source)
    _write(disk, name, image.chunks())
    if not is_placed(disk, name, image):
        raise OperatorError(
            f"{name} does not read back from the firmware's partition as it was written: check the card"
        )


def place_bytes(disk: Disk, name: str, content: bytes) -> None:
    """The same for a part of an image."""
    wanted = len(content), hashlib.sha256(content).digest()
    if _measure(disk, name) == wanted:
        return
    _write(disk, name, (content,))
    if _measure(disk, name) != wanted:
        raise OperatorError(
            f"{name} does not read back from the firmware's partition as it was written: check the card"
        )


def _write(disk: Disk, name: str, chunks: Iterable[bytes]) -> None:
    try:
        disk.remove(name)
        offset = 0
        for chunk in chunks:
            disk.write(name, offset, chunk)
            offset += len(chunk)
        disk.sync(name)
        disk.sync_names()
    except OSError as error:
        raise OperatorError(f"the firmware's partition does not take {name}: {explain_os_error(error)}") from None


class EnvironmentBackend:
    """A loader with a script that reads two environment files and counts tries down in them (U-Boot, GRUB)."""

    name: ClassVar[str]
    counts: ClassVar[bool] = True
    keeps_default: ClassVar[bool] = True
    files: ClassVar[tuple[str, str]]
    script: ClassVar[str]
    """The loader's script, of which the card is known even where both environments are lost."""

    def __init__(self, disk: Disk | None, machine: Machine) -> None:
        self._firmware = disk
        self._machine = machine

    @property
    def _disk(self) -> Disk:
        if self._firmware is None:
            raise OperatorError(
                f"--backend {self.name} needs the firmware's partition: name its folder with --firmware"
            )
        return self._firmware

    @staticmethod
    def encode(environment: Environment) -> bytes:
        """Return an environment file."""
        raise NotImplementedError

    @staticmethod
    def decode(raw: bytes) -> Environment | None:
        """Read an environment file; None if it is torn or none of ours."""
        raise NotImplementedError

    def probe(self) -> str | None:
        """It serves where its script or its environment files lie."""
        if self._firmware is None:
            return "no folder of the firmware's partition is named (--firmware)"
        if all(self._firmware.read(name) is None for name in (*self.files, self.script)):
            return f"neither {self.script} nor {self.files[0]} is on the firmware's partition"
        return None

    def holds(self, source: Source, image: SlotImage) -> bool:
        """Compare the file on the partition."""
        return is_placed(self._disk, placed_name(source), image)

    def place(self, source: Source, image: SlotImage) -> None:
        """Write the image beside the others; nothing may point at it meanwhile."""
        if self.holds(source, image):
            return
        self.forget(source)
        place_program(self._disk, image, source, self._machine, self.name)

    def arm(self, source: Source, image: SlotImage, tries: int) -> None:
        """The loader starts it at the next `tries` boots, then its default again."""
        self._change(armed=source, tries_left=tries)

    def start(self, source: Source, image: SlotImage) -> NoReturn:
        """Restart; the loader does what is armed."""
        self._machine.restart()

    def commit(self, source: Source | None) -> None:
        """Make it the default, disarm."""
        self._change(default=source, armed=None, tries_left=0)

    def forget(self, source: Source) -> None:
        """Neither armed nor the default any more."""
        now = self.environment()
        if now.armed is source:
            self._change(armed=None, tries_left=0)
        if now.default is source:
            self._change(default=None)

    def state(self) -> LoaderState:
        """Return what the newer whole file says."""
        now = self.environment()
        armed = f", {now.texts()['slot']} armed for {now.tries_left}" if now.tries_left else ""
        raw = f"{self.name}: default {now.texts()['default']}{armed} (environment {now.sequence})"
        return LoaderState(raw, now.default, now.armed, now.tries_left)

    def environment(self) -> Environment:
        """Return the newer whole environment; where there is none, that of a new card."""
        found = [environment for _, environment in self._read() if environment is not None]
        return max(found, key=lambda environment: environment.sequence, default=Environment())

    def _read(self) -> list[tuple[str, Environment | None]]:
        return [(name, self.decode(self._disk.read(name) or b"")) for name in self.files]

    def _change(self, **fields: object) -> None:
        now = self.environment()
        changed = now.but(**fields)
        if changed == now and all(environment is not None for _, environment in self._read()):
            return
        both = self._read()
        older = min(both, key=lambda item: -1 if item[1] is None else item[1].sequence)[0]
        raw = self.encode(changed.but(sequence=now.sequence + 1))
        try:
            if len(self._disk.read(older) or raw) != len(raw):
                self._disk.remove(older)
            self._disk.write(older, 0, raw)
            self._disk.sync(older)
            self._disk.sync_names()
        except OSError as error:
            raise OperatorError(f"the firmware's partition does not take {older}: {explain_os_error(error)}") from None
        if self._disk.read(older) != raw:
            raise OperatorError(f"{older} does not read back as it was written: check the card")
