"""What a boot loader has to be able to do for us (design: boards.md, "Backends").

The state record stays the authority: a backend carries out what it says, and the flow (flow.py) brings a loader that
says something else back in line at every start. Order: place → record → arm → start; commit: the loader first.
"""

from collections.abc import Iterator
from typing import ClassVar, Protocol

from carousel.errors import OperatorError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from settop.store.choice import Source
from settop.store.disk import Disk

__all__ = ["Backend", "LoaderState", "SlotImage", "placed_name"]


class SlotImage(Frozen):
    """A verified image in the box's store."""

    disk: Disk
    name: str
    header: SignedHeader

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes."""
        return self.disk.chunks(self.name)

    def read(self) -> memoryview:
        """Return it whole, for what takes it apart; `OperatorError` if it is not there any more."""
        content = self.disk.read(self.name)
        if content is None:
            raise OperatorError(f"{self.name} is not in the store any more; run `settop boot` again")
        return memoryview(content)


class LoaderState(Frozen):
    """What a loader will do at the next power-on; `raw` is its own text, for people.

    `default` boots when nothing is armed (None: the receiver); `armed` boots first, `tries_left` times.
    """

    raw: str
    default: Source | None = None
    armed: Source | None = None
    tries_left: int = 0


class Backend(Protocol):
    """One boot loader, or none (kexec, a command)."""

    name: ClassVar[str]
    counts: ClassVar[bool]
    """Whether the loader counts the tries down itself; else the record does, before each start."""
    keeps_default: ClassVar[bool]
    """Whether it starts a confirmed slot by itself, without the receiver."""

    def probe(self) -> str | None:
        """Return why it can't serve here, in a sentence; None if it can."""

    def booted(self) -> Source | None:
        """Return what is running; None if that is the receiver, or can't be told."""

    def holds(self, source: Source, image: SlotImage) -> bool:
        """Tell whether what it would start, or has started, as this source is this very image."""

    def place(self, source: Source, image: SlotImage) -> None:
        """Bring an image to where the loader finds it: written, synced, read back. Nothing if it is there."""

    def arm(self, source: Source, image: SlotImage, tries: int) -> None:
        """Have it start at the next boot, or at the next `tries` boots where the loader counts."""

    def start(self, source: Source, image: SlotImage) -> int:
        """Start it, now: reboot or kexec, which does not return. A command's exit code does."""

    def commit(self, source: Source | None) -> None:
        """Start this slot at every power-on from now on; None: the receiver. Nothing stays armed."""

    def forget(self, source: Source) -> None:
        """Never start this slot again, unless it is placed and armed anew."""

    def state(self) -> LoaderState:
        """Return what the loader would do."""


def placed_name(source: Source) -> str:
    """Return the file name of a placed image, on the firmware's partition."""
    return f"{source.value}.efi"
