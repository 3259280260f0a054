"""Transport packets (ISO/IEC 13818-1 2.4.3): sections cut into them by whole batches, continuity, nulls, RTP.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +---------------+-+-+-+-------------------------+---+-+-+-------+
    | sync = 0x47   |E|S|P| PID                     |SC |A|D| CC    |
    +---------------+-+-+-+-------------------------+---+-+-+-------+
    | 184 bytes: an adaptation field if A, a part of a section if D |

A packet in which a section begins has S = 1 and, in front of its payload, a *pointer field* that says where; ours
begin at once, pointer 0, one section at a time, the rest of the last packet filled with 0xFF. Seven packets go in one
datagram, alone or behind an RTP header (RFC 3550, RFC 2250: payload type 33).
"""

from functools import lru_cache

import numpy as np
from construct import BitsInteger, BitStruct, Const, Int8ub, Int16ub, Int32ub, Struct
from numpy.typing import NDArray

from carousel.distinct import distinct
from carousel.ssu.sections import dtype_of

__all__ = [
    "DATAGRAM_BYTES",
    "DATAGRAM_PACKETS",
    "NULL_PID",
    "PACKET_BYTES",
    "RTP_BYTES",
    "RTP_TICKS_PER_S",
    "SYNC",
    "ContinuityCounters",
    "Packets",
    "RtpHeader",
    "TransportHeader",
    "clock_packet",
    "cut_section",
    "cut_sections",
    "fill_datagrams",
    "null_packets",
    "packets_of_section",
    "pids_of",
    "rtp_headers",
]

Packets = NDArray[np.uint8]
"""Transport packets, shape (n, 188)."""

SYNC = 0x47
PACKET_BYTES = 188
HEADER_BYTES = 4
PAYLOAD_BYTES = PACKET_BYTES - HEADER_BYTES
DATAGRAM_PACKETS = 7
DATAGRAM_BYTES = DATAGRAM_PACKETS * PACKET_BYTES
NULL_PID = 0x1FFF
STUFFING = 0xFF
RTP_BYTES = 12
RTP_TICKS_PER_S = 90_000
CLOCK_TICKS_PER_S = 27_000_000
_CONTINUITIES = 16
_HAS_PAYLOAD = 0x10

TransportHeader = BitStruct(
    "sync" / Const(SYNC, BitsInteger(8)),
    "has_error" / BitsInteger(1),
    "starts_section" / BitsInteger(1),
    "priority" / BitsInteger(1),
    "pid" / BitsInteger(13),
    "scrambling" / BitsInteger(2),
    "has_adaptation" / BitsInteger(1),
    "has_payload" / BitsInteger(1),
    "continuity" / BitsInteger(4),
)
assert TransportHeader.sizeof() == HEADER_BYTES

ClockReference = BitStruct(
    "length" / Const(183, BitsInteger(8)),
    "flags" / Const(0x10, BitsInteger(8)),
    "base" / BitsInteger(33),
    "reserved" / Const(0x3F, BitsInteger(6)),
    "extension" / BitsInteger(9),
)
"""An adaptation field that holds a PCR and fills its packet: length, PCR_flag, base in 90 kHz, extension in 27 MHz."""
assert ClockReference.sizeof() == 8

RtpHeader = Struct(
    "version" / Const(0x80, Int8ub),
    "payload_type" / Const(33, Int8ub),
    "sequence" / Int16ub,
    "timestamp" / Int32ub,
    "source" / Int32ub,
)
"""RTP without contributing sources and extension; payload type 33 is MP2T, its clock 90 kHz."""
RTP_DTYPE = dtype_of(RtpHeader)
RTP_SOURCE = 0xB007CA57
assert RtpHeader.sizeof() == RTP_BYTES


@lru_cache(maxsize=256)
def _header(pid: int, starts_section: bool = False, has_adaptation: bool = False, has_payload: bool = True) -> bytes:
    header: bytes = TransportHeader.build(
        {
            "has_error": 0,
            "starts_section": int(starts_section),
            "priority": 0,
            "pid": pid,
            "scrambling": 0,
            "has_adaptation": int(has_adaptation),
            "has_payload": int(has_payload),
            "continuity": 0,
        }
    )
    return header


_NULL = np.frombuffer(_header(NULL_PID).ljust(PACKET_BYTES, b"\xff"), dtype=np.uint8)


def pids_of(packets: Packets) -> NDArray[np.uint16]:
    """Return the PID of each packet, shape (n,)."""
    high = packets[:, 1].astype(np.uint16) & np.uint16(0x1F)
    found: NDArray[np.uint16] = (high << np.uint16(8)) | packets[:, 2]
    return found


def packets_of_section(section_bytes: int) -> int:
    """Return how many packets a section needs that begins one: the pointer field takes a byte."""
    return -(-(section_bytes + 1) // PAYLOAD_BYTES)


def null_packets(count: int) -> Packets:
    """Return null packets, which fill a stream and mean nothing."""
    return np.repeat(_NULL[None], count, axis=0)


def cut_sections(sections: NDArray[np.uint8], pid: int) -> NDArray[np.uint8]:
    """Cut sections of one length into packets: shape (n, L) in, (n, packets, 188) out; continuity counters zero."""
    count, length = sections.shape
    needed = packets_of_section(length)
    payload = np.full((count, needed * PAYLOAD_BYTES), STUFFING, dtype=np.uint8)
    payload[:, 0] = 0
    payload[:, 1 : 1 + length] = sections
    packets = np.empty((count, needed, PACKET_BYTES), dtype=np.uint8)
    packets[:, :, :HEADER_BYTES] = np.frombuffer(_header(pid), dtype=np.uint8)
    packets[:, 0, :HEADER_BYTES] = np.frombuffer(_header(pid, starts_section=True), dtype=np.uint8)
    packets[:, :, HEADER_BYTES:] = payload.reshape(count, needed, PAYLOAD_BYTES)
    return packets


def cut_section(section: bytes, pid: int, packets: int | None = None) -> Packets:
    """Cut one section into as few packets as hold it, or into more: then adaptation fields fill them up.

    `ValueError` where it does not fit so few, or leaves a packet without a byte of payload.
    """
    if packets is None or packets == packets_of_section(len(section)):
        cut_one: Packets = cut_sections(np.frombuffer(section, dtype=np.uint8)[None], pid)[0]
        return cut_one
    payload = b"\0" + section
    if not packets_of_section(len(section)) < packets <= len(payload):
        raise ValueError(f"a section of {len(section)} bytes does not go into {packets} packets")
    cut = bytearray()
    for number in range(packets):
        share = min(PAYLOAD_BYTES, len(payload) - (packets - number - 1))
        part, payload = payload[:share], payload[share:]
        field = _stuffing_field(PAYLOAD_BYTES - share)
        cut += _header(pid, starts_section=number == 0, has_adaptation=bool(field)) + field + part
    return np.frombuffer(bytes(cut), dtype=np.uint8).reshape(packets, PACKET_BYTES)


def _stuffing_field(size_bytes: int) -> bytes:
    """Return an adaptation field of this size that holds nothing."""
    if size_bytes < 2:
        return bytes(size_bytes)
    return bytes([size_bytes - 1, 0]).ljust(size_bytes, b"\xff")


def clock_packet(pid: int, time_s: float) -> Packets:
    """Return a packet without payload that holds a PCR, shape (1, 188)."""
    ticks = round(time_s * CLOCK_TICKS_PER_S)
    base, extension = divmod(ticks, 300)
    field = ClockReference.build({"base": base % (1 << 33), "extension": extension})
    packet = _header(pid, has_adaptation=True, has_payload=False) + field
    return np.frombuffer(packet.ljust(PACKET_BYTES, b"\xff"), dtype=np.uint8)[None]


def fill_datagrams(groups: list[Packets]) -> Packets:
    """Put groups of packets into whole datagrams, and null packets where a group would go across a border.

    A group of more than seven packets begins a datagram of its own.
    """
    filled: list[Packets] = []
    used = 0
    for group in groups:
        room = -used % DATAGRAM_PACKETS
        if len(group) > room and room:
            filled.append(null_packets(room))
            used += room
        filled.append(group)
        used += len(group)
    if used % DATAGRAM_PACKETS:
        filled.append(null_packets(-used % DATAGRAM_PACKETS))
    return np.concatenate(filled)


def rtp_headers(numbers: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return RTP headers of these sequence numbers and times in 90 kHz, both taken modulo their fields: (n, 12)."""
    first = np.frombuffer(RtpHeader.build({"sequence": 0, "timestamp": 0, "source": RTP_SOURCE}), dtype=RTP_DTYPE)
    headers = np.repeat(first, len(numbers))
    headers["sequence"] = numbers & 0xFFFF
    headers["timestamp"] = ticks & 0xFFFFFFFF
    return headers.view(np.uint8).reshape(-1, RTP_BYTES)


class ContinuityCounters:
    """The continuity counter of each PID, which runs on whatever the packets carry."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def stamp(self, packets: Packets) -> None:
        """Count packets on, in order and in place; null packets and packets without payload don't count."""
        pids = np.where(packets[:, 3] & _HAS_PAYLOAD, pids_of(packets), NULL_PID)
        if (pids == pids[0]).all():
            self._stamp(packets[:, 3], int(pids[0]))
            return
        for pid in distinct(pids).tolist():
            mine = np.flatnonzero(pids == pid)
            flags = packets[mine, 3]
            self._stamp(flags, pid)
            packets[mine, 3] = flags

    def _stamp(self, flags: NDArray[np.uint8], pid: int) -> None:
        """Count the fourth bytes of one PID's packets on, in place."""
        if pid == NULL_PID:
            return
        start = self._next.get(pid, 0)
        flags &= 0xF0
        flags |= ((start + np.arange(len(flags))) % _CONTINUITIES).astype(np.uint8)
        self._next[pid] = (start + len(flags)) % _CONTINUITIES

    def packets_to_zero(self) -> dict[int, int]:
        """Return how many more packets each PID needs, so that a stream played in a loop runs on without a jump."""
        return {pid: -next_one % _CONTINUITIES for pid, next_one in self._next.items()}
