"""The take of a batch: packets in, symbols at their places, in one call for all that a wake-up brought."""

from carousel.take.landing import CAME_AGAIN, HELD, KEPT_OFF, Landing, Piece, Taken, Target, Targets
from carousel.take.pages import populate
from carousel.take.taker import Taker, take, taker

__all__ = [
    "CAME_AGAIN",
    "HELD",
    "KEPT_OFF",
    "Landing",
    "Piece",
    "Taken",
    "Taker",
    "Target",
    "Targets",
    "populate",
    "take",
    "taker",
]
