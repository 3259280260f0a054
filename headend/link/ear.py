"""The listening socket of a pair of head-ends: what else is sent to our group.

A head-end that is one of a pair hears its peer by it. What it sent itself comes back, too, where somebody on this
machine listens; it is known by its source address and left out.
"""

import errno
import socket
import struct
from collections.abc import Callable, Iterator

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError

__all__ = ["GroupEar"]

UDP_GRO = 104
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29
BUFFER_BYTES = 1 << 16
MOST_READS = 256
"""Reads at once; what a wake-up does not read, the next one does, or the socket drops it."""
SOCKET_BUFFER_BYTES = 4 << 20

Address = tuple[str, int]


class GroupEar:
    """Hears one group on one interface, but for packets from the addresses that `is_ours` knows."""

    def __init__(self, endpoint: Endpoint, interface: str, is_ours: Callable[[Address], bool]) -> None:
        self._is_ours = is_ours
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        family = socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._join(endpoint, interface)
        except BaseException:
            self._socket.close()
            raise

    def _join(self, endpoint: Endpoint, interface: str) -> None:
        index, sock = socket.if_nametoindex(interface), self._socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        self._try_option(socket.IPPROTO_UDP, UDP_GRO, 1)
        try:
            if endpoint.is_ipv6:
                self._try_option(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
                sock.bind((endpoint.group, endpoint.port, 0, index))
                request = socket.inet_pton(socket.AF_INET6, endpoint.group) + struct.pack("=I", index)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:
                self._try_option(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
                sock.bind((endpoint.group, endpoint.port))
                request = struct.pack("=4s4si", socket.inet_aton(endpoint.group), bytes(4), index)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError as error:
            raise OperatorError(
                f"a pair listens to {endpoint} on {interface}, which is not to be had ({error.strerror}); is the "
                "interface up, and the port free or shared?"
            ) from None

    def _try_option(self, level: int, option: int, value: int) -> None:
        try:
            self._socket.setsockopt(level, option, value)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise

    def hear(self) -> Iterator[Batch]:
        """Yield what waits, at most `MOST_READS` batches; they lie in one buffer: use, then go on."""
        for _ in range(MOST_READS):
            try:
                size, controls, flags, address = self._socket.recvmsg_into([self._buffer], 64)
            except OSError:
                return  # nothing waits; or an error of the link, which says nothing of the next packet
            if not size or flags & socket.MSG_TRUNC or self._is_ours(address[:2]):
                continue
            stride = size
            for level, kind, data in controls:
                if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                    stride = struct.unpack("=i", data[:4])[0]
            if size >= stride:
                yield Batch(self._buffer[: size - size % stride], stride, size // stride)

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()
