"""The FLUTE format: rows go out as they lie in the release file, headers and FDTs by time."""

from carousel.batch import MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES, Batch
from carousel.flute.fdt import bulletin_packet, fdt_packets, header_packet
from carousel.flute.releasefile import Release
from headend.cast.notices import NO_NOTICES, Notices
from headend.cast.pacing import BURST_S, packets_per_burst
from headend.cast.settings import BroadcastSettings

__all__ = ["FluteFormat"]

FDT_LIFETIME_S = 600
FDT_INTERVAL_S = 1.0
"""Our boxes need no FDT: it goes with every fourth announcement, as a rule."""
FDT_REFRESH_S = 300


class FluteFormat:
    """Packets were rendered when the release was packed; what is left are announcements."""

    def __init__(self, settings: BroadcastSettings, notices: Notices = NO_NOTICES) -> None:
        self._settings = settings
        self._notices = notices
        self._releases: list[Release] = []
        self._fdt_instance: int | None = None
        self._headers: list[bytes] = []
        self._fdts: list[bytes] = []
        self._sessions: list[int] = []
        self._bulletin_bytes = 0
        self._announce_at_s = self._fdt_at_s = self._refresh_at_s = 0.0

    def replace(self, releases: list[Release], now: float) -> None:
        """Carry these releases from now on."""
        self._releases = releases
        self._announce_at_s = now
        self._render(now)

    def burst_rows(self, release: Release) -> int:
        """Return how many packets make up a burst: about 1 ms of the rate, or what the kernel takes at once."""
        most = min(MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES // release.packet_size)
        burst_s = self._settings.lead_s / 4 or BURST_S
        return packets_per_burst(self._settings.rate_bps, release.packet_size, most, burst_s)

    def render(self, release: Release, first: int, count: int) -> list[Batch]:
        """Return the packets as they lie in the file."""
        return [release.batch(first, count)]

    def announcements(self, now: float) -> list[Batch]:
        """Return header packets when they are due, with bulletins, and the FDT when that is; ticks in between."""
        if now < self._announce_at_s:
            return self._noted(self._notices.ticks(now))
        if now >= self._refresh_at_s:
            self._render(now)
        packets = self._headers
        if now >= self._fdt_at_s:
            packets = packets + self._fdts
            self._fdt_at_s = max(self._fdt_at_s, now - FDT_INTERVAL_S) + FDT_INTERVAL_S
        self._announce_at_s = max(self._announce_at_s, now - self.announce_interval_s)
        self._announce_at_s += self.announce_interval_s
        bulletins = self._notices.bulletins(now)
        self._bulletin_bytes = sum(map(len, bulletins))
        return _batches(packets) + self._noted(bulletins)

    def _noted(self, notices: list[bytes]) -> list[Batch]:
        """Return notices as packets of each session that is on the air."""
        return _batches([bulletin_packet(tsi, raw) for raw in notices for tsi in self._sessions])

    @property
    def announce_interval_s(self) -> float:
        """Seconds between announcements: as asked for, but so long that images get half the rate."""
        busy_s = (sum(map(len, self._headers + self._fdts)) + self._bulletin_bytes) * 8 / self._settings.rate_bps
        return max(self._settings.announce_interval_s, 2 * busy_s)

    def _render(self, now: float) -> None:
        """Render header packets, and an FDT under a new instance ID: its bytes never change under one."""
        unix_s = int(self._settings.unix_offset_s + now)
        step, rest = self._settings.fdt_step, self._settings.fdt_rest
        if self._fdt_instance is None:
            instance = (unix_s - unix_s % step + rest) & 0xFFFFF
        else:
            instance = (self._fdt_instance + step) & 0xFFFFF
        self._headers = [header_packet(release) for release in self._releases]
        self._fdts = []
        self._sessions = sorted({release.tsi for release in self._releases})
        for tsi in self._sessions:
            of_session = [release for release in self._releases if release.tsi == tsi]
            self._fdts += fdt_packets(of_session, tsi, instance, unix_s + FDT_LIFETIME_S)
        self._fdt_instance = instance
        self._fdt_at_s = now
        self._refresh_at_s = now + FDT_REFRESH_S


def _batches(packets: list[bytes]) -> list[Batch]:
    return [Batch(memoryview(packet), len(packet), 1) for packet in packets]
