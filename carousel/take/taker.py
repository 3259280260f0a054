"""One interface for the take, and the best implementation that this machine has."""

from collections.abc import Iterable
from functools import cache
from typing import Protocol

from carousel.buffers import Buffer, IntArray
from carousel.native import core, why_not
from carousel.take.fallback import NumpyTaker
from carousel.take.landing import Piece, Taken, Targets
from carousel.take.native import NativeTaker

__all__ = ["Taker", "take", "taker"]


class Taker(Protocol):
    """Takes the symbols out of batches; all takers do exactly the same, packet after packet.

    Of each packet: which target's prefix does it have (else it is unmatched, as is one whose length is not 28 + T);
    has the object this SBN and ESI (`out_of_range`); does the block want more (`ignored`); is the symbol held
    (`duplicates`); is there a slot for a repair symbol (`no_room`); is the CRC-32 right (`corrupt`). Then the symbol is
    copied to its row and counted. What costs nothing comes first: a duplicate is never read.
    """

    @property
    def name(self) -> str:
        """`native` or `numpy`."""

    def take(self, targets: Targets, buffer: Buffer, pieces: Iterable[Piece] | IntArray) -> Taken:
        """Take the packets of all these pieces of the buffer; `ValueError` where a piece lies outside of it.

        Pieces may come as an array (n, 3) of (offset, stride, size).
        """


@cache
def taker(name: str | None = None) -> Taker:
    """Return the taker of this name, or the best that there is."""
    loaded = core()
    if name == "numpy" or (name is None and loaded is None):
        return NumpyTaker()
    if name in {None, "native"} and loaded is not None:
        return NativeTaker(loaded)
    raise ValueError(f"there is no taker {name}: {why_not() or 'there are native and numpy'}")


def take(targets: Targets, buffer: Buffer, stride: int, count: int) -> Taken:
    """Take one batch of `count` packets of `stride` bytes with the best taker."""
    return taker().take(targets, buffer, [Piece(0, stride, stride * count)])
