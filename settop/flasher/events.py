"""What happens while a board is flashed, as values: the same from the flasher to the terminal and JSON.

`event` is its name in JSON, its fields are the fields there, in this order (docs/board.md).
"""

from typing import ClassVar

from construct import Container

from carousel.event import Event
from carousel.frozen import Frozen
from settop.flasher.frames import Place

__all__ = [
    "AlreadyThere",
    "Banner",
    "Baud",
    "Begun",
    "BoardState",
    "Connected",
    "Connecting",
    "Event",
    "Flashed",
    "Held",
    "Note",
    "Progress",
    "Resetting",
    "Resuming",
    "Sent",
    "Stalled",
]


class Connecting(Event):
    """The board's loader is looked for."""

    event: ClassVar[str] = "connecting"


class Resetting(Event):
    """Nobody answers: a line that may reset the board is pulled."""

    event: ClassVar[str] = "resetting"
    line: str


class Connected(Event):
    """The loader has announced itself."""

    event: ClassVar[str] = "connected"
    hardware: str
    stub: int


class Baud(Event):
    """Both ends speak faster from now on."""

    event: ClassVar[str] = "baud"
    baud: int


class BoardState(Event):
    """What a board holds: its announcement, and by place what it says of that (a failure, a header).

    In JSON, what settop/flasher/report.py makes of it; for a person, a table.
    """

    event: ClassVar[str] = "state"
    board: Container
    places: dict[Place, tuple[int, bytes]]


class Held(Event):
    """The board has it already: nothing is written."""

    event: ClassVar[str] = "held"
    place: Place
    version: str


class Begun(Event):
    """A transfer begins."""

    event: ClassVar[str] = "begun"
    place: Place
    size_bytes: int


class AlreadyThere(Event):
    """What an earlier transfer left is not sent again."""

    event: ClassVar[str] = "already_there"
    held_bytes: int
    left_bytes: int


class Progress(Event):
    """How far a transfer is."""

    event: ClassVar[str] = "progress"
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float


class Stalled(Event):
    """Nothing has moved for a while."""

    event: ClassVar[str] = "stalled"
    silent_s: float


class Resuming(Event):
    """The line broke, or the board was reset: it goes on from what the flash holds."""

    event: ClassVar[str] = "resuming"
    reason: str


class Sent(Frozen):
    """A transfer that is done and was read back."""

    size_bytes: int
    written_bytes: int
    held_bytes: int
    elapsed_s: float
    bytes_per_s: int
    sha256: str


class Flashed(Event):
    """It is in its place, and reads back right."""

    event: ClassVar[str] = "flashed"
    place: Place
    version: str
    sent: Sent
    """In JSON its fields stand beside the others."""


class Note(Event):
    """Something that a user should know, in a sentence."""

    event: ClassVar[str] = "note"
    text: str


class Banner(Event):
    """What the board said when it booted."""

    event: ClassVar[str] = "banner"
    text: str
