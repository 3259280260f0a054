"""Symbols heard before their release was announced: kept, bounded, and given back when the header comes."""

from carousel.take import Piece
from settop.wire.volume import HeardVolume

__all__ = ["MAX_BYTES", "MAX_RELEASES", "EarlySymbols"]

MAX_BYTES = 4 << 20
MAX_RELEASES = 8
MORE = 2
"""Who is heard so many times as much pushes another out."""


class _Kept:
    def __init__(self) -> None:
        self.memory = bytearray()
        self.pieces: list[Piece] = []


class EarlySymbols:
    """Packets by a number that stands for their release (the TOI base): at most 4 MiB, of at most 8 releases.

    The first ones win while there is room. Then what is heard least makes room for what is heard much more, so that
    a flood of symbols of releases that do not exist can't keep out those of the one that does.
    """

    def __init__(self, volume: HeardVolume) -> None:
        self._volume = volume
        self._kept: dict[int, _Kept] = {}
        self._bytes = 0

    def keep(self, number: int, packet: memoryview) -> bool:
        """Keep a packet of a release, if there is room."""
        is_new = number not in self._kept
        if is_new and len(self._kept) >= MAX_RELEASES and not self._make_room(number):
            return False
        if self._bytes + len(packet) > MAX_BYTES and not self._make_room(number):
            return False
        if self._bytes + len(packet) > MAX_BYTES:
            return False
        if is_new:
            self._kept[number] = _Kept()
        kept = self._kept[number]
        kept.pieces.append(Piece(len(kept.memory), len(packet), len(packet)))
        kept.memory += packet
        self._bytes += len(packet)
        return True

    def release(self, number: int) -> tuple[bytearray, list[Piece]]:
        """Return what was kept of a release, and forget it."""
        kept = self._kept.pop(number, _Kept())
        self._bytes -= len(kept.memory)
        return kept.memory, kept.pieces

    def _make_room(self, newcomer: int) -> bool:
        """Forget the least heard release if the newcomer is heard much more."""
        others = [number for number in self._kept if number != newcomer]
        least = min(others, key=self._volume.of, default=None)
        if least is None or self._volume.of(newcomer) < MORE * max(1, self._volume.of(least)):
            return False
        self.release(least)
        return True
