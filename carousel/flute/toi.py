"""Which TOIs a release has: they follow from its signed header, so packets are rendered once and never collide.

| TOI         | object                                      |
|-------------|---------------------------------------------|
| 0           | the FDT Instance, for other FLUTE receivers |
| 1           | the bulletin, of no release                 |
| base + 0    | the image                                   |
| base + i    | digest level i                              |
| base + 7    | the signed header                           |

`base` is the first 4 bytes (big-endian) of the release ID with the low 3 bits cleared. No release has base 0.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from carousel.release.identity import ReleaseId

__all__ = ["BULLETIN_TOI", "FDT_TOI", "HEADER_TOI_OFFSET", "RESERVED_BASE", "base_of_toi", "header_toi", "toi_base"]

FDT_TOI = 0
BULLETIN_TOI = 1
RESERVED_BASE = 0
"""The FDT and the bulletin stand here."""
HEADER_TOI_OFFSET = 7

Toi = TypeVar("Toi", int, NDArray[np.int64])


def toi_base(release: ReleaseId) -> int:
    """Return the TOI of a release's image; the other objects follow it."""
    return base_of_toi(int.from_bytes(release.digest[:4], "big"))


def base_of_toi(toi: Toi) -> Toi:
    """Return the base that an object's TOI, or each of an array of them, belongs to."""
    return toi & ~7


def header_toi(release: ReleaseId) -> int:
    """Return the TOI of the signed header's packet."""
    return toi_base(release) + HEADER_TOI_OFFSET
