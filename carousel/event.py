"""What a box, a carousel and the flasher tell have in common; each declares its own."""

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `event` is its name in JSON, its fields are the fields there."""

    event: ClassVar[str] = ""
