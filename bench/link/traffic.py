"""What travels: a batch of packets on its way to some links at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoolMatrix", "Counts", "FloatMatrix", "Traffic"]

FloatMatrix = NDArray[np.float64]
BoolMatrix = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass
class Traffic:
    """n packets towards L links of one class. Impairments change `copies`, `due_s` and `corrupt_bit`.

    `arrival_s` (n,) when each came, not falling; `size_bytes` (n,); `copies` (n, L): 0 lost, 2 duplicated;
    `due_s` (n, L) when it shall leave; `corrupt_bit` (n, L): which bit is to be flipped, -1 none.
    """

    arrival_s: FloatMatrix
    size_bytes: Counts
    copies: NDArray[np.uint8]
    due_s: FloatMatrix
    corrupt_bit: Counts

    @classmethod
    def arriving(cls, arrival_s: FloatMatrix, size_bytes: Counts, links: int) -> "Traffic":
        """Return untouched traffic towards so many links."""
        shape = (len(arrival_s), links)
        due_s = np.repeat(arrival_s[:, None], links, axis=1)
        return cls(arrival_s, size_bytes, np.ones(shape, np.uint8), due_s, np.full(shape, -1, np.int64))

    def behind_trunk(self, links: int) -> "Traffic":
        """Return the traffic of one trunk as it reaches the links behind it: what it lost, all of them lost."""
        return Traffic(
            self.arrival_s,
            self.size_bytes,
            np.repeat(self.copies, links, axis=1),
            np.repeat(self.due_s, links, axis=1),
            np.repeat(self.corrupt_bit, links, axis=1),
        )

    @property
    def links(self) -> int:
        """How many links this goes to."""
        return int(self.copies.shape[1])
