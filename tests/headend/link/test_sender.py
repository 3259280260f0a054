"""What leaves, seen by a plain socket on lo; batches from memory are tested with the listener (tests/settop)."""

import errno
import os
import socket
import struct

import pytest

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from headend.link import sender as module
from headend.link.qdisc import Qdisc
from headend.link.sender import GroupSender
from tests.conftest import noise

GROUP, STRIDE, COUNT = "239.255.77.12", 1468, 44


@pytest.fixture
def taker():
    """A socket that hears the group on lo."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((GROUP, 0))
        index = socket.if_nametoindex("lo")
        opened.setsockopt(
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            struct.pack("=4s4si", socket.inet_aton(GROUP), bytes(4), index),
        )
        opened.setblocking(False)
        yield opened


@pytest.fixture
def giver(taker):
    opened = GroupSender(Endpoint(GROUP, taker.getsockname()[1]), "lo")
    yield opened
    opened.close()


@pytest.fixture
def batch(tmp_path):
    """A batch that begins in the middle of a page of a file and is as large as can be."""
    content = noise(STRIDE * COUNT)
    (tmp_path / "x").write_bytes(bytes(4095) + content)
    with (tmp_path / "x").open("rb") as file:
        yield Batch(memoryview(content), STRIDE, COUNT, (file.fileno(), 4095))


def heard(taker):
    packets = []
    while True:
        try:
            packets.append(taker.recv(65536))
        except BlockingIOError:
            return packets


def cut(batch):
    return [batch.packet(index) for index in range(batch.count)]


def test_a_batch_in_a_file_leaves_as_it_lies_there(giver, taker, batch, monkeypatch):
    """Not from the buffer, where the kernel can do it: the buffer here says something else."""
    assert giver.sends_files
    elsewhere = Batch(memoryview(bytes(STRIDE * COUNT)), STRIDE, COUNT, batch.place)
    for _ in range(2):
        giver.send(elsewhere)
        giver.send(Batch(memoryview(b"announcement"), 12, 1))
        assert heard(taker) == [*cut(batch), b"announcement"]


def test_a_kernel_that_can_not_do_it_is_found_out(taker, batch, monkeypatch):
    """Older kernels refuse, or send in other pieces."""

    def in_pieces(out, source, offset, count):
        for start in range(offset, offset + count, 1000):
            os.write(out, os.pread(source, min(1000, offset + count - start), start))
        return count

    def refused(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    for sendfile in (in_pieces, refused):
        monkeypatch.setattr(os, "sendfile", sendfile)
        plain = GroupSender(Endpoint(GROUP, taker.getsockname()[1]), "lo")
        assert not plain.sends_files
        plain.send(batch)
        assert heard(taker) == cut(batch)
        plain.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_batch_that_does_not_leave_the_file_leaves_from_memory(giver, taker, batch, monkeypatch, number):
    def refused(*_):
        raise OSError(number, "")

    monkeypatch.setattr(os, "sendfile", refused)
    for attempt in range(1, 5):
        giver.send(batch)
        assert heard(taker) == cut(batch)
        assert giver.uses_gso
        assert giver.sends_files == (attempt < module.MAX_FILE_ERRORS)


def test_trouble_on_the_network_is_passed_on_and_the_socket_is_new(giver, taker, batch, monkeypatch):
    """A connected socket would keep the address that its interface had before the trouble."""
    sendfile, before = os.sendfile, giver._socket

    def down(*_):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(os, "sendfile", down)
    with pytest.raises(OSError, match="unreachable"):
        giver.send(batch)
    monkeypatch.setattr(os, "sendfile", sendfile)
    giver.send(batch)
    assert heard(taker) == cut(batch)
    assert giver._socket is not before


def test_a_file_that_ends_early_is_not_sent_in_part(giver, taker, batch, tmp_path):
    with (tmp_path / "short").open("w+b") as file:
        file.write(batch.buffer[: STRIDE * 3 + 7])
        file.flush()
        giver.send(Batch(batch.buffer, STRIDE, COUNT, (file.fileno(), 0)))
    assert heard(taker)[-COUNT:] == cut(batch)


def test_a_queue_that_paces_is_told_the_rate_and_fed_millisecond_bursts(giver, taker, batch, monkeypatch):
    """fq paces what the socket names, after trouble, too; 9 packets are a millisecond of 100 Mb/s."""
    fq = Qdisc(socket.if_nametoindex("lo"), 0x80010000, 0xFFFFFFFF, "fq")
    monkeypatch.setattr(module, "_qdiscs", lambda: [fq])
    pacing = giver.pace_by_kernel(100e6, STRIDE)
    assert pacing is not None
    assert pacing.kind == "fq"
    sizes, sendfile = [], os.sendfile

    def counted(out, source, offset, count):
        sizes.append(count)
        if len(sizes) == 3:
            raise OSError(errno.EINVAL, "Invalid argument")
        return sendfile(out, source, offset, count)

    monkeypatch.setattr(os, "sendfile", counted)
    giver.send(batch)
    assert heard(taker) == cut(batch)[:18] + cut(batch), "what left before the trouble comes twice"
    giver.send(batch)
    assert heard(taker) == cut(batch)
    assert sizes == [STRIDE * 9] * 3 + [STRIDE * 9] * 4 + [STRIDE * 8]
    named = struct.unpack("=Q", giver._socket.getsockopt(socket.SOL_SOCKET, module.SO_MAX_PACING_RATE, 8))[0]
    on_the_wire = 100e6 / 8 * (STRIDE + 28 + 14) / STRIDE
    assert on_the_wire * 1.01 < named < on_the_wire * 1.03


def test_an_interface_without_a_queue_is_not_paced(giver):
    assert giver.pace_by_kernel(100e6, STRIDE) is None
