"""Reads of real sockets on lo: the native core's and Python's do the same."""

import socket

import pytest

from carousel.native import core
from settop.link.listener import batches_of
from settop.link.reads import (
    BUFFER_BYTES,
    LARGEST_READ_BYTES,
    MOST_READS,
    SO_RXQ_OVFL,
    UDP_GRO,
    NativeReads,
    PlainReads,
    reads_of,
)
from tests.carousel.native.need import BOTH

LO = ("127.0.0.1", 0)
UDP_SEGMENT = 103


@pytest.fixture(params=BOTH)
def link(request):
    """What is read, its buffer, and a socket that sends to it."""
    native = core() if request.param == "native" else None
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        ours.bind(LO)
        sender.connect(ours.getsockname())
        reads = reads_of(ours, buffer, native)
        assert isinstance(reads, NativeReads if native is not None else PlainReads)
        yield reads, buffer, sender, ours


def packets_of(reads, buffer):
    """Read till nothing waits any more."""
    found = []
    for _ in range(100):
        for batch in batches_of(buffer, reads.read()):
            found += [batch.packet(index) for index in range(batch.count)]
        if not reads.has_more:
            return found
    raise AssertionError("no end of reads")


def test_nothing_waits(link):
    reads, *_ = link
    assert reads.read() == []
    assert not reads.has_more
    assert (reads.unreadable, reads.socket_drops) == (0, 0)


def test_equal_packets_are_one_piece_and_a_shorter_one_ends_it(link):
    reads, _, sender, _ = link
    for size in (700, 700, 700, 3, 700):
        sender.send(bytes(size))
    assert reads.read() == [(0, 700, 2100), (2100, 3, 3), (2103, 700, 700)]
    assert not reads.has_more


def test_empty_datagrams_bring_nothing_and_cost_a_bounded_number_of_reads(link):
    reads, buffer, sender, _ = link
    for wake_up in (1, 2):
        for _ in range(MOST_READS):
            sender.send(b"")
        assert reads.read() == []
        assert reads.has_more
        assert reads.unreadable == wake_up * MOST_READS
    sender.send(b"hello")
    assert packets_of(reads, buffer) == [b"hello"]
    assert reads.unreadable == 2 * MOST_READS


def test_mixed_sizes_jumbo_and_fragments_arrive_as_they_were_sent(link):
    reads, buffer, sender, _ = link
    sizes = [1, 1468, 1468, 9000, 1, 60_000, 700, 700, 3]
    packets = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    for packet in packets:
        sender.send(packet)
    assert packets_of(reads, buffer) == packets


def test_a_wake_up_takes_no_more_than_its_buffer(link):
    reads, _, sender, ours = link
    small = memoryview(bytearray(LARGEST_READ_BYTES + 10_000))
    reads = reads_of(ours, small, reads.native if isinstance(reads, NativeReads) else None)
    packets = [bytes([number]) * 9000 for number in range(5)]
    for packet in packets:
        sender.send(packet)
    assert reads.read() == [(0, 9000, 18_000)]  # a third one might be larger than what is left
    assert reads.has_more
    assert packets_of(reads, small) == packets[2:]


def test_what_was_coalesced_is_told_apart(link):
    reads, buffer, sender, ours = link
    ours.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1468)
    packets = [bytes([number]) * 1468 for number in range(20)]
    sender.send(b"".join(packets))
    sender.send(b"".join(packets)[:-1])  # its last packet is shorter
    pieces = reads.read()
    assert pieces == [(0, 1468, 40 * 1468 - 1)]
    assert [packet for batch in batches_of(buffer, pieces) for packet in map(batch.packet, range(batch.count))] == [
        *packets,
        *packets[:-1],
        packets[-1][:-1],
    ]


def test_what_the_socket_had_to_drop_is_counted(link):
    reads, buffer, sender, ours = link
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    for _ in range(100):
        sender.send(bytes(9000))
    kept = len(packets_of(reads, buffer))
    sender.send(b"one more")
    assert packets_of(reads, buffer) == [b"one more"]
    assert reads.socket_drops == 100 - kept > 0
