"""Real sockets, on lo only; IPv6 multicast has no route there, and is tested between namespaces (tests/e2e)."""

import errno
import os
import socket
import time

import pytest

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from headend.link.sender import GroupSender
from settop.link.listener import GroupListener
from settop.link.reads import BUFFER_BYTES, SMALL_BUFFER_BYTES


@pytest.fixture
def port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def receive(listener, count):
    packets = []
    for _ in range(400):
        for batch in listener.batches():
            packets += [batch.packet(index) for index in range(batch.count)]
        if len(packets) >= count:
            break
        time.sleep(0.005)
    return packets


@pytest.mark.parametrize("offload", [True, False], ids=["gso-gro", "plain"])
def test_batches_cross_lo_as_they_were(offload, port):
    endpoint = Endpoint.parse(f"239.255.77.9:{port}")
    listener = GroupListener(endpoint, "lo", use_gro=offload)
    sender = GroupSender(endpoint, "lo", use_gso=offload)
    try:
        assert listener.uses_gro == sender.uses_gso == offload
        packets = [bytes([number]) * 1468 for number in range(40)]
        sender.send(Batch(memoryview(b"".join(packets)), 1468, 40))
        sender.send(Batch(memoryview(b"announcement"), 12, 1))
        sender.send(Batch(memoryview(b"".join(packets[:3])), 1468, 3))
        assert receive(listener, 44) == [*packets, b"announcement", *packets[:3]]
        assert listener.socket_drops == 0
    finally:
        listener.close()
        sender.close()


@pytest.mark.parametrize(("is_small", "size"), [(False, BUFFER_BYTES), (True, SMALL_BUFFER_BYTES)])
def test_where_memory_is_short_its_buffer_is_small_and_serves_as_well(port, is_small, size):
    endpoint = Endpoint.parse(f"239.255.77.9:{port}")
    listener, sender = GroupListener(endpoint, "lo", is_small=is_small), GroupSender(endpoint, "lo")
    try:
        assert len(listener.buffer) == size
        sender.send(Batch(memoryview(b"x" * 100), 100, 1))
        assert receive(listener, 1) == [b"x" * 100]
    finally:
        listener.close()
        sender.close()


def test_several_boxes_share_a_port_and_rejoin(port):
    endpoint = Endpoint.parse(f"239.255.77.9:{port}")
    boxes = [GroupListener(endpoint, "lo") for _ in range(2)]
    sender = GroupSender(endpoint, "lo")
    try:
        for box in boxes:
            box.rejoin()
        sender.send(Batch(memoryview(b"x" * 100), 100, 1))
        assert [receive(box, 1) for box in boxes] == [[b"x" * 100]] * 2
    finally:
        for each in (*boxes, sender):
            each.close()


def test_other_sources_are_not_heard_with_a_source_given(port):
    endpoint = Endpoint.parse(f"232.1.77.9:{port}")
    ours, foreign = (
        GroupListener(endpoint, "lo", source="127.0.0.1"),
        GroupListener(endpoint, "lo", source="127.0.0.99"),
    )
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sender.bind(("127.0.0.1", 0))
        sender.sendto(b"hello", (endpoint.group, port))
        assert receive(ours, 1) == [b"hello"]
        assert list(foreign.batches()) == []
    finally:
        for each in (ours, foreign, sender):
            each.close()


@pytest.mark.slow
def test_what_the_socket_had_to_drop_is_known(port):
    endpoint = Endpoint.parse(f"239.255.77.9:{port}")
    listener, sender = GroupListener(endpoint, "lo", buffer_bytes=100_000), GroupSender(endpoint, "lo")
    try:
        rows = memoryview(bytes(1468 * 40))
        for _ in range(60):
            sender.send(Batch(rows, 1468, 40))
        receive(listener, 10**9)
        sender.send(Batch(rows, 1468, 40))
        receive(listener, 40)
        assert listener.socket_drops > 0
    finally:
        listener.close()
        sender.close()


def test_a_missing_interface_is_explained():
    with pytest.raises(OperatorError, match="no interface 'nosuch0'"):
        GroupListener(Endpoint("239.255.77.9", 5), "nosuch0")
    with pytest.raises(OperatorError, match="no interface 'nosuch0'"):
        GroupSender(Endpoint("239.255.77.9", 5), "nosuch0")


def test_a_port_that_is_taken_is_explained(port):
    endpoint = Endpoint.parse(f"239.255.77.9:{port}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((endpoint.group, port))
        with pytest.raises(OperatorError, match=f"port {port} is taken"):
            GroupListener(endpoint, "lo")


class OldKernelSocket(socket.socket):
    """A socket of a kernel, or an emulator, that does not know some options."""

    missing = frozenset()

    def setsockopt(self, level, option, *value):
        if (level, option) in self.missing:
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        super().setsockopt(level, option, *value)


OPTIONAL = {(socket.SOL_SOCKET, 40), (socket.IPPROTO_UDP, 104), (socket.IPPROTO_IP, 49), (socket.SOL_SOCKET, 33)}
"""SO_RXQ_OVFL, UDP_GRO, IP_MULTICAST_ALL, SO_RCVBUFFORCE."""
MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP = (socket.IPPROTO_IP, 42), (socket.IPPROTO_IP, 46)


@pytest.mark.parametrize(("group", "source"), [("239.255.77.9", None), ("232.1.77.9", "127.0.0.1")])
def test_options_that_a_kernel_lacks_are_done_without(group, source, port, monkeypatch):
    monkeypatch.setattr(socket, "socket", OldKernelSocket)
    monkeypatch.setattr(OldKernelSocket, "missing", OPTIONAL | {MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP})
    listener = GroupListener(Endpoint(group, port), "lo", source)
    try:
        assert not listener.uses_gro
        assert sorted(note.split()[0] for note in listener.notes if "clips" not in note) == ["UDP_GRO", "this", "this"]
        listener.rejoin()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sender.bind(("127.0.0.1", 0))
            sender.sendto(b"hello", (group, port))
        assert receive(listener, 1) == [b"hello"]
    finally:
        listener.close()


def test_a_kernel_that_can_not_join_is_an_error_that_names_what_is_needed(port, monkeypatch):
    monkeypatch.setattr(socket, "socket", OldKernelSocket)
    joins = {MCAST_JOIN_GROUP, (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP), MCAST_JOIN_SOURCE_GROUP}
    monkeypatch.setattr(OldKernelSocket, "missing", joins | {(socket.IPPROTO_IP, 39)})
    with pytest.raises(OperatorError, match="does not let 239"):
        GroupListener(Endpoint("239.255.77.9", port), "lo")
    with pytest.raises(OperatorError, match="leave --source away"):
        GroupListener(Endpoint("232.1.77.9", port), "lo", "127.0.0.1")


@pytest.mark.parametrize(("source", "said"), [("notanip", "is no IP address"), ("::1", "IPv6, but the group is IPv4")])
def test_a_source_that_can_not_be_is_explained(source, said, port):
    with pytest.raises(OperatorError, match=said):
        GroupListener(Endpoint("232.1.77.9", port), "lo", source)
