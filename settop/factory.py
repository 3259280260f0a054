"""Read a release file on the box's side: for the EEPROM image at `init`."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carousel.errors import FormatError, OperatorError
from carousel.release import Release

__all__ = ["image_of_release", "open_release"]

_SYMBOLS_AT_ONCE = 1024


@contextmanager
def open_release(path: Path) -> Iterator[Release]:
    """Map a release file; `OperatorError` if it is none."""
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            release = Release.parse(memoryview(mapped))
        except (ValueError, FormatError):
            raise OperatorError(f"{path} is no whole release file; `headend pack` makes one") from None
        yield release


def image_of_release(release: Release) -> Iterator[bytes]:
    """Yield the image that a release carries, piece by piece, from its source packets."""
    geometry = release.layout.objects[0]
    left = geometry.transfer_length
    for first in range(0, geometry.source_symbols, _SYMBOLS_AT_ONCE):
        count = min(_SYMBOLS_AT_ONCE, geometry.source_symbols - first)
        piece = release.source_symbols(first, count).tobytes()[:left]
        left -= len(piece)
        yield piece
