"""Drop received packets at random: a lossy link inside the box, for demonstrations and measurements."""

import numpy as np

from carousel.batch import Batch

__all__ = ["TestLoss"]


class TestLoss:
    """Drops each packet with probability `loss`, reproducibly from a seed."""

    def __init__(self, loss: float, seed: int) -> None:
        self._loss = loss
        self._rng = np.random.default_rng(seed)

    def thin(self, batch: Batch) -> Batch | None:
        """Return what is left of a batch, or None."""
        kept = np.flatnonzero(self._rng.random(batch.count) >= self._loss)
        if len(kept) == batch.count:
            return batch
        if not len(kept):
            return None
        return Batch(batch.as_rows()[kept].data.cast("B"), batch.stride, len(kept))
