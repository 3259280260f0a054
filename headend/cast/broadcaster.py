"""The carousel: which packets go next, and when. Sans-IO: time comes in, packets go out.

Each release turns on a wheel of its own (headend/cast/wheel.py); several share the rate as much as they are wanted
(headend/cast/shares.py). Announcements go by time.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from carousel.batch import Batch
from carousel.flute.releasefile import Release
from headend.cast.flute import FluteFormat
from headend.cast.format import Format
from headend.cast.pacing import LeadPacer, Pacer
from headend.cast.settings import BroadcastSettings
from headend.cast.shares import Demand, Turns, shares
from headend.cast.wheel import Wheel

__all__ = ["BroadcastSettings", "Broadcaster", "Place", "Position"]

RESHARE_S = 1.0
"""How often shares follow what changes with time."""


@dataclass(frozen=True)
class Position:
    """Where the carousel stands: cycle, and the share of it that is sent (of its first release)."""

    cycle: int
    share: float


@dataclass(frozen=True)
class Place:
    """Where one release's wheel stands: the cycle, how many of its image packets are sent, its share of the rate."""

    release: Release
    cycle: int
    packet: int
    share: float


class Broadcaster:
    """One carousel of one or more releases. Drive it: `due`, wait, `next_batch`, send."""

    def __init__(
        self,
        releases: list[Release],
        settings: BroadcastSettings,
        now: float,
        wire_format: Format | None = None,
        demands: Sequence[Demand] = (),
    ) -> None:
        """Begin a carousel at `now`; by FLUTE unless another format is given."""
        self._settings = settings
        self._format = wire_format or FluteFormat(settings)
        self._pacer: Pacer | LeadPacer = Pacer(settings.rate_bps, now)
        if settings.lead_s:
            self._pacer = LeadPacer(settings.rate_bps, settings.lead_s, now)
        self._outbox: deque[Batch] = deque()
        self._wheels: list[Wheel] = []
        self._turns: Turns[Wheel] = Turns()
        self._parts: list[float] = []
        self._demands: Sequence[Demand] = ()
        self._reshare_at_s = now
        self._cycles_done = 0
        self.announced_s = now
        """When an announcement last went out."""
        self.replace(releases, now, demands)

    def replace(self, releases: list[Release], now: float, demands: Sequence[Demand] = ()) -> None:
        """Swap to other releases at once, announcing them first; a release that stays keeps its place.

        `demands` has one for each release, or none at all: then they are wanted alike. `OperatorError` where deadlines
        can't be kept; nothing is changed then.
        """
        if not releases:
            raise ValueError("a carousel without a release")
        demands = demands or [Demand()] * len(releases)
        self._shares(releases, demands, now)
        self._format.replace(releases, now)
        kept = {id(wheel.release): wheel for wheel in self._wheels}
        self._wheels = [kept.get(id(release)) or self._new_wheel(release) for release in releases]
        self._demands = demands
        self._reshare(now)
        self._cycles_done = min(wheel.cycle for wheel in self._wheels)

    def _new_wheel(self, release: Release) -> Wheel:
        burst_packets = self._format.burst_rows(release)
        return Wheel(release, burst_packets, self._settings.seed, self._settings.begin_share)

    def set_rate(self, rate_bps: float) -> None:
        """Send at another rate from now on; bursts stay as they are."""
        self._pacer.set_rate(rate_bps)

    @property
    def places(self) -> list[Place]:
        """Where each release stands."""
        return [
            Place(wheel.release, wheel.cycle, wheel.sent_in_cycle, share)
            for wheel, share in zip(self._wheels, self._parts, strict=True)
        ]

    def seek(self, release: Release, packet: int, cycle: int | None = None) -> None:
        """Go on with a release from another of its image packets, in another cycle if one is given."""
        next(wheel for wheel in self._wheels if wheel.release is release).seek(packet, cycle)
        self._cycles_done = min(wheel.cycle for wheel in self._wheels)

    def _shares(self, releases: Sequence[Release], demands: Sequence[Demand], now: float) -> list[float]:
        lengths_bytes = [release.layout.objects[0].source_symbols * release.packet_size for release in releases]
        return shares(demands, lengths_bytes, self._settings.rate_bps, now)

    def _reshare(self, now: float) -> None:
        """Let shares follow what is wanted at `now`."""
        parts = self._shares([wheel.release for wheel in self._wheels], self._demands, now)
        self._turns.set_shares(dict(zip(self._wheels, parts, strict=True)))
        self._parts = parts
        self._reshare_at_s = now + RESHARE_S

    def due(self, now: float) -> float:
        """Return when `next_batch` may be called next."""
        return self._pacer.due(now)

    def next_batch(self, now: float) -> Batch:
        """Return the packets to send now; they count against the rate as sent."""
        announcements = self._format.announcements(now)
        if announcements:
            self.announced_s = now
        self._outbox.extend(announcements)
        if not self._outbox:
            self._outbox.extend(self._next_burst(now))
        batch = self._outbox.popleft()
        self._pacer.sent(batch.stride * batch.count, now)
        if not self._outbox:
            self._cycles_done = min(wheel.cycle for wheel in self._wheels)
        return batch

    def _next_burst(self, now: float) -> list[Batch]:
        """Return the next burst of the release whose turn it is: the one that has had least of its share."""
        if len(self._wheels) == 1:
            wheel = self._wheels[0]
            return self._format.render(wheel.release, *wheel.next_burst())
        if now >= self._reshare_at_s:
            self._reshare(now)
        wheel = self._turns.next()
        batches = self._format.render(wheel.release, *wheel.next_burst())
        self._turns.sent(wheel, sum(batch.stride * batch.count for batch in batches))
        return batches

    @property
    def position(self) -> Position:
        """Where the first release stands."""
        wheel = self._wheels[0]
        return Position(wheel.cycle, wheel.sent_in_cycle / wheel.release.image_packets)

    @property
    def announce_interval_s(self) -> float:
        """Seconds between announcements: as asked for, but so long that images get half the rate."""
        return self._format.announce_interval_s

    @property
    def cycles_done(self) -> int:
        """Whole cycles that every release has had, to the last packet."""
        return self._cycles_done
