from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.ssu.reassembly import MAX_PIDS, SectionFilter, packets_of_datagrams
from carousel.ssu.sections import build_section
from carousel.ssu.transport import PACKET_BYTES, ContinuityCounters, RtpHeader, cut_section, null_packets

PIDS = (0x101, 0x102)


def filter_of(*pids: int) -> SectionFilter:
    made = SectionFilter(Counter())
    made.wanted[list(pids)] = True
    return made


def taken(section_filter: SectionFilter, packets: np.ndarray, batch: int, most_odd: int = 1 << 20) -> list:
    found = []
    for start in range(0, len(packets), batch):
        for rows in section_filter.receive(packets[start : start + batch].copy(), most_odd):
            found += [(rows.pid, row.tobytes()) for row in rows.rows]
    return found


SECTIONS = st.lists(st.tuples(st.sampled_from(PIDS), st.integers(0, 4000), st.integers(0, 3)), min_size=1, max_size=25)


def stream_of(sections: list) -> tuple[list, np.ndarray]:
    """Sections of two PIDs, one after the other, some in more packets than they need, with null packets between."""
    sent, packets = [], []
    for number, (pid, size, more) in enumerate(sections):
        raw = build_section(0x3C, number, bytes([number]) * size)
        sent.append((pid, raw))
        least = len(cut_section(raw, pid))
        packets += [cut_section(raw, pid, min(least + more, len(raw) + 1)), null_packets(more)]
    stream = np.concatenate(packets)
    ContinuityCounters().stamp(stream)
    return sent, stream


@settings(deadline=None)
@given(SECTIONS, st.integers(1, 200))
def test_all_sections_come_out_whatever_the_batches(sections, batch):
    sent, stream = stream_of(sections)
    assert sorted(taken(filter_of(*PIDS), stream, batch)) == sorted(sent)
    assert sorted(taken(filter_of(PIDS[0]), stream, batch)) == sorted(each for each in sent if each[0] == PIDS[0])


@settings(deadline=None)
@given(SECTIONS, st.integers(1, 200), st.data())
def test_a_lost_packet_costs_its_own_section_only(sections, batch, data):
    sent, stream = stream_of([(pid, size, 0) for pid, size, _ in sections])
    lost = data.draw(st.integers(0, len(stream) - 1))
    starts = np.flatnonzero(stream[:, 1] & 0x40)
    spoiled = int(np.searchsorted(starts, lost, side="right")) - 1
    left = np.delete(stream, lost, axis=0)
    assert sorted(taken(filter_of(*PIDS), left, batch)) == sorted(sent[:spoiled] + sent[spoiled + 1 :])


def back_to_back(sections: list[bytes], pid: int) -> np.ndarray:
    """As other makers do: sections right behind each other, pointer fields where one begins within a packet."""
    joined, begins = b"".join(sections), []
    at = 0
    for section in sections:
        begins.append(at)
        at += len(section)
    packets, start = [], 0
    while start < len(joined):
        inside = [begin for begin in begins if start <= begin < start + 183]
        head = bytes([inside[0] - start]) if inside else b""
        # A packet without a pointer field must not begin a section with its last byte: stuffing takes its place.
        end = start + 183 if inside or start + 183 in begins else start + 184
        part = joined[start:end]
        start += len(part)
        flags = 0x40 if inside else 0
        packet = bytes([0x47, flags | pid >> 8, pid & 0xFF, 0x10]) + head + part
        packets.append(packet.ljust(PACKET_BYTES, b"\xff"))
    stream = np.frombuffer(bytearray(b"".join(packets)), dtype=np.uint8).reshape(-1, PACKET_BYTES)
    ContinuityCounters().stamp(stream)
    return stream


@settings(deadline=None)
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=20), st.integers(1, 60))
def test_sections_that_begin_anywhere_come_out(sizes, batch):
    sent = [build_section(0x3C, number, bytes([number]) * size) for number, size in enumerate(sizes)]
    stream = back_to_back(sent, 0x101)
    assert sorted(raw for _, raw in taken(filter_of(0x101), stream, batch)) == sorted(sent)


def test_repeated_packets_are_taken_once():
    sent, stream = stream_of([(0x101, 1000, 0)] * 3)
    twice = np.repeat(stream, 2, axis=0)
    assert taken(filter_of(0x101), twice, 1000) == sent


def test_packets_that_need_walking_are_limited():
    sent = [build_section(0x3C, number, bytes(700)) for number in range(40)]
    stream = back_to_back(sent, 0x101)
    section_filter = filter_of(0x101)
    found = taken(section_filter, stream, len(stream), most_odd=len(stream) // 2)
    assert 0 < len(found) <= len(sent) // 2 + 1
    counts = section_filter._counts
    assert counts["odd_dropped"] >= len(stream) // 2 - 8


@pytest.mark.slow
def test_a_flood_of_pids_does_not_make_it_grow():
    section_filter = SectionFilter(Counter())
    section_filter.wanted[:] = True
    flood = np.concatenate([cut_section(build_section(0x3C, 0, bytes(3000)), pid)[:2] for pid in range(1, 5000)])
    taken(section_filter, flood, 700)
    assert len(section_filter._states) <= MAX_PIDS


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.booleans())
def test_any_packets_are_read_without_complaint(seed, count, is_ours):
    rng = np.random.default_rng(seed)
    packets = rng.integers(0, 256, (count, PACKET_BYTES), dtype=np.uint8)
    packets[:, 0] = 0x47
    if is_ours:
        packets[:, 1] = 0x01 | rng.integers(0, 2, count) << 6
        packets[:, 2] = 0x01
    section_filter = SectionFilter(Counter())
    section_filter.wanted[:] = True
    for rows in section_filter.receive(packets):
        assert rows.rows.shape[1] <= 4098
    for state in section_filter._states.values():
        assert len(state.waiting) <= 23
        assert len(state.walker.unfinished or b"") <= 4096 + 184


def with_rtp(datagrams: np.ndarray, first_byte: int = 0x80, extra: bytes = b"") -> np.ndarray:
    head = bytearray(RtpHeader.build({"sequence": 1, "timestamp": 2, "source": 3}))
    head[0] = first_byte
    prefix = np.frombuffer(bytes(head) + extra, dtype=np.uint8)
    return np.concatenate([np.repeat(prefix[None], len(datagrams), axis=0), datagrams], axis=1)


@pytest.mark.parametrize(
    ("first_byte", "extra"), [(0x80, b""), (0x82, bytes(8)), (0x90, b"\0\0\0\2" + bytes(8)), (0x91, bytes(8))]
)
def test_rtp_headers_are_cut_off(first_byte, extra):
    datagrams = np.random.default_rng(0).integers(0, 256, (5, 7 * PACKET_BYTES), dtype=np.uint8)
    counts: Counter[str] = Counter()
    assert (
        packets_of_datagrams(with_rtp(datagrams, first_byte, extra), True, counts) == datagrams.reshape(-1, 188)
    ).all()
    assert not counts["rtp"]


@pytest.mark.parametrize("rows", [np.zeros((3, 1316), np.uint8), np.full((3, 1328), 0xBF, np.uint8)])
def test_what_is_no_rtp_is_counted(rows):
    counts: Counter[str] = Counter()
    assert len(packets_of_datagrams(rows, True, counts)) == 0
    assert sum(counts.values()) == 3
