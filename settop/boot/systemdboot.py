"""systemd-boot: one-shot and default entries by EFI variables (the Boot Loader Interface of systemd).

LoaderEntryOneShot starts an entry once, which systemd-boot deletes as it reads it; LoaderEntryDefault is where it
goes otherwise, the receiver's entry where it is not set. Tries are counted in our own record: systemd-boot's boot
counting renames files on FAT and was broken in several releases. Variables: u32 attributes, then UTF-16 with a NUL.
"""

from typing import ClassVar, NoReturn

from carousel.errors import OperatorError, explain_os_error
from settop.boot.backend import LoaderState, SlotImage, placed_name
from settop.boot.firmwarefiles import is_placed, place_program, source_of
from settop.boot.machine import EFIVARS, Machine
from settop.store.choice import Source
from settop.store.disk import Disk

__all__ = ["LOADER_GUID", "SystemdBoot", "efi_text", "loader_variable"]

LOADER_GUID = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_ATTRIBUTES = (7).to_bytes(4, "little")  # non-volatile, boot-service and run-time access


def efi_text(raw: bytes) -> str:
    """Return the text of an EFI variable's file."""
    return raw[4:].decode("utf-16-le", "replace").split("\0")[0]


def loader_variable(machine: Machine, name: str) -> str:
    """Return what a variable of the Boot Loader Interface says; empty where it is not set."""
    raw = machine.read(_path(name))
    return efi_text(raw) if raw else ""


def _path(name: str) -> str:
    return f"{EFIVARS}/{name}-{LOADER_GUID}"


class SystemdBoot:
    """systemd-boot with an entry for each source (loader/entries/slot-a.conf …)."""

    name: ClassVar[str] = "systemd-boot"
    counts: ClassVar[bool] = False
    keeps_default: ClassVar[bool] = True

    def __init__(self, disk: Disk | None, machine: Machine) -> None:
        self._firmware = disk
        self._machine = machine

    @property
    def _disk(self) -> Disk:
        if self._firmware is None:
            raise OperatorError(
                "--backend systemd-boot needs the EFI system partition: name its folder with --firmware"
            )
        return self._firmware

    def probe(self) -> str | None:
        """It serves where systemd-boot says that it started this system."""
        if not self._variable("LoaderInfo").startswith("systemd-boot"):
            return "this system was not started by systemd-boot (no EFI variable LoaderInfo; is efivarfs mounted?)"
        return "no folder of the EFI system partition is named (--firmware)" if self._firmware is None else None

    def booted(self) -> Source | None:
        """The entry that systemd-boot says it chose."""
        return source_of(self._variable("LoaderEntrySelected").removesuffix(".conf"))

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
        """The next boot, once."""
        self._set("LoaderEntryOneShot", f"{source.value}.conf")

    def start(self, source: Source, image: SlotImage) -> NoReturn:
        """Restart; systemd-boot does what is armed."""
        self._machine.restart()

    def commit(self, source: Source | None) -> None:
        """Make it the default entry, disarm."""
        self._set("LoaderEntryDefault", f"{source.value if source else 'receiver'}.conf")
        self._set("LoaderEntryOneShot", "")

    def forget(self, source: Source) -> None:
        """Neither armed nor the default any more."""
        state = self.state()
        if state.armed is source:
            self._set("LoaderEntryOneShot", "")
        if state.default is source:
            self._set("LoaderEntryDefault", "receiver.conf")

    def state(self) -> LoaderState:
        """Return what the variables say."""
        default = self._variable("LoaderEntryDefault") or "receiver.conf"
        armed = source_of(self._variable("LoaderEntryOneShot").removesuffix(".conf"))
        raw = f"systemd-boot: default {default}" + (f", {armed.value}.conf once" if armed else "")
        return LoaderState(raw, source_of(default.removesuffix(".conf")), armed, 1 if armed else 0)

    def _variable(self, name: str) -> str:
        return loader_variable(self._machine, name)

    def _set(self, name: str, value: str) -> None:
        """Set a variable; setting it to nothing deletes it, as UEFI has it."""
        if self._variable(name) == value:
            return
        text = (value + "\0").encode("utf-16-le") if value else b""
        try:
            self._machine.write(_path(name), _ATTRIBUTES + text)
        except OSError as error:
            why = explain_os_error(error)
            raise OperatorError(
                f"the EFI variable {name} can't be set ({why}); is efivarfs mounted writable?"
            ) from None
        if self._variable(name) != value:
            raise OperatorError(f"the EFI variable {name} does not read back as it was set; the firmware may be full")
