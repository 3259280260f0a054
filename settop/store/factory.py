"""The image in a release file, without a carousel: for the EEPROM at `init`, and for flashing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from carousel.console.files import open_release
from carousel.errors import FormatError, OperatorError

if TYPE_CHECKING:
    from carousel.flute.releasefile import Release


from carousel.release.header import SignedHeader

__all__ = ["image_of_release", "open_factory"]

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


@contextmanager
def open_factory(path: Path) -> Iterator[tuple[SignedHeader, Iterator[bytes]]]:
    """Give the header and the image of a release file, or of NAME.image with NAME.header beside it (on a card)."""
    if path.suffix != ".image":
        with open_release(path) as release:
            yield release.header, image_of_release(release)
        return
    try:
        header = SignedHeader.parse(path.with_suffix(".header").read_bytes())
    except FormatError as error:
        raise OperatorError(f"{path.with_suffix('.header')} is no signed header ({error.reason})") from None
    with path.open("rb") as file:
        yield header, iter(lambda: file.read(1 << 20), b"")
