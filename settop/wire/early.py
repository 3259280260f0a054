"""Symbols heard before their release was announced: kept, bounded, and given back when the header comes."""

__all__ = ["EarlySymbols"]

MAX_BYTES = 4 << 20
MAX_BASES = 8


class EarlySymbols:
    """Packets by TOI base. The first 4 MiB and the first 8 bases win: nobody can push out what is kept."""

    def __init__(self) -> None:
        self._packets: dict[int, list[bytes]] = {}
        self._bytes = 0

    def keep(self, base: int, packet: bytes) -> bool:
        """Keep a packet if there is room; say whether it was kept."""
        if self._bytes + len(packet) > MAX_BYTES:
            return False
        if base not in self._packets and len(self._packets) >= MAX_BASES:
            return False
        self._packets.setdefault(base, []).append(packet)
        self._bytes += len(packet)
        return True

    def release(self, base: int) -> list[bytes]:
        """Return what was kept of a base, and forget it."""
        packets = self._packets.pop(base, [])
        self._bytes -= sum(map(len, packets))
        return packets
