"""How long a reader lets packets wait for more: a wake-up costs about the same for 4 packets and for 400.

So a box that has a second of listening before it sleeps some hundredths at a time, and takes at 50 Mb/s a fourth of the
wake-ups that it would take otherwise. The nearer the end, the shorter: no image is late for it.
"""

__all__ = ["Patience"]

USUAL_S = 0.005
"""While nothing is known about the end."""
LEAST_S = 0.001
SHARE_OF_REST = 1 / 8
"""Of the time that an image still needs, at the pace so far."""


class Patience:
    """`longest_s`: what the socket's buffer allows; 0 for a small one, which would overflow meanwhile."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._end_s: float | None = None
        self._began_s, self._before = 0.0, 0
        self._last = (0, 0)
        """Useful and needed: where they leap, it is another release, or much was dropped."""

    def expect(self, useful: int, needed: int, now: float) -> None:
        """Take note of how many of the symbols needed are here; the first call is where the pace is taken from."""
        before, wanted = self._last
        self._last = useful, needed
        if needed != wanted or useful < before:
            self._began_s, self._before, self._end_s = now, useful, None
            return
        pace = (useful - self._before) / (now - self._began_s) if now > self._began_s else 0.0
        self._end_s = now + (needed - useful) / pace if pace > 0 else None

    def gather_s(self, now: float) -> float:
        """Return how long to wait once packets are there."""
        if self._end_s is None:
            return min(USUAL_S, self._longest_s)
        return min(max(LEAST_S, SHARE_OF_REST * (self._end_s - now)), self._longest_s)
