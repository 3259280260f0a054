"""Drop received packets at random: a lossy link inside the box, for demonstrations and measurements."""

from collections.abc import Iterable

import numpy as np

from carousel.take import Piece

__all__ = ["TestLoss"]


class TestLoss:
    """Drops each packet with probability `loss`, reproducibly from a seed."""

    def __init__(self, loss: float, seed: int) -> None:
        self._loss = loss
        self._rng = np.random.default_rng(seed)

    def thin(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Return what is left of a wake-up's packets; they stay where they lie, and in their order."""
        left: list[Piece] = []
        for offset, stride, size in pieces:
            count = -(-size // stride)
            kept = self._rng.random(count) >= self._loss
            edges = np.flatnonzero(np.diff(kept, prepend=False, append=False)).tolist()
            for first, end in zip(edges[::2], edges[1::2], strict=True):
                left.append(Piece(offset + first * stride, stride, min(end * stride, size) - first * stride))
        return left
