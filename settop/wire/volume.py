"""Which releases are heard most: what is on the air in earnest has volume, a forged header has none."""

__all__ = ["MAX_COUNTED", "HeardVolume"]

MAX_COUNTED = 32
HALF_LIFE_S = 4.0


class HeardVolume:
    """Packets heard of each release lately, by any number that stands for it: a TOI base, a module group.

    Space-Saving (Metwally et al., 2005) over 32 counters: who has more than a 32nd of all packets is among them, and no
    count is too small. So memory is bounded, and a flood of releases with a packet each can't push out one with many.
    Counts halve every 4 s: what was heard an hour ago says nothing of now.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._halved_s: float | None = None

    def add(self, number: int, packets: int, now: float) -> None:
        """Count packets; where there are too many numbers, the least heard one makes room."""
        self._age(now)
        if number not in self._counts and len(self._counts) >= MAX_COUNTED:
            least = min(self._counts, key=self._counts.__getitem__)
            packets += self._counts.pop(least)
        self._counts[number] = self._counts.get(number, 0) + packets

    def of(self, number: int) -> int:
        """Return what was heard of a number: 0 if nothing, or too little to know."""
        return self._counts.get(number, 0)

    def _age(self, now: float) -> None:
        if self._halved_s is None:
            self._halved_s = now
        elif now - self._halved_s >= HALF_LIFE_S:
            self._halved_s = now
            self._counts = {number: count // 2 for number, count in self._counts.items()}
