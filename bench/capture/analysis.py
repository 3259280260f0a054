"""What a carousel is made of, from its packets: objects, rate, cycle, order, errors. Sans-IO: batches and time in.

Plain data packets are counted by NumPy, whole batches at a time; everything else goes through the Scapy layers.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scapy.packet import Packet, Raw

from bench.capture.layers import LCT, ExtCrc, ExtFdt, PayloadNoCode, PayloadRaptorQ, fixed_bytes
from bench.capture.repeats import MAX_SYMBOLS_SEEN, Repeats
from carousel.batch import Batch
from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.flute.alc import (
    CRC_OFFSET,
    PLAIN_DTYPE,
    PLAIN_FLAGS,
    PLAIN_HEADER_BYTES,
    PLAIN_HEADER_WORDS,
    Extension,
    crc_of_packet,
)
from carousel.flute.toi import FDT_TOI, HEADER_TOI_OFFSET, base_of_toi
from carousel.release.blocks import FecId
from carousel.release.header import HEADER_BYTES, SignedHeader

__all__ = ["CarouselPicture"]

MAX_OBJECTS = 256
MAX_FDTS = 16
_FILE = re.compile(rb'<(?:\w+:)?File\b[^>]*?Content-Location="([^"]*)"[^>]*?TOI="(\d+)"')
_FILE_TURNED = re.compile(rb'<(?:\w+:)?File\b[^>]*?TOI="(\d+)"[^>]*?Content-Location="([^"]*)"')


@dataclass
class ObjectSeen:
    """One object on the air."""

    toi: int
    codepoint: int
    symbol_bytes: int
    repeats: Repeats = field(default_factory=Repeats)
    block_changes: int = 0
    last_sbn: int = -1
    largest_sbn: int = 0
    largest_esi: int = 0

    @property
    def packets(self) -> int:
        """How many packets came of it."""
        return self.repeats.packets

    def take(self, payload_ids: NDArray[np.uint32], now_s: float, room: int) -> None:
        """Count packets of this object, in order; `room` is how many symbols may be followed."""
        shift = 24 if self.codepoint == FecId.RAPTORQ else 16
        sbn = (payload_ids >> shift).astype(np.int64)
        esi = (payload_ids & ((1 << shift) - 1)).astype(np.int64)
        self.block_changes += int((np.diff(sbn, prepend=self.last_sbn) != 0).sum())
        self.last_sbn = int(sbn[-1])
        self.largest_sbn = max(self.largest_sbn, int(sbn.max()))
        self.largest_esi = max(self.largest_esi, int(esi.max()))
        self.repeats.take(sbn, esi, now_s, room)


class CarouselPicture:
    """Takes packets of any content; says what was on the air."""

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.counts: Counter[str] = Counter()
        self.objects: dict[int, ObjectSeen] = {}
        self.headers: dict[int, SignedHeader] = {}
        self.fdts: dict[int, dict[int, bytes]] = {}
        self.tsis: Counter[int] = Counter()
        self._first_s: float | None = None
        self._last_s = 0.0

    def take(self, batch: Batch, now_s: float) -> None:
        """Take a batch that came at this time."""
        self._first_s = now_s if self._first_s is None else self._first_s
        self._last_s = now_s
        self.packets += batch.count
        self.bytes += batch.count * batch.stride
        plain = self._plain_rows(batch)
        if plain.any():
            self._take_plain(batch, np.flatnonzero(plain), now_s)
        for row in np.flatnonzero(~plain).tolist():
            self._take_odd(batch.packet(row), now_s)

    def _plain_rows(self, batch: Batch) -> NDArray[np.bool_]:
        """Find plain data packets whose CRC is right."""
        if (
            batch.stride < PLAIN_HEADER_BYTES + 4
            or batch.stride % 4
            or batch.stride == PLAIN_HEADER_BYTES + HEADER_BYTES
        ):
            return np.zeros(batch.count, dtype=np.bool_)
        headers = _plain_headers(batch)
        plain = (headers["flags"] == PLAIN_FLAGS) & (headers["header_words"] == PLAIN_HEADER_WORDS)
        plain &= (headers["het"] == Extension.CRC) & (headers["hel"] == 2)
        plain &= headers["toi"] != FDT_TOI
        plain[plain] = _crcs_are_right(batch, np.flatnonzero(plain), headers["crc"][plain])
        found: NDArray[np.bool_] = plain
        return found

    def _take_plain(self, batch: Batch, rows: NDArray[np.int64], now_s: float) -> None:
        headers = _plain_headers(batch)[rows]
        tois, tsis = headers["toi"].astype(np.int64), headers["tsi"]
        payload_ids, codepoints = headers["payload_id"].astype(np.uint32), headers["codepoint"]
        self.tsis.update(tsis.tolist())
        for toi in np.unique(tois).tolist():
            mine = tois == toi
            self._object(toi, int(codepoints[mine][0]), batch.stride - PLAIN_HEADER_BYTES, payload_ids[mine], now_s)

    def _object(self, toi: int, codepoint: int, size: int, payload_ids: NDArray[np.uint32], now_s: float) -> None:
        if toi not in self.objects and len(self.objects) >= MAX_OBJECTS:
            self.counts["objects_beyond_limit"] += len(payload_ids)
            return
        mine = self.objects.setdefault(toi, ObjectSeen(toi, codepoint, size))
        others = sum(each.repeats.size for each in self.objects.values() if each is not mine)
        mine.take(payload_ids, now_s, MAX_SYMBOLS_SEEN - others)

    # --- by Scapy ------------------------------------------------------------------------------------------

    def _take_odd(self, raw: bytes, now_s: float) -> None:
        try:
            packet = LCT(raw)
        except Exception:  # Scapy raises what it likes on bytes that are no LCT
            self.counts["not_lct"] += 1
            return
        if packet.version != 1 or not isinstance(packet.payload, PayloadNoCode | PayloadRaptorQ):
            self.counts["not_lct"] += 1
            return
        ours = next((extension for extension in packet.extensions if isinstance(extension, ExtCrc)), None)
        if ours is None:
            self.counts["no_crc"] += 1
        elif ours.crc != crc_of_packet(raw, _crc_offset(packet)):
            self.counts["crc_errors"] += 1
            return
        if packet.A or packet.B:
            self.counts["close_flag"] += 1
        self.tsis[packet.tsi] += 1
        symbol = bytes(packet[Raw]) if Raw in packet else b""
        fdt = next((extension for extension in packet.extensions if isinstance(extension, ExtFdt)), None)
        if fdt is not None:
            if fdt.instance in self.fdts or len(self.fdts) < MAX_FDTS:
                self.fdts.setdefault(fdt.instance, {})[packet.payload.esi] = symbol
            self.counts["fdt_packets"] += 1
            return
        if packet.toi - base_of_toi(packet.toi) == HEADER_TOI_OFFSET and len(symbol) == HEADER_BYTES:
            self._take_header(packet.toi, symbol)
            return
        payload_id = int.from_bytes(bytes(packet.payload)[:4], "big")
        self._object(packet.toi, packet.codepoint, len(symbol), np.array([payload_id], np.uint32), now_s)

    def _take_header(self, toi: int, raw: bytes) -> None:
        self.counts["announcements"] += 1
        try:
            header = SignedHeader.parse(raw)
        except FormatError:
            self.counts["bad_headers"] += 1
            return
        if len(self.headers) < MAX_OBJECTS:
            self.headers[base_of_toi(toi)] = header

    # --- report --------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """Return all that was seen, as plain data."""
        seconds = self._last_s - (self._first_s if self._first_s is not None else self._last_s)
        return {
            "seconds": round(seconds, 3),
            "packets": self.packets,
            "bytes": self.bytes,
            "rate_bps": round(self.bytes * 8 / seconds) if seconds > 0 else None,
            "tsis": [f"0x{tsi:08x}" for tsi, _ in self.tsis.most_common(8)],
            "counts": {name: count for name, count in sorted(self.counts.items()) if count},
            "releases": [_release(base, header) for base, header in sorted(self.headers.items())],
            "objects": [self._describe(each) for each in sorted(self.objects.values(), key=lambda each: each.toi)],
            "fdt": [_fdt(instance, parts) for instance, parts in sorted(self.fdts.items())],
        }

    def _describe(self, seen: ObjectSeen) -> dict[str, Any]:
        level = seen.toi - base_of_toi(seen.toi)
        is_ours = base_of_toi(seen.toi) in self.headers
        cycle_s, cycle_packets = seen.repeats.cycle or (None, None)
        kind = ("image" if level == 0 else f"digest level {level}") if is_ours else "object"
        return {
            "toi": f"0x{seen.toi:08x}",
            "kind": kind,
            "fec": seen.codepoint,
            "symbol_bytes": seen.symbol_bytes,
            "packets": seen.packets,
            "share": round(seen.packets / max(1, self.packets), 4),
            "distinct_symbols": seen.repeats.distinct,
            "blocks": seen.largest_sbn + 1,
            "largest_esi": seen.largest_esi,
            "cycle_packets": cycle_packets,
            "cycle_s": round(cycle_s, 3) if cycle_s is not None else None,
            "block_changes": round(seen.block_changes / max(1, seen.packets), 4),
        }


def _plain_headers(batch: Batch) -> NDArray[np.void]:
    """Return the plain headers of a batch of long enough packets by field, without copying."""
    return np.ndarray((batch.count,), dtype=PLAIN_DTYPE, buffer=batch.buffer, strides=(batch.stride,))


def _crcs_are_right(batch: Batch, rows: NDArray[np.int64], stated: NDArray[np.uint32]) -> list[bool]:
    """Check the CRCs of plain packets; what comes before the CRC is the same for all packets of an object."""
    buffer, starts, right = batch.buffer, dict[bytes, int](), []
    for at, crc in zip((rows * batch.stride).tolist(), stated.tolist(), strict=True):
        prefix = bytes(buffer[at : at + CRC_OFFSET])
        start = starts.get(prefix)
        if start is None:
            start = starts[prefix] = crc32(prefix)
        right.append(crc32(buffer[at + CRC_OFFSET + 4 : at + batch.stride], start) == crc)
    return right


def _crc_offset(packet: Packet) -> int:
    """Return where the CRC stands: behind the fixed header and what comes before it."""
    at = fixed_bytes(packet)
    for extension in packet.extensions:
        if isinstance(extension, ExtCrc):
            break
        at += len(bytes(extension))
    return at + 4


def _release(base: int, header: SignedHeader) -> dict[str, Any]:
    return {
        "toi_base": f"0x{base:08x}",
        "name": header.name,
        "version": str(header.version),
        "hardware": str(header.hardware),
        "image_size": header.image_size,
        "source_blocks": header.source_blocks,
        "repair_per_block": header.repair_per_block,
        "key_id": header.key_id.hex(),
    }


def _fdt(instance: int, parts: dict[int, bytes]) -> dict[str, Any]:
    files = _files_of(b"".join(parts[at] for at in sorted(parts)))
    return {"instance": instance, "packets": len(parts), "files": files}


def _files_of(xml: bytes) -> list[dict[str, Any]]:
    """Return names and TOIs of an FDT by looking, not by parsing: what comes off the air may be any XML."""
    found = [(location, toi) for location, toi in _FILE.findall(xml)]
    found += [(location, toi) for toi, location in _FILE_TURNED.findall(xml)]
    return [{"location": location.decode(errors="replace"), "toi": int(toi)} for location, toi in found[:MAX_OBJECTS]]
