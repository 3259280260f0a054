"""Where a carousel's wheels stand, in a mapped file: whoever takes the carousel on after a kill goes on from there.

A kill can't tear a note: it is one copy to a page that is the file's. What a power cut leaves is checked, and a wrong
place costs nothing but the order of one cycle.
"""

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.records import Bytes, Number, Record
from carousel.release.identity import RELEASE_ID_BYTES
from headend.cast.broadcaster import Broadcaster, Place

__all__ = ["MAX_PLACES", "PlaceFile"]

PlaceFormat = Record("<", release=Bytes(RELEASE_ID_BYTES), cycle=Number(4), packet=Number(8), crc=Number(4))
MAX_PLACES = 16


class PlaceFile:
    """The place file of one carousel."""

    def __init__(self, path: Path) -> None:
        size = MAX_PLACES * PlaceFormat.sizeof()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    def note(self, places: Sequence[Place]) -> None:
        """Write where the wheels are."""
        raw = b"".join(_record(place) for place in places[:MAX_PLACES])
        self._map[:] = raw.ljust(len(self._map), b"\0")

    def read(self) -> dict[bytes, tuple[int, int]]:
        """Return (cycle, packet) by the releases' IDs."""
        size, found = PlaceFormat.sizeof(), {}
        for start in range(0, len(self._map), size):
            raw = self._map[start : start + size]
            try:
                fields = PlaceFormat.parse(raw)
            except FormatError:
                continue
            if fields.crc == crc32(raw[:-4]) and any(fields.release):
                found[fields.release] = fields.cycle, fields.packet
        return found

    def resume(self, broadcaster: Broadcaster) -> None:
        """Let a carousel that begins go on from what was noted."""
        noted = self.read()
        for place in broadcaster.places:
            cycle, packet = noted.get(place.release.header.release_id.digest, (0, 0))
            if (cycle or packet) and packet < place.release.image_packets:
                broadcaster.seek(place.release, packet, cycle)

    def close(self) -> None:
        """Unmap it."""
        self._map.close()


def _record(place: Place) -> bytes:
    fields = {"release": place.release.header.release_id.digest, "cycle": place.cycle % 2**32, "packet": place.packet}
    body: bytes = PlaceFormat.build(fields | {"crc": 0})[:-4]
    return body + crc32(body).to_bytes(4, "little")
