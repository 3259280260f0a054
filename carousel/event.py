"""What a box, a carousel and the flasher tell have in common; each declares its own."""

from typing import ClassVar

from carousel.frozen import Frozen

__all__ = ["Event"]


class Event(Frozen):
    """Something that happened; `event` is its name in JSON, its fields are the fields there."""

    event: ClassVar[str] = ""
