"""Sections out of transport packets, by whole batches: the box's half of `transport.py`. Pure, bounded, never raises.

    datagrams ──► packets ──► by PID ──► sections of one length at a time ──► those with a right CRC

The fast path takes sections that begin a packet (pointer 0), fill packets of their own and have no adaptation fields
between: what our head-end sends, and what remultiplexers leave as it is. NumPy finds them by continuity counters and
lengths; a section that lacks a packet is dropped whole, and what is unfinished at a batch's end waits for the next
batch. Streams of other makers may begin sections anywhere: `_Walker` reads these, packet by packet, so many at a time.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carousel.distinct import distinct
from carousel.frozen import Frozen
from carousel.ssu.crc import are_intact
from carousel.ssu.sections import LENGTH_END, MAX_PRIVATE_SECTION_BYTES, SECTION_HEADER_BYTES
from carousel.ssu.transport import (
    HEADER_BYTES,
    NULL_PID,
    PACKET_BYTES,
    PAYLOAD_BYTES,
    RTP_BYTES,
    STUFFING,
    SYNC,
    Packets,
    pids_of,
)

__all__ = ["MAX_PIDS", "SectionFilter", "SectionRows", "packets_of_datagrams"]

MAX_PIDS = 64
"""So many PIDs have sections under way at once; the one that brought a section longest ago makes room."""
MAX_LENGTHS = 32
"""Sections of so many different lengths are taken of one PID and batch; the commonest come first."""
_SHORTEST = SECTION_HEADER_BYTES + 4
_STARTS, _HAS_ERROR, _SCRAMBLED = 0x40, 0x80, 0xC0
_RTP_VERSION, _RTP_EXTENSION, _RTP_PADDING = 0x80, 0x10, 0x20


def packets_of_datagrams(rows: NDArray[np.uint8], is_rtp: bool, counts: Counter[str]) -> Packets:
    """Return the transport packets of datagrams of one size, shape (n, size) to (m, 188); count what is none."""
    if is_rtp:
        return _behind_rtp(rows, counts)
    if rows.shape[1] % PACKET_BYTES:
        counts["datagram_size"] += len(rows)
        return np.empty((0, PACKET_BYTES), dtype=np.uint8)
    return rows.reshape(-1, PACKET_BYTES)


def _behind_rtp(rows: NDArray[np.uint8], counts: Counter[str]) -> Packets:
    """Cut RTP headers off (RFC 3550 5.1), contributing sources and extensions included."""
    size = rows.shape[1]
    if size < RTP_BYTES + PACKET_BYTES:
        counts["datagram_size"] += len(rows)
        return np.empty((0, PACKET_BYTES), dtype=np.uint8)
    first = rows[:, 0]
    if (first == _RTP_VERSION).all() and (size - RTP_BYTES) % PACKET_BYTES == 0:
        return rows[:, RTP_BYTES:].reshape(-1, PACKET_BYTES)
    ends = RTP_BYTES + 4 * (first & 0xF).astype(np.int64)
    has_extension = (first & _RTP_EXTENSION) != 0
    at = np.minimum(ends + 2, size - 2)
    words = rows[np.arange(len(rows)), at].astype(np.int64) << 8 | rows[np.arange(len(rows)), at + 1]
    ends += np.where(has_extension, 4 + 4 * words, 0)
    good = (first & 0xC0 == _RTP_VERSION) & (first & _RTP_PADDING == 0) & (ends < size)
    good &= (size - ends) % PACKET_BYTES == 0
    counts["rtp"] += int(np.count_nonzero(~good))
    parts = [rows[good & (ends == end), end:].reshape(-1, PACKET_BYTES) for end in distinct(ends[good]).tolist()]
    return np.concatenate(parts) if parts else np.empty((0, PACKET_BYTES), dtype=np.uint8)


class SectionRows(Frozen):
    """Whole sections of one PID and one length, CRC right: shape (n, length)."""

    pid: int
    rows: NDArray[np.uint8]


@dataclass
class _Walker:
    """Reads one PID's sections wherever they begin (ISO/IEC 13818-1 2.4.4)."""

    unfinished: bytearray | None = None
    continuity: int = -1

    def walk(self, packets: Packets, counts: Counter[str]) -> list[bytes]:
        """Return the sections that packets complete, unchecked."""
        found: list[bytes] = []
        for raw in map(bytes, packets):
            if raw[3] & 0xF != (self.continuity + 1) & 0xF:
                self.unfinished = None
            self.continuity = raw[3] & 0xF
            start = HEADER_BYTES + (1 + raw[HEADER_BYTES] if raw[3] & 0x20 else 0)
            payload = raw[start:]
            if not payload:
                continue
            if raw[1] & _STARTS:
                pointer = payload[0]
                if pointer >= len(payload):
                    counts["pointer"] += 1
                    self.unfinished = None
                    continue
                self._go_on(payload[1 : 1 + pointer], found)
                self._begin(payload[1 + pointer :], found)
            else:
                self._go_on(payload, found)
        return found

    def _go_on(self, part: bytes, found: list[bytes]) -> None:
        if self.unfinished is None or not part:
            return
        self.unfinished += part
        length = _length_of(self.unfinished)
        if length is not None and len(self.unfinished) >= length:
            found.append(bytes(self.unfinished[:length]))
            self.unfinished = None

    def _begin(self, data: bytes, found: list[bytes]) -> None:
        self.unfinished = None
        while data and data[0] != STUFFING:
            length = _length_of(data)
            if length is None or length > len(data):
                self.unfinished = bytearray(data)
                return
            found.append(data[:length])
            data = data[length:]


def _length_of(section: bytes | bytearray) -> int | None:
    return ((section[1] & 0xF) << 8 | section[2]) + LENGTH_END if len(section) >= LENGTH_END else None


@dataclass
class _PidState:
    """What is unfinished of one PID: packets from the last section's start on, or what the walker has."""

    waiting: Packets
    walker: _Walker = field(default_factory=_Walker)
    heard: int = 0
    continuity: int | None = None
    lost: int = 0

    def count_lost(self, packets: Packets) -> None:
        """Count the packets that continuity counters say are missing; a gap of sixteen shows as none."""
        counters = packets[packets[:, 3] & 0x10 != 0, 3].astype(np.int64) & 0xF
        if len(counters):
            before = counters[0] - 1 if self.continuity is None else self.continuity
            steps = np.diff(counters, prepend=before)
            self.lost += int(((steps - 1) & 0xF)[steps != 0].sum())
            self.continuity = int(counters[-1])


class SectionFilter:
    """Takes transport packets, gives whole sections of the wanted PIDs. `counts` says what became of the others."""

    def __init__(self, counts: Counter[str]) -> None:
        self.wanted = np.zeros(NULL_PID + 1, dtype=np.bool_)
        self._counts = counts
        self._states: dict[int, _PidState] = {}
        self._calls = 0
        self.walked = 0
        """Packets that were read one by one in the last call."""

    def receive(self, packets: Packets, most_odd: int = 1 << 20) -> list[SectionRows]:
        """Return the sections that packets complete; of packets that need walking, `most_odd` at most are read."""
        self._calls += 1
        self.walked = 0
        bad = packets[:, 0] != SYNC
        bad |= (packets[:, 1] & _HAS_ERROR) != 0
        bad |= (packets[:, 3] & _SCRAMBLED) != 0
        if bad.any():
            self._counts["bad_packets"] += int(np.count_nonzero(bad))
            packets = packets[~bad]
        pids = pids_of(packets)
        mine = self.wanted[pids]
        found: list[SectionRows] = []
        distinct, first = np.unique(pids[mine], return_index=True)
        for pid in distinct[np.argsort(first)].tolist():  # in the order in which they came
            of_pid = packets if mine.all() and (pids == pid).all() else packets[pids == pid]
            state = self._state(pid)
            state.count_lost(of_pid)
            before = len(found)
            found, most_odd = self._receive_pid(pid, state, of_pid, most_odd, found)
            if len(found) > before:
                state.heard = self._calls
        return found

    def lost_packets(self, pid: int) -> int:
        """Return how many packets of a PID were lost since this was asked last."""
        state = self._states.get(pid)
        if state is None:
            return 0
        lost, state.lost = state.lost, 0
        return lost

    def _state(self, pid: int) -> _PidState:
        state = self._states.get(pid)
        if state is None:
            if len(self._states) >= MAX_PIDS:
                del self._states[min(self._states, key=lambda each: self._states[each].heard)]
            state = self._states[pid] = _PidState(np.empty((0, PACKET_BYTES), dtype=np.uint8), heard=self._calls)
        return state

    def _receive_pid(
        self, pid: int, state: _PidState, packets: Packets, most_odd: int, found: list[SectionRows]
    ) -> tuple[list[SectionRows], int]:
        run = np.concatenate([state.waiting, packets]) if len(state.waiting) else packets
        has_payload = (run[:, 3] & 0x10) != 0
        if not has_payload.all():
            run = run[has_payload]
        run = _without_repeats(run)
        state.waiting = run[:0]
        if not len(run):
            return found, most_odd
        picture = _Run(run)
        by_length = picture.whole_sections()
        lengths = sorted(by_length, key=lambda length: -len(by_length[length]))
        for length in lengths[:MAX_LENGTHS]:
            self._check(pid, picture.cut(by_length[length], length), found)
        self._counts["lengths_beyond_limit"] += sum(len(by_length[length]) for length in lengths[MAX_LENGTHS:])
        if not picture.is_simple or state.walker.unfinished is not None:
            left = run[~picture.taken(by_length)]
            self._counts["odd_dropped"] += max(0, len(left) - most_odd)
            left = left[:most_odd]
            most_odd -= len(left)
            self.walked += len(left)
            walked: dict[int, list[bytes]] = {}
            for section in state.walker.walk(left, self._counts):
                walked.setdefault(len(section), []).append(section)
            for length, sections in list(walked.items())[:MAX_LENGTHS]:
                self._check(pid, np.frombuffer(b"".join(sections), dtype=np.uint8).reshape(-1, length), found)
        else:
            state.waiting = picture.unfinished()
            self._counts["incomplete_sections"] += picture.incomplete - (len(state.waiting) > 0)
        return found, most_odd

    def _check(self, pid: int, rows: NDArray[np.uint8], found: list[SectionRows]) -> None:
        """Add the sections of right length and CRC."""
        if not _SHORTEST <= rows.shape[1] <= MAX_PRIVATE_SECTION_BYTES:
            self._counts["section_length"] += len(rows)
            return
        intact = are_intact(rows)
        if not intact.all():
            self._counts["section_crc"] += int(np.count_nonzero(~intact))
            rows = rows[intact]
        if len(rows):
            found.append(SectionRows(pid, rows))


def _without_repeats(run: Packets) -> Packets:
    """Leave out a packet that repeats the one before it, as a stream may (ISO/IEC 13818-1 2.4.3.3)."""
    same = np.flatnonzero((run[1:, 3] ^ run[:-1, 3]) & 0xF == 0)
    if not len(same):
        return run
    repeats = same[(run[same] == run[same + 1]).all(axis=1)] + 1
    return np.delete(run, repeats, axis=0)


class _Run:
    """Packets of one PID in order, and where sections that begin a packet lie in them."""

    def __init__(self, run: Packets) -> None:
        self._run = run
        count = len(run)
        starts_any = (run[:, 1] & _STARTS) != 0
        has_field = (run[:, 3] & 0x20) != 0
        simple = ~has_field & (~starts_any | (run[:, HEADER_BYTES] == 0))
        self._starts = np.flatnonzero(starts_any & simple)
        heads = run[self._starts]
        self._lengths = ((heads[:, 6].astype(np.int64) & 0xF) << 8 | heads[:, 7]) + LENGTH_END
        self._needed = -(-(self._lengths + 1) // PAYLOAD_BYTES)
        all_starts = np.append(np.flatnonzero(starts_any), count)
        next_start = all_starts[np.searchsorted(all_starts, self._starts, side="right")]
        breaks = np.zeros(count, dtype=np.int64)
        continuity = run[:, 3] & 0xF
        breaks[1:] = (continuity[1:] - continuity[:-1]) & 0xF != 1
        breaks[1:] |= ~simple[1:]
        broken = np.cumsum(breaks)
        ends = self._starts + self._needed
        fits = ends <= next_start
        last = np.minimum(ends, count) - 1
        unbroken = broken[last] == broken[self._starts]
        shares_packet = self._share_their_last_packet(last)
        self.is_simple = bool(simple.all()) and not shares_packet[fits].any()
        self._whole = fits & unbroken & ~shares_packet
        self._goes_on = bool(len(ends)) and bool(ends[-1] > count) and bool(unbroken[-1]) and next_start[-1] == count
        self.incomplete = int(np.count_nonzero(~self._whole))

    def _share_their_last_packet(self, last: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say behind which sections another one begins in the same packet: no stuffing follows."""
        behind = HEADER_BYTES + 1 + self._lengths - (self._needed - 1) * PAYLOAD_BYTES
        following = self._run[last, np.minimum(behind, PACKET_BYTES - 1)]
        shares: NDArray[np.bool_] = (behind < PACKET_BYTES) & (following != STUFFING)
        return shares

    def whole_sections(self) -> dict[int, NDArray[np.int64]]:
        """Return where whole sections start, by their length."""
        lengths, starts = self._lengths[self._whole], self._starts[self._whole]
        if len(lengths) and (lengths == lengths[0]).all():
            return {int(lengths[0]): starts}
        return {length: starts[lengths == length] for length in distinct(lengths).tolist()}

    def cut(self, starts: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
        """Return the sections of one length that start there, shape (n, length)."""
        needed, count = -(-(length + 1) // PAYLOAD_BYTES), len(starts)
        if count and starts[-1] - starts[0] == (count - 1) * needed:
            packets = self._run[starts[0] : starts[0] + count * needed].reshape(count, needed, PACKET_BYTES)
        else:
            packets = self._run[starts[:, None] + np.arange(needed)]
        return packets[:, :, HEADER_BYTES:].reshape(count, needed * PAYLOAD_BYTES)[:, 1 : 1 + length]

    def taken(self, by_length: dict[int, NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Say which packets whole sections consist of."""
        taken = np.zeros(len(self._run), dtype=np.bool_)
        for length, starts in by_length.items():
            taken[starts[:, None] + np.arange(-(-(length + 1) // PAYLOAD_BYTES))] = True
        return taken

    def unfinished(self) -> Packets:
        """Return the packets of a section that the next batch may finish."""
        return self._run[self._starts[-1] :].copy() if self._goes_on else self._run[:0].copy()
