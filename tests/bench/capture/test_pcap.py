"""Captures in the framings and formats that tcpdump and Wireshark write, read as they come."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, Dot1Q, Ether, Loopback
from scapy.packet import Raw
from scapy.utils import PcapNgWriter, RawPcapWriter

from bench.capture.framing import Datagram, datagram_of
from bench.capture.pcap import Captured, batches_of, read_carousel

PAYLOAD = bytes(range(64))
INET = IP(src="192.0.2.1", dst="239.255.77.1") / UDP(sport=9, dport=5077) / Raw(PAYLOAD)
INET6 = IPv6(src="2001:db8::1", dst="ff15::4d") / UDP(sport=9, dport=5077) / Raw(PAYLOAD)
EXPECTED = Datagram("239.255.77.1", 5077, PAYLOAD)


@pytest.mark.parametrize(
    ("link_type", "frame", "expected"),
    [
        (1, Ether() / INET, EXPECTED),
        (1, Ether() / Dot1Q(vlan=7) / INET, EXPECTED),
        (1, Ether(type=0x88A8) / Dot1Q(vlan=7) / Dot1Q(vlan=8) / INET, EXPECTED),
        (1, Ether() / INET6, Datagram("ff15::4d", 5077, PAYLOAD)),
        (101, INET, EXPECTED),
        (101, INET6, Datagram("ff15::4d", 5077, PAYLOAD)),
        (113, CookedLinux() / INET, EXPECTED),
        (0, Loopback() / INET, EXPECTED),
        (101, IP(options=b"\x01\x01\x01\x01", dst="239.255.77.1") / UDP(dport=5077) / Raw(PAYLOAD), EXPECTED),
        (1, Ether() / IP(dst="239.255.77.1", frag=3, proto=17) / Raw(PAYLOAD), None),
        (1, Ether() / IP(dst="239.255.77.1", flags="MF") / UDP(dport=5077) / Raw(PAYLOAD), None),
        (1, Ether() / IP(dst="239.255.77.1") / Raw(PAYLOAD), None),
        (147, INET, None),
    ],
)
def test_the_payload_is_found_in_every_framing(link_type, frame, expected):
    assert datagram_of(link_type, bytes(frame)) == expected


def test_ethernet_padding_is_no_payload():
    frame = bytes(Ether() / IP(dst="239.255.77.1") / UDP(dport=5077) / Raw(b"ab")) + bytes(16)
    assert datagram_of(1, frame) == Datagram("239.255.77.1", 5077, b"ab")


@given(st.integers(0, 300), st.binary(max_size=80))
def test_any_frame_is_read_or_passed_over(link_type, frame):
    found = datagram_of(link_type, frame)
    assert found is None or found.payload in frame


def test_pcapng_is_read(tmp_path):
    writer = PcapNgWriter(str(tmp_path / "x.pcapng"))
    for time_s in (1_700_000_000.25, 1_700_000_001.5):
        packet = Ether() / INET
        packet.time = time_s
        writer.write(packet)
    writer.close()
    found = list(read_carousel(tmp_path / "x.pcapng"))
    assert [each[1:] for each in found] == [EXPECTED, EXPECTED]
    assert [each.time_s for each in found] == pytest.approx([1_700_000_000.25, 1_700_000_001.5], abs=1e-5)


def test_a_packet_is_given_before_the_next_is_written(tmp_path):
    """So memory is bounded, and a replay begins at once: a capture may even be one that is still being made."""
    pipe, goes_on = tmp_path / "live.pcap", threading.Event()
    os.mkfifo(pipe)

    def write():
        with pipe.open("wb", buffering=0) as file:
            writer = RawPcapWriter(file, linktype=101, sync=True)
            writer.write_header(None)
            writer.write_packet(bytes(INET), sec=1, usec=0)
            goes_on.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert next(read_carousel(pipe))[1:] == EXPECTED
    finally:
        goes_on.set()
        thread.join()


def captured(times, sizes):
    return [
        Captured(time_s, "g", 1, bytes([at % 256]) * size)
        for at, (time_s, size) in enumerate(zip(times, sizes, strict=True))
    ]


@given(
    st.lists(st.tuples(st.floats(0, 0.01), st.sampled_from([10, 20, 1400])), max_size=200),
    st.sampled_from([0.0, 0.001, 1.0]),
)
def test_batches_keep_order_size_and_time(steps, within_s):
    times, now = [], 0.0
    for step, _ in steps:
        now += step
        times.append(now)
    packets = captured(times, [size for _, size in steps])
    batches = list(batches_of(packets, within_s))
    assert [b.packet(row) for _, b in batches for row in range(b.count)] == [each.payload for each in packets]
    at = 0
    for time_s, batch in batches:
        mine = packets[at : at + batch.count]
        assert time_s == mine[0].time_s
        assert mine[-1].time_s - time_s <= within_s
        assert batch.count * batch.stride <= 65507
        at += batch.count
