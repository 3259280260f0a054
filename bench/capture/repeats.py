"""When each symbol of an object came last: arrays by block and symbol, so a gigabit a second can be followed."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SYMBOLS_SEEN", "Repeats"]

MAX_SYMBOLS_SEEN = 4_000_000
"""Of one object: 48 MB. What lies beyond is counted, but not followed."""
MAX_REPEATS = 100_000
_NEVER = -1


class Repeats:
    """Which symbols were seen, and after how long they came again.

    `last_s` and `last_packet` have the shape (blocks, symbols), grown in powers of two to what is on the air.
    """

    def __init__(self) -> None:
        self.distinct = 0
        self.packets = 0
        self.unfollowed = 0
        self._last_s = np.zeros((1, 64))
        self._last_packet = np.full((1, 64), _NEVER, dtype=np.int32)
        self._gaps_s: list[float] = []
        self._gaps_packets: list[int] = []

    def take(self, sbn: NDArray[np.int64], esi: NDArray[np.int64], now_s: float, room: int = MAX_SYMBOLS_SEEN) -> None:
        """Count packets, in order, that came at this time; arrays may hold `room` symbols at most."""
        numbers = np.arange(self.packets, self.packets + len(sbn), dtype=np.int32)
        self.packets += len(sbn)
        self._grow(int(sbn.max()) + 1, int(esi.max()) + 1, min(room, MAX_SYMBOLS_SEEN))
        blocks, symbols = self._last_s.shape
        inside = (sbn < blocks) & (esi < symbols)
        if not inside.all():
            self.unfollowed += int(np.count_nonzero(~inside))
            sbn, esi, numbers = sbn[inside], esi[inside], numbers[inside]
        flat = sbn * symbols + esi
        self._note(flat, numbers, now_s)

    def _note(self, flat: NDArray[np.int64], numbers: NDArray[np.int32], now_s: float) -> None:
        last_s, last_packet = self._last_s.reshape(-1), self._last_packet.reshape(-1)
        before = last_packet[flat]
        again = before != _NEVER
        if again.any() and len(self._gaps_s) < MAX_REPEATS:
            self._gaps_s += (now_s - last_s[flat[again]]).tolist()
            self._gaps_packets += (numbers[again] - before[again]).tolist()
        self.distinct += len(np.unique(flat[~again]))
        last_s[flat] = now_s
        last_packet[flat] = numbers

    def _grow(self, blocks: int, symbols: int, room: int) -> None:
        had_blocks, had_symbols = self._last_s.shape
        if blocks <= had_blocks and symbols <= had_symbols:
            return
        shape = _power_of_two(max(had_blocks, blocks)), _power_of_two(max(had_symbols, symbols))
        if shape[0] * shape[1] > room:
            return
        last_s, last_packet = np.zeros(shape), np.full(shape, _NEVER, dtype=np.int32)
        last_s[:had_blocks, :had_symbols], last_packet[:had_blocks, :had_symbols] = self._last_s, self._last_packet
        self._last_s, self._last_packet = last_s, last_packet

    @property
    def size(self) -> int:
        """How many symbols the arrays have room for."""
        return self._last_s.size

    @property
    def cycle(self) -> tuple[float, int] | None:
        """The median time and number of the object's packets from a symbol to the same one again; None: not yet."""
        if not self._gaps_s:
            return None
        return float(np.median(self._gaps_s)), int(np.median(self._gaps_packets))


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
