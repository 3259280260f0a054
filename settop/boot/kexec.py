"""kexec: the receiver starts the image itself, without a loader and without a restart.

The receiver runs at every power-on, verifies the image and starts it: nothing is committed, and the tries are
counted in the record. For QEMU, x86 and boards that bear it; it is reported to hang on a Pi 4 and 5.
"""

from typing import ClassVar, NoReturn

from carousel.errors import FormatError, OperatorError
from carousel.uki import Uki, parse_uki
from settop.boot.backend import LoaderState, SlotImage
from settop.boot.firmwarefiles import check_machine, source_of
from settop.boot.machine import Machine, read_text
from settop.store.choice import Source

__all__ = ["Kexec", "booted_by_command_line", "slot_words"]

_SCRATCH = "/run/bootcast"
_COMMAND_LINE = "/proc/cmdline"
_SLOT_KEY = "bootcast.slot="
_IMAGE_KEY = "bootcast.image="


def slot_words(source: Source, image: SlotImage) -> str:
    """Return the words of a kernel's command line that say which slot it is, and which image."""
    return f"{_SLOT_KEY}{source.value} {_IMAGE_KEY}{image.header.image_sha256[:8].hex()}"


def booted_by_command_line(machine: Machine) -> Source | None:
    """Return the slot that the running kernel's command line names."""
    words = read_text(machine, _COMMAND_LINE).split()
    return next((source_of(word.removeprefix(_SLOT_KEY)) for word in words if word.startswith(_SLOT_KEY)), None)


class Kexec:
    """Start an image from the running kernel, by kexec-tools."""

    name: ClassVar[str] = "kexec"
    counts: ClassVar[bool] = False
    keeps_default: ClassVar[bool] = False

    def __init__(self, machine: Machine, scratch: str = _SCRATCH) -> None:
        self._machine = machine
        self._scratch = scratch

    def probe(self) -> str | None:
        """It serves where the kernel can kexec and kexec-tools are there."""
        if self._machine.read("/sys/kernel/kexec_loaded") is None:
            return "this kernel has no kexec (CONFIG_KEXEC)"
        if self._machine.find("kexec") is None:
            return "there is no program kexec (Debian: kexec-tools)"
        return None

    def booted(self) -> Source | None:
        """The slot on the kernel's command line."""
        return booted_by_command_line(self._machine)

    def holds(self, source: Source, image: SlotImage) -> bool:
        """Compare with what the running kernel's command line says of its image."""
        return slot_words(source, image) in read_text(self._machine, _COMMAND_LINE)

    def place(self, source: Source, image: SlotImage) -> None:
        """It is read from the store; only see that it can be taken apart: a UKI, for this machine."""
        self._parts(image)

    def arm(self, source: Source, image: SlotImage, tries: int) -> None:
        """Load the kernel, initrd and command line of the UKI."""
        uki = self._parts(image)
        kernel, initrd = f"{self._scratch}/linux", f"{self._scratch}/initrd"
        self._machine.run(["mkdir", "-p", self._scratch])
        self._machine.write(kernel, bytes(uki.linux))
        command_line = f"{uki.command_line} {slot_words(source, image)}".strip()
        # -i: without it, arm64's purgatory hashes the kernel with its caches off, for half a minute
        words = ["kexec", "-l", "-i", kernel, f"--command-line={command_line}"]
        if uki.initrd:
            self._machine.write(initrd, bytes(uki.initrd))
            words.insert(4, f"--initrd={initrd}")
        if self._machine.run(words) != 0:
            raise OperatorError("kexec does not load the image's kernel; what it says stands above")

    def start(self, source: Source, image: SlotImage) -> NoReturn:
        """Jump into what is loaded."""
        self._machine.jump()

    def commit(self, source: Source | None) -> None:
        """Nothing: the record says it, and the receiver reads the record."""

    def forget(self, source: Source) -> None:
        """Nothing, likewise."""

    def state(self) -> LoaderState:
        """Tell that the record decides."""
        return LoaderState("kexec: the receiver runs at each power-on and does what the record says")

    def _parts(self, image: SlotImage) -> Uki:
        try:
            uki = parse_uki(image.read())
        except FormatError as error:
            raise OperatorError(
                f"{image.name} is no unified kernel image ({error.reason}), which kexec takes apart; "
                f"make one with `headend pack --uki`"
            ) from None
        check_machine(image, self._machine, uki.machine)
        return uki
