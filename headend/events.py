"""What happens to a carousel, as values: the same from the driver to the terminal, JSON and the service.

`event` is its name in JSON, its fields are the fields there, in this order.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from carousel.event import Event
from carousel.flute.releasefile import Release
from carousel.frozen import Frozen

__all__ = [
    "Casting",
    "Decided",
    "Event",
    "Note",
    "OnAir",
    "Peer",
    "Status",
    "Stopped",
    "Swapped",
    "Tell",
    "Trouble",
    "TroubleOver",
    "fields_of",
]


Tell = Callable[[Event], None]


class OnAir(Frozen):
    """What tells a release that is cast from others."""

    name: str
    version: str
    hardware: str
    image_size: int
    toi_base: int

    @classmethod
    def of(cls, release: Release) -> Self:
        """Describe a release."""
        header = release.header
        return cls(header.name, str(header.version), str(header.hardware), header.image_size, release.toi_base)


class Casting(Event):
    """The carousel is on the air."""

    event: ClassVar[str] = "casting"
    group: str
    interface: str
    rate_bps: int
    gso: bool
    sendfile: bool
    """Packets go out from the page cache, uncopied."""
    paced_by: str
    """Who spaces them: a queue of the kernel's, or the head-end."""
    releases: tuple[OnAir, ...]


class Swapped(Event):
    """Other releases are on the air from now on: their files were replaced."""

    event: ClassVar[str] = "swapped"
    releases: tuple[OnAir, ...]


class Status(Event):
    """Where the carousel is, and what it did since the last one."""

    event: ClassVar[str] = "status"
    rate_bps: int
    packets: int
    cycle: int
    share: float
    sent_bytes: int
    errors: int
    announced_ago_s: float


class Peer(Event):
    """The other head-end on this group fell silent, or is back."""

    event: ClassVar[str] = "peer"
    alive: bool


class Decided(Event):
    """New decisions are on the air."""

    event: ClassVar[str] = "decided"
    epoch: int


class Trouble(Event):
    """Something keeps the carousel from what it should do; it goes on trying."""

    event: ClassVar[str] = "trouble"
    reason: str


class TroubleOver(Event):
    """The network takes packets again."""

    event: ClassVar[str] = "trouble_over"
    reason: str


class Note(Event):
    """Something that a user should know, in a sentence."""

    event: ClassVar[str] = "note"
    text: str


class Stopped(Event):
    """The carousel has ended."""

    event: ClassVar[str] = "stopped"
    cycles: int


def fields_of(event: Event) -> dict[str, Any]:
    """Return the fields as JSON has them, in order."""
    told = event.fields()
    if isinstance(event, Casting | Swapped):
        told["releases"] = [each.fields() for each in event.releases]
    return told
