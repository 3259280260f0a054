"""The relay's sockets towards boxes: whole departures out (GSO), what boxes answer in."""

import errno
import socket
import struct

import numpy as np
from numpy.typing import NDArray

from bench.link.topology import Target
from carousel.batch import MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES
from carousel.errors import OperatorError

__all__ = ["BoxSocket", "HeadEndSocket"]

UDP_SEGMENT = 103
BUFFER_BYTES = 4 << 20
MAX_ANSWER_BYTES = 65535


class BoxSocket:
    """Towards one box, or one group of boxes. What the system refuses to send is counted."""

    def __init__(self, target: Target, ttl: int = 1) -> None:
        self.refused_packets = 0
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._address: tuple[str, int] | tuple[str, int, int, int] = (target.address, target.port)
        if target.interface is not None:
            self._choose_interface(target, ttl)
        self._segment = 0

    def _choose_interface(self, target: Target, ttl: int) -> None:
        assert target.interface is not None
        try:
            index = socket.if_nametoindex(target.interface)
        except OSError:
            raise OperatorError(f"target {target}: there is no interface {target.interface!r} here") from None
        if ":" in target.address:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            self._address = (target.address, target.port, 0, index)
        else:
            request = struct.pack("=4s4si", bytes(4), bytes(4), index)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)

    def send(self, rows: NDArray[np.uint8]) -> None:
        """Send packets (n, size)."""
        count, size = rows.shape
        at_once = max(1, min(MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES // max(1, size)))
        if self._segment != size:
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            self._segment = size
        payload = np.ascontiguousarray(rows).data.cast("B")
        for first in range(0, count, at_once):
            end = min(count, first + at_once)
            try:
                self._socket.sendto(payload[first * size : end * size], self._address)
            except OSError as error:
                if error.errno != errno.ECONNREFUSED:  # a box that is not there yet says so once in a while
                    self.refused_packets += end - first

    def answers(self) -> list[bytes]:
        """Return what the box has sent back."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(MAX_ANSWER_BYTES))
            except BlockingIOError:
                return found
            except OSError:
                continue  # a refused packet of ours: the error is read away

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close."""
        self._socket.close()


class HeadEndSocket:
    """Towards the head-end, for what boxes send back."""

    def __init__(self, target: Target) -> None:
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._address = (target.address, target.port)

    def send(self, rows: NDArray[np.uint8]) -> None:
        """Send packets one by one: the way up is slow."""
        for row in rows:
            try:
                self._socket.sendto(row.tobytes(), self._address)
            except OSError:
                return

    def close(self) -> None:
        """Close."""
        self._socket.close()
