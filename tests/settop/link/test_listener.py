"""Real sockets, on lo only; IPv6 multicast has no route there, and is tested between namespaces (tests/e2e)."""

import socket
import time

import pytest

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from headend.link.sender import GroupSender
from settop.link.listener import GroupListener


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
