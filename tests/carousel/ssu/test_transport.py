import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.ssu.transport import (
    DATAGRAM_PACKETS,
    NULL_PID,
    PACKET_BYTES,
    ContinuityCounters,
    TransportHeader,
    clock_packet,
    cut_section,
    cut_sections,
    fill_datagrams,
    null_packets,
    packets_of_section,
    pids_of,
)


def payloads(packets: np.ndarray) -> bytes:
    """What packets carry, adaptation fields left out: read by hand."""
    carried = b""
    for raw in map(bytes, packets):
        header = TransportHeader.parse(raw)
        start = 4 + (1 + raw[4] if header.has_adaptation else 0)
        assert start <= PACKET_BYTES
        carried += raw[start:] if header.has_payload else b""
    return carried


@settings(deadline=None)
@given(st.integers(12, 4096), st.integers(1, 5))
def test_sections_are_cut_as_the_standard_says(length, count):
    sections = np.random.default_rng(length).integers(0, 256, (count, length), dtype=np.uint8)
    cut = cut_sections(sections, 0x123)
    assert cut.shape == (count, packets_of_section(length), PACKET_BYTES)
    for section, packets in zip(sections, cut, strict=True):
        headers = [TransportHeader.parse(bytes(packet)) for packet in packets]
        assert [header.starts_section for header in headers] == [1] + [0] * (len(packets) - 1)
        assert {header.pid for header in headers} == {0x123}
        carried = payloads(packets)
        assert carried[0] == 0
        assert carried[1 : 1 + length] == section.tobytes()
        assert set(carried[1 + length :]) <= {0xFF}


@settings(deadline=None)
@given(st.integers(12, 400), st.integers(0, 20))
def test_a_section_goes_into_more_packets_than_it_needs(length, more):
    section = bytes(range(256)) * 2
    section = section[:length]
    wanted = packets_of_section(length) + more
    if wanted > length + 1:
        with pytest.raises(ValueError, match="does not go into"):
            cut_section(section, 5, wanted)
        return
    packets = cut_section(section, 5, wanted)
    assert packets.shape == (wanted, PACKET_BYTES)
    assert payloads(packets)[1 : 1 + length] == section


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_groups_stay_within_datagrams(sizes):
    groups = [cut_section(bytes(184 * size - 1), number) for number, size in enumerate(sizes, 1)]
    filled = fill_datagrams(groups)
    assert len(filled) % DATAGRAM_PACKETS == 0
    pids = pids_of(filled)
    for number, size in enumerate(sizes, 1):
        at = np.flatnonzero(pids == number)
        assert len(at) == size
        assert at[-1] - at[0] == size - 1
        touched = at[-1] // DATAGRAM_PACKETS - at[0] // DATAGRAM_PACKETS + 1
        assert touched == -(-size // DATAGRAM_PACKETS)


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 2, NULL_PID]), min_size=1, max_size=200), st.integers(1, 50))
def test_continuity_counts_each_pid_on_across_batches(pids, batch):
    packets = np.concatenate([null_packets(1) if pid == NULL_PID else cut_section(b"x", pid) for pid in pids])
    counters = ContinuityCounters()
    for start in range(0, len(packets), batch):
        counters.stamp(packets[start : start + batch])
    for pid in (1, 2):
        mine = [packet[3] & 0xF for packet in packets if TransportHeader.parse(bytes(packet)).pid == pid]
        assert mine == [number % 16 for number in range(len(mine))]
        if mine:
            assert (mine[-1] + 1 + counters.packets_to_zero()[pid]) % 16 == 0
    assert all(TransportHeader.parse(bytes(packet)).has_payload for packet in packets)


@pytest.mark.parametrize("time_s", [0.0, 1.0, 12345.678])
def test_a_clock_packet_holds_the_time_and_does_not_count(time_s):
    packet = clock_packet(7, time_s)
    raw = packet.tobytes()
    ticks = (int.from_bytes(raw[6:10], "big") << 1 | raw[10] >> 7) * 300 + ((raw[10] & 1) << 8 | raw[11])
    assert abs(ticks / 27e6 - time_s) < 1e-7
    counters = ContinuityCounters()
    counters.stamp(packet)
    assert counters.packets_to_zero() == {}
