"""The SSU format: releases as a transport stream of constant rate, rendered by whole bursts from their release files.

    release file ──rows──► DDB sections ──► transport packets ──┐
    PAT, PMT, SDT, NIT, DSI, DII, header: by time ──────────────┴──► continuity ──► datagrams of 7 ──► (RTP)

Each release has two PIDs. One that takes another's place, for the same hardware, takes its PIDs, too; then versions and
the toggling bit of all ids change, so that boxes notice. Continuity counters belong to the stream and run on whatever
it carries, and so do RTP's sequence number and clock, which count what was sent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from carousel.batch import MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES, Batch
from carousel.errors import OperatorError
from carousel.flute.releasefile import Release
from carousel.ssu.psi import NIT_PID, PAT_PID, SDT_PID, Program, nit, pat, pmt, sdt
from carousel.ssu.transport import (
    DATAGRAM_BYTES,
    DATAGRAM_PACKETS,
    PACKET_BYTES,
    RTP_BYTES,
    RTP_TICKS_PER_S,
    ContinuityCounters,
    Packets,
    clock_packet,
    cut_section,
    fill_datagrams,
    packets_of_section,
    rtp_headers,
)
from headend.cast.notices import NO_NOTICES, Notices
from headend.cast.pacing import BURST_S, packets_per_burst
from headend.cast.ssucarrier import Carrier, Versions, packets_of_row

__all__ = ["MAX_RELEASES", "SsuFormat", "SsuSettings"]

MAX_RELEASES = 16
"""Their descriptors fit one PMT and one NIT, with room to spare."""
MAX_PSI_INTERVAL_S = 0.4
"""PAT and PMT may be half a second apart at most (ETSI TR 101 290)."""
DII_INTERVAL_S = 1.0
SDT_INTERVAL_S = 1.5
NIT_INTERVAL_S = 5.0
CLOCK_INTERVAL_S = 0.035
MAX_ANNOUNCEMENT_SHARE = 0.5
RENDER_S = 5e-3
"""So much of the rate is rendered at once; what goes by time waits for it."""


@dataclass(frozen=True)
class SsuSettings:
    """Where the service stands in the multiplex, and how it is wrapped; `rate_bps` counts transport packets' bits.

    `clock_pid` is where a PCR goes, if there is to be one. A burst is `burst_s` of the rate.
    """

    rate_bps: float
    program: Program = field(default_factory=Program)
    first_pid: int = 0x101
    is_rtp: bool = False
    clock_pid: int | None = None
    announce_interval_s: float = 0.25
    burst_s: float = BURST_S

    @property
    def datagram_bytes(self) -> int:
        """UDP payload of a datagram."""
        return DATAGRAM_BYTES + (RTP_BYTES if self.is_rtp else 0)

    def with_bursts_of(self, burst_s: float) -> "SsuSettings":
        """Return the same with bursts of another length."""
        return replace(self, burst_s=burst_s)

    @property
    def wire_rate_bps(self) -> float:
        """Bits of UDP payload a second: transport packets, and RTP headers where there are any."""
        return self.rate_bps * self.datagram_bytes / DATAGRAM_BYTES


@dataclass
class _Item:
    """Sections that go by time, as packets."""

    interval_s: float
    groups: Callable[[], list[Packets]]
    due_s: float


class SsuFormat:
    """Renders releases as one transport stream, whose state it holds."""

    def __init__(self, settings: SsuSettings, notices: Notices = NO_NOTICES) -> None:
        self._settings = settings
        self._notices = notices
        self._continuity = ContinuityCounters()
        self._carriers: dict[int, Carrier] = {}
        """By slot: the place of a release among the PIDs."""
        self._versions: dict[int, Versions] = {}
        self._table_version = -1
        self._sent_datagrams = 0
        self._items: list[_Item] = []
        self._stretch = 1.0
        self._told_s = 0.0
        """The time that notices are asked for."""

    # --- what it carries --------------------------------------------------------------------------------

    def replace(self, releases: list[Release], now: float) -> None:
        """Carry these releases from now on; `OperatorError` where one does not fit, and nothing changes."""
        if len(releases) > MAX_RELEASES:
            raise OperatorError(f"{len(releases)} releases are more than a stream's {MAX_RELEASES}; cast two streams")
        self._carriers = self._assigned(releases)
        self._versions |= {slot: carrier.versions for slot, carrier in self._carriers.items()}
        self._table_version += 1
        self._items = self._schedule(now)
        self._told_s = now
        bits = [(sum(map(len, item.groups())) * PACKET_BYTES * 8, item.interval_s) for item in self._items]
        busy = sum(size / interval_s for size, interval_s in bits) / self._settings.rate_bps
        self._stretch = max(1.0, busy / MAX_ANNOUNCEMENT_SHARE)

    def _assigned(self, releases: list[Release]) -> dict[int, Carrier]:
        """Return carriers by slot: a release keeps its own, or takes that of one for the same hardware that left."""
        known = {id(carrier.release): slot for slot, carrier in self._carriers.items()}
        kept = {known[id(release)] for release in releases if id(release) in known}
        assigned = {slot: self._carriers[slot] for slot in kept}
        for release in releases:
            if id(release) in known:
                continue
            slot = self._free_slot(release, assigned)
            versions = Versions.of(release, self._versions.get(slot))
            assigned[slot] = Carrier(release, self._settings.first_pid + 2 * slot, 2 * slot, versions)
        return dict(sorted(assigned.items()))

    def _free_slot(self, release: Release, assigned: dict[int, Carrier]) -> int:
        leaving = {slot: each.release.header.hardware for slot, each in self._carriers.items() if slot not in assigned}
        free = [slot for slot in range(MAX_RELEASES) if slot not in assigned]
        return min(free, key=lambda slot: (leaving.get(slot) != release.header.hardware, slot in leaving, slot))

    @property
    def rate_bps(self) -> float:
        """Bits of transport packets a second."""
        return self._settings.rate_bps

    def cycle_s(self, release: Release) -> float:
        """Return how long a cycle of a release takes if it has the stream for itself, announcements left out."""
        return release.image_packets * packets_of_row(release) * PACKET_BYTES * 8 / self._settings.rate_bps

    def shares_datagrams(self, release: Release) -> bool:
        """Say whether a datagram holds parts of several of a release's rows."""
        return packets_of_row(release) % DATAGRAM_PACKETS != 0

    def burst_rows(self, release: Release) -> int:
        """Return how many rows of a release are rendered at once, in whole datagrams where that is possible.

        They go out in bursts of `burst_s` all the same: NumPy's calls cost as much for few rows as for some more.
        """
        packets = packets_of_row(release)
        in_whole_datagrams = DATAGRAM_PACKETS // math.gcd(DATAGRAM_PACKETS, packets)
        most = max(1, MAX_BATCH_PACKETS * DATAGRAM_PACKETS // packets)
        at_once_s = max(self._settings.burst_s, RENDER_S)
        rows = packets_per_burst(self._settings.rate_bps, packets * PACKET_BYTES, most, at_once_s)
        return -(-rows // in_whole_datagrams) * in_whole_datagrams

    # --- by turns, and by time --------------------------------------------------------------------------

    def render(self, release: Release, first: int, count: int) -> list[Batch]:
        """Return the datagrams that carry these rows of a release file."""
        carrier = next(each for each in self._carriers.values() if each.release is release)
        return self._wrap(fill_datagrams([np.concatenate(carrier.render(first, count))]))

    def announcements(self, now: float) -> list[Batch]:
        """Return what is due by time."""
        self._told_s = now
        due = [item for item in self._items if now >= item.due_s]
        groups = self._noted(self._notices.ticks(now))
        if not due and not groups:
            return []
        for item in due:
            interval_s = item.interval_s * self._stretch
            item.due_s = max(item.due_s, now - interval_s) + interval_s
            groups += item.groups()
        return self._wrap(fill_datagrams(groups))

    @property
    def announce_interval_s(self) -> float:
        """Seconds between two PATs: as asked for, but so long that images get half the rate."""
        return min(self._settings.announce_interval_s, MAX_PSI_INTERVAL_S) * self._stretch

    def _schedule(self, now: float) -> list[_Item]:
        """Return what goes how often, all of it due now; the clock first, since its packet is to stand first."""
        program, carriers = self._settings.program, list(self._carriers.values())
        tables = self._tables()
        seldom = [packets for carrier in carriers for packets in carrier.seldom]
        often = [tables[PAT_PID], tables[program.pmt_pid], *(packets for each in carriers for packets in each.often)]
        items = [
            _Item(min(self._settings.announce_interval_s, MAX_PSI_INTERVAL_S), lambda: often + self._bulletins(), now),
            _Item(SDT_INTERVAL_S, lambda: [tables[SDT_PID]], now),
            _Item(NIT_INTERVAL_S, lambda: [tables[NIT_PID]], now),
            _Item(DII_INTERVAL_S, lambda: seldom, now),
        ]
        clock_pid = self._settings.clock_pid
        if clock_pid is not None:
            clock = _Item(CLOCK_INTERVAL_S, lambda: [clock_packet(clock_pid, self._stream_time_s())], now)
            items.insert(0, clock)
        return items

    def _bulletins(self) -> list[Packets]:
        return self._noted(self._notices.bulletins(self._told_s))

    def _noted(self, notices: list[bytes]) -> list[Packets]:
        """Return notices on every sidecar: a box listens to those of its maker."""
        return [carrier.note(raw) for raw in notices for carrier in self._carriers.values()]

    def _tables(self) -> dict[int, Packets]:
        """Return PAT, PMT, SDT and NIT by their PID."""
        return {pid: cut_section(section, pid) for pid, section in self._table_sections().items()}

    def _table_sections(self) -> dict[int, bytes]:
        program, version = self._settings.program, self._table_version
        streams = [stream for carrier in self._carriers.values() for stream in carrier.streams]
        ouis = list(dict.fromkeys(stream.oui for stream in streams))
        clock_pid = self._settings.clock_pid
        clock = {} if clock_pid is None else {"pcr_pid": clock_pid}
        return {
            PAT_PID: pat(program),
            program.pmt_pid: pmt(program, streams, version, **clock),
            SDT_PID: sdt(program),
            NIT_PID: nit(program, ouis, version),
        }

    def closing(self) -> list[Batch]:
        """Return datagrams after which the stream may begin anew, and every continuity counter runs on."""
        sections = self._table_sections()
        for carrier in self._carriers.values():
            sections |= carrier.closing_sections
        groups: list[Packets] = []
        for pid, packets in self._continuity.packets_to_zero().items():
            if packets:
                needed = packets_of_section(len(sections[pid]))
                groups.append(cut_section(sections[pid], pid, packets if packets >= needed else packets + 16))
        return self._wrap(fill_datagrams(groups)) if groups else []

    # --- datagrams --------------------------------------------------------------------------------------

    def _stream_time_s(self) -> float:
        return self._sent_datagrams * DATAGRAM_BYTES * 8 / self._settings.rate_bps

    def _wrap(self, packets: Packets) -> list[Batch]:
        """Count packets on, and put them into datagrams, in batches of a burst at most."""
        self._continuity.stamp(packets)
        datagrams = packets.reshape(-1, DATAGRAM_BYTES)
        if self._settings.is_rtp:
            numbers = self._sent_datagrams + np.arange(len(datagrams))
            ticks = numbers * (DATAGRAM_BYTES * 8 * RTP_TICKS_PER_S / self._settings.rate_bps)
            datagrams = np.concatenate([rtp_headers(numbers, ticks.astype(np.int64)), datagrams], axis=1)
        self._sent_datagrams += len(datagrams)
        stride = self._settings.datagram_bytes
        most = min(MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES // stride)
        most = packets_per_burst(self._settings.rate_bps, DATAGRAM_BYTES, most, self._settings.burst_s)
        flat = np.ascontiguousarray(datagrams).data.cast("B")
        return [
            Batch(flat[start * stride :], stride, min(most, len(datagrams) - start))
            for start in range(0, len(datagrams), most)
        ]
