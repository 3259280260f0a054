"""Where the receiver puts symbols: an interface, and the plain memory that tests and simulations use.

Rows are numbered through all objects of a release (`ReleaseLayout.first_rows`): row r lies at byte r * T, so
the image itself is what lies at byte 0.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from carousel.release.blocks import IntArray
from carousel.release.layout import ReleaseLayout

__all__ = ["MemorySymbols", "SymbolStore"]


class SymbolStore(Protocol):
    """The rows of one release. `resumed` says that rows may hold symbols of an earlier run, unproven."""

    resumed: bool

    def leftover_rows(self) -> IntArray:
        """Return the image rows that an earlier run seems to have written: no part of theirs is all zero."""

    def write_image(self, sbn: IntArray, esi: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols (n, of dtype V<T>) of the image where they belong."""

    def write_level(self, rows: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols of a digest level into the release's rows."""

    def view(self, first_row: int, count: int) -> NDArray[np.uint8]:
        """Return rows as an array (count, T); for the digest levels."""

    def flush_image(self, sbn: int) -> bool:
        """Make a block's symbols visible to who works on the store's bytes by other means; False: ask again soon."""


class MemorySymbols:
    """All rows in memory."""

    def __init__(self, layout: ReleaseLayout, resumed: bool = False) -> None:
        self.resumed = resumed
        self._image = layout.objects[0]
        self.rows = np.zeros((layout.rows, layout.symbol_size), dtype=np.uint8)
        self._as_void = self.rows.view(f"V{layout.symbol_size}")[:, 0]

    def leftover_rows(self) -> IntArray:
        """Return the rows that hold anything."""
        return np.flatnonzero(self.rows[: self._image.rows].any(axis=1))

    def write_image(self, sbn: IntArray, esi: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols where they belong."""
        self._as_void[self._image.row_of(sbn, esi)] = symbols

    def write_level(self, rows: IntArray, symbols: NDArray[np.void]) -> None:
        """Put symbols into rows."""
        self._as_void[rows] = symbols

    def view(self, first_row: int, count: int) -> NDArray[np.uint8]:
        """Return rows, not copied."""
        return self.rows[first_row : first_row + count]

    def flush_image(self, sbn: int) -> bool:
        """Do nothing: there is one view of this memory."""
        return True
