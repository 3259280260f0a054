"""The sending socket: a batch leaves by one system call where the kernel has UDP_SEGMENT (GSO)."""

import errno
import socket
import struct

from carousel.batch import Batch
from carousel.endpoint import Endpoint
from carousel.errors import OperatorError

__all__ = ["Egress"]

UDP_SEGMENT = 103
SO_SNDBUF_BYTES = 4 << 20
IPV6_MULTICAST_HOPS = 18
IP_UDP_BYTES = {False: 28, True: 48}
"""Headers of IP and UDP around a payload, by whether it is IPv6."""


class Egress:
    """A socket that sends to one group through one interface."""

    def __init__(self, endpoint: Endpoint, interface: str, ttl: int = 1, dscp: int = 0, use_gso: bool = True) -> None:
        self._is_ipv6 = endpoint.is_ipv6
        try:
            index = socket.if_nametoindex(interface)
        except OSError:
            known = ", ".join(name for _, name in socket.if_nameindex())
            raise OperatorError(f"there is no interface {interface!r} here; there are {known}") from None
        family = socket.AF_INET6 if self._is_ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SO_SNDBUF_BYTES)
        if self._is_ipv6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
            self._address: tuple[str, int] | tuple[str, int, int, int] = (
                endpoint.group,
                endpoint.port,
                0,
                index,
            )
        else:
            request = struct.pack("=4s4si", bytes(4), bytes(4), index)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
            self._address = (endpoint.group, endpoint.port)
        self.uses_gso = use_gso and self._has_gso()
        self._segment = 0

    def _has_gso(self) -> bool:
        try:
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        except OSError:
            return False
        return True

    def send(self, batch: Batch) -> None:
        """Send a batch; `OSError` where the network does not take it."""
        if self.uses_gso and batch.count > 1:
            try:
                self._send_segmented(batch)
                return
            except OSError as error:
                if error.errno not in (errno.EIO, errno.EINVAL, errno.EMSGSIZE):
                    raise
                self.uses_gso = False  # a device without checksum offload, or packets above its MTU
        self._segment_to(0)
        for start in range(0, batch.count * batch.stride, batch.stride):
            self._socket.sendto(batch.buffer[start : start + batch.stride], self._address)

    def _send_segmented(self, batch: Batch) -> None:
        self._segment_to(batch.stride)
        self._socket.sendto(batch.buffer[: batch.count * batch.stride], self._address)

    def _segment_to(self, stride: int) -> None:
        """Set the segment size on the socket: it stays the same for nearly all batches."""
        if self._segment != stride and (self.uses_gso or self._segment):
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, stride)
            self._segment = stride

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
