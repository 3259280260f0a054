"""What a DVB-SSU stream is made of, and what a loader would make of it. Sans-IO: batches and time in.

Packets are counted and cut into sections by NumPy, whole batches at a time (carousel/ssu/reassembly.py).
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.capture.ssuadvice import TableTimes, loader_notes
from carousel.batch import Batch
from carousel.errors import FormatError
from carousel.release.header import HEADER_BYTES, SignedHeader
from carousel.ssu import psi
from carousel.ssu.dsmcc import DownloadInfo, Group, MessageId, parse_dii, parse_dsi, parse_message, read_blocks
from carousel.ssu.modules import group_id_of
from carousel.ssu.psi import NIT_PID, PAT_PID, SDT_PID, Stream, TableId
from carousel.ssu.reassembly import SectionFilter, SectionRows, packets_of_datagrams
from carousel.ssu.sections import parse_section
from carousel.ssu.transport import NULL_PID, PACKET_BYTES, RTP_BYTES, Packets, pids_of

__all__ = ["SsuPicture"]

MAX_CAROUSELS = 64
MAX_MESSAGES_PARSED = 20_000
MAX_BLOCKS_SEEN = 4_000_000


@dataclass
class CarouselSeen:
    """One downloadId on the air."""

    pid: int
    download_id: int
    block_bytes: int = 0
    blocks: int = 0
    last_s: dict[tuple[int, int], float] = field(default_factory=dict)
    """When each (module, block) was last seen."""
    gap_s: dict[tuple[int, int], float] = field(default_factory=dict)
    """How long before that, of those that came twice."""

    def take(self, modules: list[int], blocks: list[int], size: int, now_s: float) -> None:
        """Count blocks."""
        self.block_bytes = max(self.block_bytes, size)
        self.blocks += len(blocks)
        for place in zip(modules, blocks, strict=True):
            before = self.last_s.get(place)
            if before is not None:
                self.gap_s[place] = now_s - before
            if before is not None or len(self.last_s) < MAX_BLOCKS_SEEN:
                self.last_s[place] = now_s

    @property
    def cycle_s(self) -> float | None:
        """After how long the blocks come again: the median over all of them; None until most of them have come twice.

        Not over all repeats: a sidecar's header comes four times a second, whatever the cycle.
        """
        if 2 * len(self.gap_s) <= len(self.last_s):
            return None
        gaps = sorted(self.gap_s.values())
        return gaps[min(len(self.last_s) // 2, len(gaps) - 1)]


class SsuPicture:
    """Takes datagrams of any content; says what was on the air."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.packets = 0
        self.datagrams = 0
        self.pids: Counter[int] = Counter()
        self.continuity_errors: Counter[int] = Counter()
        self.is_rtp = False
        self.times: dict[str, TableTimes] = defaultdict(TableTimes)
        self.streams: list[Stream] = []
        self.names: dict[int, str] = {}
        self.linked_ouis: list[int] = []
        self.groups: dict[int, Group] = {}
        self.infos: dict[int, DownloadInfo] = {}
        self.carousels: dict[int, CarouselSeen] = {}
        self._continuity: dict[int, int] = {}
        self._pmt_pids: set[int] = set()
        self._filter = SectionFilter(self.counts)
        self._filter.wanted[:NULL_PID] = True
        self._first_s: float | None = None
        self._last_s = 0.0

    def take(self, batch: Batch, now_s: float) -> None:
        """Take a batch that came at this time."""
        self._first_s = now_s if self._first_s is None else self._first_s
        self._last_s = now_s
        self.datagrams += batch.count
        is_rtp = batch.stride % PACKET_BYTES == RTP_BYTES
        self.is_rtp |= is_rtp
        packets = packets_of_datagrams(batch.as_rows(), is_rtp, self.counts)
        self.packets += len(packets)
        self._count(packets)
        for found in self._filter.receive(packets):
            self._take_sections(found, now_s)

    def _count(self, packets: Packets) -> None:
        """Count packets by PID, and where continuity is broken."""
        pids = pids_of(packets)
        for pid in np.unique(pids).tolist():
            mine = packets[pids == pid]
            self.pids[pid] += len(mine)
            counted = mine[mine[:, 3] & 0x10 != 0, 3].astype(np.int64) & 0xF
            if pid == NULL_PID or not len(counted):
                continue
            steps = np.diff(counted, prepend=self._continuity.get(pid, counted[0] - 1)) % 16
            self.continuity_errors[pid] += int(np.count_nonzero(steps != 1))
            self._continuity[pid] = int(counted[-1])

    def _take_sections(self, found: SectionRows, now_s: float) -> None:
        if int(found.rows[0, 0]) == TableId.BLOCKS:
            self._take_blocks(found, now_s)
            return
        for row in found.rows:
            if self.counts["tables_and_messages"] >= MAX_MESSAGES_PARSED:
                return
            self.counts["tables_and_messages"] += 1
            try:
                self._take_table(found.pid, row.tobytes(), now_s)
            except FormatError as error:
                self.counts[error.reason] += 1

    def _take_blocks(self, found: SectionRows, now_s: float) -> None:
        blocks = read_blocks(found.rows)
        self.counts["odd_blocks"] += len(found.rows) - len(blocks.block)
        for download_id in np.unique(blocks.download_id).tolist():
            if download_id not in self.carousels and len(self.carousels) >= MAX_CAROUSELS:
                self.counts["carousels_beyond_limit"] += 1
                continue
            mine = blocks.download_id == download_id
            seen = self.carousels.setdefault(download_id, CarouselSeen(found.pid, download_id))
            modules, numbers = blocks.module[mine].tolist(), blocks.block[mine].tolist()
            seen.take(modules, numbers, blocks.data.shape[1], now_s)

    def _take_table(self, pid: int, raw: bytes, now_s: float) -> None:
        section = parse_section(raw)
        if pid == PAT_PID:
            self._note("PAT", section.version, now_s)
            self._pmt_pids |= set(psi.parse_pat(section).values())
        elif pid in self._pmt_pids and section.table_id == TableId.PMT:
            self._note("PMT", section.version, now_s)
            self.streams = psi.parse_pmt(section) or self.streams
        elif pid == NIT_PID:
            self._note("NIT", section.version, now_s)
            self.linked_ouis = psi.parse_nit_ouis(section)
        elif pid == SDT_PID and section.table_id == TableId.SDT:
            self._note("SDT", section.version, now_s)
            self.names |= psi.parse_sdt_names(section)
        elif section.table_id == TableId.MESSAGES:
            self._take_message(pid, *parse_message(section), now_s)

    def _take_message(self, pid: int, kind: int, transaction: int, message: bytes, now_s: float) -> None:
        if kind == MessageId.DSI:
            self._note(f"DSI on {pid:#x}", transaction >> 16 & 0x3FFF, now_s)
            for group in parse_dsi(message)[:MAX_CAROUSELS]:
                if len(self.groups) < MAX_CAROUSELS:
                    self.groups[group.group_id] = group
        elif kind == MessageId.DII and len(self.infos) < MAX_CAROUSELS:
            self._note(f"DII on {pid:#x}", transaction >> 16 & 0x3FFF, now_s)
            self.infos[transaction] = parse_dii(transaction, message)

    def _note(self, name: str, version: int, now_s: float) -> None:
        if name in self.times or len(self.times) < 4 * MAX_CAROUSELS:
            self.times[name].take(version, now_s)

    # --- report --------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """Return all that was seen, as plain data."""
        seconds = self._last_s - (self._first_s if self._first_s is not None else self._last_s)
        bits = self.packets * PACKET_BYTES * 8
        return {
            "seconds": round(seconds, 3),
            "packets": self.packets,
            "rate_bps": round(bits / seconds) if seconds > 0 else None,
            "rtp": self.is_rtp,
            "null_share": round(self.pids[NULL_PID] / max(1, self.packets), 4),
            "pids": [
                {
                    "pid": f"{pid:#06x}",
                    "packets": count,
                    "share": round(count / max(1, self.packets), 4),
                    "continuity_errors": self.continuity_errors[pid],
                }
                for pid, count in sorted(self.pids.items())
            ],
            "tables": {name: times.report() for name, times in sorted(self.times.items())},
            "services": {f"{number}": name for number, name in self.names.items()},
            "linked_ouis": [f"{oui:06X}" for oui in self.linked_ouis],
            "streams": [self._stream(stream) for stream in self.streams],
            "carousels": [self._carousel(each) for each in self.carousels.values()],
            "counts": {name: count for name, count in sorted(self.counts.items()) if count},
        }

    def _stream(self, stream: Stream) -> dict[str, Any]:
        return {
            "pid": f"{stream.pid:#06x}",
            "oui": f"{stream.oui:06X}",
            "update_type": stream.update_type.name.lower(),
            "update_version": stream.update_version,
        }

    def _carousel(self, seen: CarouselSeen) -> dict[str, Any]:
        group, info = self.groups.get(seen.download_id), self.infos.get(seen.download_id)
        cycle_s = seen.cycle_s
        standard = any(each.pid == seen.pid and each.update_type is psi.UpdateType.STANDARD for each in self.streams)
        return {
            "pid": f"{seen.pid:#06x}",
            "download_id": f"{seen.download_id:#010x}",
            "block_bytes": seen.block_bytes,
            "blocks": seen.blocks,
            "distinct_blocks": len(seen.last_s),
            "modules": len(info.modules) if info is not None else None,
            "bytes": sum(module.size_bytes for module in info.modules) if info is not None else None,
            "cycle_s": round(cycle_s, 3) if cycle_s is not None else None,
            "devices": [
                f"{each.kind.name.lower()} {each.oui:06X}:{each.model}:{each.version}"
                for each in (group.devices if group is not None else ())
            ],
            "release": self._release_of(seen.download_id),
            "loader": loader_notes(group, info, cycle_s, self.times, seen.pid) if standard else [],
        }

    def _release_of(self, download_id: int) -> str | None:
        """Name the release of a carousel, or of the one that it is the sidecar of, by the headers that DSIs carry."""
        for group in self.groups.values():
            header = _header_in(group.private)
            if header is None:
                continue
            said = f"{header.name} {header.version} for {header.hardware}"
            if group.group_id == download_id:
                return said
            if group_id_of(header.release_id, True, download_id) == download_id:
                return f"the sidecar of {said}"
        return None


def _header_in(private: bytes) -> SignedHeader | None:
    try:
        return SignedHeader.parse(private) if len(private) == HEADER_BYTES else None
    except FormatError:
        return None
