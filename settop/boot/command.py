"""A command of the user's starts the image: `--command 'kexec -l {image} --reuse-cmdline'`, a script, anything."""

import shlex
from string import Formatter
from typing import ClassVar

from carousel.errors import UsageError
from settop.boot.backend import LoaderState, SlotImage
from settop.boot.kexec import booted_by_command_line
from settop.boot.machine import Machine
from settop.store.choice import Source

__all__ = ["Command", "words_of"]


FIELDS = {"image", "version", "slot"}


def words_of(template: str) -> list[str]:
    """Split a command into words; `UsageError` if they can't be filled in, or there are none."""
    try:
        words = shlex.split(template)
        found = [field for word in words for field in Formatter().parse(word)]
    except ValueError:
        raise UsageError(f"{template!r} is no command: check quotes and braces") from None
    if not words:
        raise UsageError(f"{template!r} is no command")
    for _, name, spec, how in found:
        if name is not None and (name not in FIELDS or spec or how):
            typed = f"{{{name}{'!' + how if how else ''}{':' + spec if spec else ''}}}"
            raise UsageError(f"{template!r} has {typed}: what is filled in is {{image}}, {{version}} or {{slot}}")
    return words


class Command:
    """Run words with {image}, {version} and {slot} filled in."""

    name: ClassVar[str] = "command"
    counts: ClassVar[bool] = False
    keeps_default: ClassVar[bool] = False

    def __init__(self, machine: Machine, template: str | None, folder: str) -> None:
        self._machine = machine
        self._template = template or ""
        self._folder = folder

    def probe(self) -> str | None:
        """It serves where a command is given."""
        return None if self._template else "no --command is given"

    def booted(self) -> Source | None:
        """What the kernel's command line says, if the command put it there."""
        return booted_by_command_line(self._machine)

    def holds(self, source: Source, image: SlotImage) -> bool:
        """It can't be told: a command starts what it starts."""
        return True

    def place(self, source: Source, image: SlotImage) -> None:
        """Nothing: the command reads the store."""

    def arm(self, source: Source, image: SlotImage, tries: int) -> None:
        """Nothing: the record counts."""

    def start(self, source: Source, image: SlotImage) -> int:
        """Run it; return its exit code."""
        fields = {
            "image": f"{self._folder}/{image.name}",
            "version": str(image.header.version),
            "slot": source.value,
        }
        return self._machine.run([word.format(**fields) for word in words_of(self._template)])

    def commit(self, source: Source | None) -> None:
        """Nothing: the record says it."""

    def forget(self, source: Source) -> None:
        """Nothing, likewise."""

    def state(self) -> LoaderState:
        """Tell what would be run."""
        return LoaderState(f"command: {self._template}")
