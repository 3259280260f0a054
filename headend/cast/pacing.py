"""When to send: pacers that keep a rate to well under 1 % without bursts of more than about 1 ms.

A process pays tens of microseconds for each time it wakes up, whatever it does then: `LeadPacer` wakes up seldom,
where the kernel spaces the packets.
"""

__all__ = ["BURST_S", "LeadPacer", "Pacer", "packets_per_burst"]

BURST_S = 1e-3
"""Slow links and shallow switch buffers survive a burst of this length at the carousel's rate."""

MAX_LAG_S = 0.1
"""A longer stall (a suspended process, a link down) is forgiven, not made up for."""


def packets_per_burst(rate_bps: float, packet_bytes: int, most: int, burst_s: float = BURST_S) -> int:
    """Return how many packets make up a burst of such a length: at least one, at most `most`."""
    return max(1, min(most, round(rate_bps * burst_s / (8 * packet_bytes))))


class Pacer:
    """Gives each burst its time: `due`, wait, send, `sent`.

    A sender that wakes up late catches up at twice the rate: `BURST_S` worth of bytes at once, then a pause of
    half that time (one pause, since short sleeps last much longer than asked for).
    """

    def __init__(self, rate_bps: float, now: float) -> None:
        self._rate_bps = rate_bps
        self._due_s = now
        self._not_before_s = now
        self._at_once_s = 0.0

    def set_rate(self, rate_bps: float) -> None:
        """Go on at another rate."""
        self._rate_bps = rate_bps

    def due(self, now: float) -> float:
        """Return when the next burst may go, asked at `now`; not later than `now` if it may go at once."""
        if self._due_s > now:
            self._at_once_s = 0.0
            return self._due_s
        self._due_s = max(self._due_s, now - MAX_LAG_S)
        return max(self._due_s, self._not_before_s)

    def sent(self, size_bytes: int, now: float) -> None:
        """Count a burst that was sent at `now`: `size_bytes` of UDP payload."""
        interval_s = size_bytes * 8 / self._rate_bps
        self._due_s += interval_s
        self._at_once_s += interval_s
        if self._at_once_s >= BURST_S:
            self._not_before_s = now + self._at_once_s / 2
            self._at_once_s = 0.0


class LeadPacer:
    """Gives bursts their time where the kernel spaces them: as `Pacer`, but many at once, `lead_s` ahead.

    What the kernel holds is never more than twice the lead, and runs out only if the sender wakes up late.
    """

    def __init__(self, rate_bps: float, lead_s: float, now: float) -> None:
        self._rate_bps = rate_bps
        self._lead_s = lead_s
        self._due_s = now
        self._is_filling = True

    def set_rate(self, rate_bps: float) -> None:
        """Go on at another rate."""
        self._rate_bps = rate_bps

    def due(self, now: float) -> float:
        """Return when the next burst may go, asked at `now`; not later than `now` if it may go at once."""
        refill_s = self._due_s - self._lead_s / 4
        if refill_s <= now:
            self._is_filling = True
        if self._due_s >= now + self._lead_s:
            self._is_filling = False
        self._due_s = max(self._due_s, now - self._lead_s)
        return now if self._is_filling else refill_s

    def sent(self, size_bytes: int, now: float) -> None:
        """Count a burst that was handed over at `now`: `size_bytes` of UDP payload."""
        self._due_s += size_bytes * 8 / self._rate_bps
