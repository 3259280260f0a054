"""The receiver: batches and time in, events and jobs out. Sans-IO; nothing here can be made to grow or raise.

    packet ──► plain data of a wanted object? ──► Assembly            (hot path, whole batches)
       │           unknown release? ──► kept, bounded, till its header comes
       ├─────► announcement? ──► AnnouncementGate ──► judge ──► Assembly or refusal
       └─────► anything else ──► parse_packet, so many a second      (cold path)

Several acceptable releases may be on the air (a swap, a replay, two head-ends): up to `MAX_CANDIDATES` are
collected side by side, and `choose` says which to install. A and B flags, FDTs and FTIs are counted and
ignored: nothing but the signed header is believed.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from carousel.batch import Batch
from carousel.errors import FormatError
from carousel.flute.alc import (
    PLAIN_FLAGS,
    PLAIN_HEADER_BYTES,
    AlcPacket,
    Extension,
    crc_of_packet,
    parse_packet,
    plain_header,
)
from carousel.flute.toi import FDT_TOI, HEADER_TOI_OFFSET, base_of_toi, toi_base
from carousel.release.blocks import FecId, IntArray
from carousel.release.header import HEADER_BYTES, SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.release.limits import MIN_SYMBOL_BYTES
from settop.stitch.assembly import Assembly
from settop.stitch.events import Event, ImageFound, ImageRefused
from settop.stitch.jobs import BlockJob, BlockResult
from settop.stitch.policy import BoxProfile, judge
from settop.stitch.symbols import SymbolStore
from settop.wire.intake import ObjectFilter, header_field
from settop.wire.legacy import Allowance, AnnouncementGate, EarlySymbols, HeardBases

__all__ = ["Receiver"]

MAX_CANDIDATES = 3
ODD_PACKETS_PER_S = 500
"""The cold path costs about 50 µs a packet: this much of it, a flood can have."""
STALE_S = 2.0
"""A release unheard for this long is taken to be off the air."""
MAX_REFUSALS = 64

Allocate = Callable[[SignedHeader, ReleaseLayout], SymbolStore]


class Receiver:
    """One box listening to one group."""

    def __init__(self, box: BoxProfile, tsi: int, allocate: Allocate, can_decode: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.assemblies: dict[ReleaseId, Assembly] = {}
        self.refused: dict[int, ImageRefused] = {}
        self._box = box
        self._tsi = tsi
        self._allocate = allocate
        self._can_decode = can_decode
        self._gate = AnnouncementGate(box.trust, self.counts)
        self._announcement_prefix = plain_header(tsi, 0, FecId.NO_CODE)
        self._heard = HeardBases()
        self._early = EarlySymbols()
        self._odd_allowance = Allowance(ODD_PACKETS_PER_S)
        self._patient_until_s: float | None = None
        self._filters: dict[int, tuple[Assembly, int, ObjectFilter]] = {}

    def receive(self, batch: Batch, now: float) -> list[Event]:
        """Take a batch of packets of any content."""
        if batch.stride < 32 or batch.stride % 4:
            return self._receive_odd(batch, np.arange(batch.count), now)
        left = np.ones(batch.count, dtype=np.bool_)
        tois = header_field(batch, "toi")
        for toi in dict.fromkeys(tois.tolist()) if (tois != tois[0]).any() else (int(tois[0]),):
            entry = self._filters.get(toi)
            if entry is None or entry[2].stride != batch.stride:
                continue
            assembly, level, object_filter = entry
            mask = object_filter.matches(batch)
            taken, corrupt = object_filter.take(batch, mask)
            self.counts["crc"] += corrupt
            if len(taken.payload_ids):
                base = base_of_toi(toi)
                self.counts["out_of_range"] += assembly.receive(level, taken.payload_ids, taken.symbols, now)
                self._heard.add(base, len(taken.payload_ids))
            left &= ~mask
        return self._receive_odd(batch, np.flatnonzero(left), now) if left.any() else []

    # --- the cold path ----------------------------------------------------------------------------------

    def _receive_odd(self, batch: Batch, rows: IntArray, now: float) -> list[Event]:
        events: list[Event] = []
        for row in rows.tolist():
            packet = batch.packet(row)
            if self._is_announcement(packet):
                events += self._receive_announcement(packet, now)
                continue
            if self._keep_early(packet):
                continue
            if not self._odd_allowance.take(now):
                self.counts["odd_dropped"] += 1
                continue
            try:
                parsed = parse_packet(packet)
            except FormatError as error:
                self.counts[error.reason] += 1
                continue
            events += self._receive_parsed(parsed, now)
        return events

    def _keep_early(self, packet: bytes) -> bool:
        """Keep a plain data packet of our session whose release is not known yet."""
        if len(packet) < MIN_SYMBOL_BYTES or packet[0] != PLAIN_FLAGS >> 8:
            return False
        if int.from_bytes(packet[8:12], "big") != self._tsi:
            self.counts["tsi"] += 1
            return True
        toi = int.from_bytes(packet[12:16], "big")
        base = base_of_toi(toi)
        if packet[16] == Extension.CRC and int.from_bytes(packet[20:24], "big") != crc_of_packet(packet):
            self.counts["crc"] += 1
            return True
        if toi == FDT_TOI or toi - base == HEADER_TOI_OFFSET or base in self._filters:
            return False
        if base in self.refused:
            self.counts["refused_release"] += 1
            return True
        self._heard.add(base, 1)
        self.counts["early" if self._early.keep(base, packet) else "early_dropped"] += 1
        return True

    def _is_announcement(self, packet: bytes) -> bool:
        """Recognise an announcement as our head-end renders it: plain, without a code, 256 bytes."""
        if len(packet) != PLAIN_HEADER_BYTES + HEADER_BYTES or packet[15] & 7 != HEADER_TOI_OFFSET:
            return False
        return packet[:12] == self._announcement_prefix[:12] and packet[16:20] == self._announcement_prefix[16:20]

    def _receive_announcement(self, packet: bytes, now: float) -> list[Event]:
        """Take an announcement without the cold path's cost: the gate allots what is dear about it."""
        if int.from_bytes(packet[20:24], "big") != crc_of_packet(packet):
            self.counts["crc"] += 1
            return []
        toi = int.from_bytes(packet[12:16], "big")
        header = self._gate.admit(toi, packet[PLAIN_HEADER_BYTES:], self._heard, now)
        return self._consider(header, now) if header is not None else []

    def _receive_parsed(self, packet: AlcPacket, now: float) -> list[Event]:
        if packet.close_session or packet.close_object:
            self.counts["close_flag"] += 1
        if packet.tsi != self._tsi:
            self.counts["tsi"] += 1
            return []
        if packet.toi == FDT_TOI or packet.extension(Extension.FDT) is not None:
            self.counts["fdt"] += 1
            return []
        if packet.crc is None:
            self.counts["no_crc"] += 1
            return []
        if packet.toi & 7 == HEADER_TOI_OFFSET:
            header = self._gate.admit(packet.toi, packet.symbol, self._heard, now)
            return self._consider(header, now) if header is not None else []
        self._receive_symbol(packet, now)
        return []

    def _receive_symbol(self, packet: AlcPacket, now: float) -> None:
        """Take a data packet that is not plain: other extensions, or a flag we ignore."""
        entry = self._filters.get(packet.toi)
        if entry is None:
            self.counts["toi"] += 1
            return
        assembly, level, object_filter = entry
        if PLAIN_HEADER_BYTES + len(packet.symbol) != object_filter.stride:
            self.counts["symbol_size"] += 1
            return
        if packet.codepoint != assembly.layout.objects[0].fec:
            self.counts["codepoint"] += 1
            return
        symbols = np.frombuffer(packet.symbol, dtype=f"V{len(packet.symbol)}")
        payload_ids = np.array([packet.payload_id], dtype=np.int64)
        self.counts["out_of_range"] += assembly.receive(level, payload_ids, symbols, now)

    # --- releases ---------------------------------------------------------------------------------------

    def _consider(self, header: SignedHeader, now: float) -> list[Event]:
        """Judge an authentic release, and begin to collect it if it is to be had."""
        release, base = header.release_id, toi_base(header.release_id)
        verdict = judge(header, self._box)
        if verdict.refusal is not None:
            refused = ImageRefused(header, verdict.refusal, verdict.is_up_to_date)
            if len(self.refused) < MAX_REFUSALS:
                self.refused[base] = refused
            return [refused]
        if len(self.assemblies) >= MAX_CANDIDATES:
            self._make_room(now)
        store = self._allocate(header, ReleaseLayout.of_header(header))
        assembly = Assembly(header, store, self._can_decode)
        assembly.last_heard_s = now
        self.assemblies[release] = assembly
        layout = assembly.layout
        for level in range(layout.top + 1):
            fec = layout.objects[0].fec
            known = ObjectFilter(self._tsi, base + level, fec, layout.symbol_size)
            self._filters[base + level] = (assembly, level, known)
        events: list[Event] = [ImageFound(header, store.resumed)]
        for packet in self._early.release(base):
            events += self.receive(Batch(memoryview(packet), len(packet), 1), now)
        return events

    def _make_room(self, now: float) -> None:
        """Give up the candidate that is off the air for longest, or else the oldest version."""
        stale = [each for each in self.assemblies.values() if now - each.last_heard_s > STALE_S]
        candidates = stale or list(self.assemblies.values())
        given_up = min(candidates, key=lambda each: (each.header.version, each.last_heard_s))
        release, base = given_up.header.release_id, toi_base(given_up.header.release_id)
        self._gate.forget(given_up.header)
        del self.assemblies[release]
        for level in range(given_up.layout.top + 1):
            del self._filters[base + level]
        self.counts["candidate_given_up"] += 1

    def choose(self, now: float, listening_since_s: float) -> Assembly | None:
        """Return the assembly to install now, or None to go on listening.

        The newest version that is verified; but while a newer one is still being heard, that one gets as long
        again as listening has lasted so far. So a replayed header, or one whose symbols never come, delays a
        good image by a factor of two at most.
        """
        verified = [each for each in self.assemblies.values() if each.is_verified]
        if not verified:
            return None
        best = max(verified, key=lambda each: each.header.version)
        if self._patient_until_s is None:
            self._patient_until_s = 2 * now - listening_since_s
        better_is_coming = any(
            each.header.version > best.header.version and now - each.last_heard_s < STALE_S
            for each in self.assemblies.values()
        )
        return None if better_is_coming and now < self._patient_until_s else best

    def is_sated(self) -> bool:
        """Say whether more packets would be of no use at the moment: only jobs are left to do."""
        return bool(self.assemblies) and all(each.is_sated for each in self.assemblies.values())

    # --- jobs -------------------------------------------------------------------------------------------

    def next_job(self) -> BlockJob | None:
        """Return the next job of the newest release that has one."""
        for assembly in sorted(self.assemblies.values(), key=lambda each: each.header.version, reverse=True):
            job = assembly.next_job()
            if job is not None:
                return job
        return None

    def finish_job(self, result: BlockResult) -> list[Event]:
        """Take what came of a job; a release that was given up meanwhile has no use for it."""
        assembly = self.assemblies.get(result.job.release)
        return assembly.finish_job(result) if assembly is not None else []
