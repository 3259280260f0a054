"""The image in a release file, without a carousel: for the EEPROM at `init`, and for flashing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carousel.flute.releasefile import Release


__all__ = ["image_of_release"]

_SYMBOLS_AT_ONCE = 1024


def image_of_release(release: "Release") -> Iterator[bytes]:
    """Yield the image that a release carries, piece by piece, from its source packets."""
    geometry = release.layout.objects[0]
    left = geometry.transfer_length
    for first in range(0, geometry.source_symbols, _SYMBOLS_AT_ONCE):
        count = min(_SYMBOLS_AT_ONCE, geometry.source_symbols - first)
        piece = release.source_symbols(first, count).tobytes()[:left]
        left -= len(piece)
        yield piece
