"""The receiving socket: joins a group on one interface, and hands out whole batches.

With UDP_GRO one call returns up to 64 KiB of coalesced packets; SO_RXQ_OVFL tells what the socket itself had to
drop. Where the kernel lacks GRO, packets are read one by one, and make batches all the same.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError

__all__ = ["GroupListener"]

UDP_GRO = 104
SO_RXQ_OVFL = 40
SO_RCVBUFFORCE = 33
MCAST_JOIN_GROUP = 42
MCAST_LEAVE_GROUP = 45
MCAST_JOIN_SOURCE_GROUP = 46
MCAST_LEAVE_SOURCE_GROUP = 47
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29

BUFFER_BYTES = 1 << 19
"""Eight reads of coalesced packets: still in the second-level cache of most processors."""
COALESCED_BYTES = 1 << 16
MAX_PLAIN_PACKET_BYTES = 2048
SOCKET_BUFFER_BYTES = 64 << 20
PATIENT_BUFFER_BYTES = 4 << 20
"""A socket buffer of this size holds what comes while its reader waits some milliseconds for more."""
_TRUNCATED = int(socket.MSG_TRUNC)
"""As a plain number: an `IntFlag` costs microseconds an operation."""


def _sockaddr(address: str) -> bytes:
    """Return a sockaddr_storage (128 bytes) of an address, port 0."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        head = struct.pack("=HH4s", socket.AF_INET, 0, parsed.packed)
    else:
        head = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, parsed.packed, 0)
    return head.ljust(128, b"\0")


class GroupListener:
    """A socket that listens to one group on one interface."""

    def __init__(
        self,
        endpoint: Endpoint,
        interface: str,
        source: str | None = None,
        use_gro: bool = True,
        buffer_bytes: int = SOCKET_BUFFER_BYTES,
    ) -> None:
        self.socket_drops = 0
        self.oversized = 0
        self.notes: list[str] = []
        self._endpoint = endpoint
        self._source = source
        self._index = _interface_index(interface)
        self._is_bound = False
        family = socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._memory = bytearray(BUFFER_BYTES)
        self._buffer = memoryview(self._memory)
        try:
            self._set_up(endpoint, interface, use_gro, buffer_bytes)
        except BaseException:
            self._socket.close()
            raise

    def _set_up(self, endpoint: Endpoint, interface: str, use_gro: bool, buffer_bytes: int) -> None:
        sock = self._socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self._set_buffer(buffer_bytes)
        self.uses_gro = use_gro and self._try_gro()
        self._read_bytes = COALESCED_BYTES if self.uses_gro else MAX_PLAIN_PACKET_BYTES
        if not self.uses_gro:
            self.notes.append("UDP_GRO is off: packets are read one by one")
        if endpoint.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        try:
            scope = self._index if endpoint.is_ipv6 else None
            address = (endpoint.group, endpoint.port)
            sock.bind((*address, 0, scope) if scope is not None else address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OperatorError(
                    f"port {endpoint.port} is taken by a program that does not share it; end it, or cast to "
                    "another port"
                ) from None
            raise
        self.join(interface)

    def _set_buffer(self, wanted: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, wanted)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        got = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self.is_patient = got >= PATIENT_BUFFER_BYTES
        if got < wanted:
            self.notes.append(
                f"the kernel clips the socket buffer to {got} of {wanted} bytes: "
                f"sysctl -w net.core.rmem_max={wanted} lets it hold more"
            )

    def _try_gro(self) -> bool:
        try:
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        except OSError:
            return False
        return True

    def _group_request(self) -> tuple[int, int, bytes]:
        """Return (protocol level, 1 if source-specific, struct group_req or group_source_req)."""
        level = socket.IPPROTO_IPV6 if self._endpoint.is_ipv6 else socket.IPPROTO_IP
        request = struct.pack("=I4x", self._index) + _sockaddr(self._endpoint.group)
        if self._source is None:
            return level, 0, request
        return level, 1, request + _sockaddr(self._source)

    def join(self, interface: str = "") -> None:
        """Join the group on the interface."""
        level, specific, request = self._group_request()
        option = MCAST_JOIN_SOURCE_GROUP if specific else MCAST_JOIN_GROUP
        try:
            self._socket.setsockopt(level, option, request)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OperatorError(
                    f"interface {interface or self._index} does not let {self._endpoint.group} be joined "
                    f"({error.strerror}); is it up (`ip link`), and has it an address of that family?"
                ) from None

    def rejoin(self) -> None:
        """Leave and join: a switch without a querier forgets members after some minutes."""
        level, specific, request = self._group_request()
        option = MCAST_LEAVE_SOURCE_GROUP if specific else MCAST_LEAVE_GROUP
        try:
            self._socket.setsockopt(level, option, request)
            self.join()
        except (OSError, OperatorError):
            pass  # the interface is away: membership comes back with it, or with the next attempt

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()

    def batches(self) -> Iterator[Batch]:
        """Yield the batches that wait, at most one buffer's worth. They lie in one buffer: use, then go on.

        What consecutive reads bring lies side by side, so equal packets of several reads are one batch: the
        cost of a NumPy call is the same for 40 packets and for 400.
        """
        start = used = stride = 0
        while used + self._read_bytes <= BUFFER_BYTES:
            size, segment = self._read(self._buffer[used : used + self._read_bytes])
            if size < 0:
                break
            if size == 0:
                continue
            if segment != stride and used > start:
                yield Batch(self._buffer[start:used], stride, (used - start) // stride)
                start = used
            stride = segment
            tail = size % segment
            used += size
            if tail:
                if used - tail > start:
                    yield Batch(self._buffer[start : used - tail], stride, (used - tail - start) // stride)
                yield Batch(self._buffer[used - tail : used], tail, 1)
                start = used
        if used > start:
            yield Batch(self._buffer[start:used], stride, (used - start) // stride)

    def _read(self, into: memoryview) -> tuple[int, int]:
        """Read once; return (bytes, bytes of each packet), -1 bytes if nothing waits, 0 if it is to be skipped."""
        try:
            size, controls, flags, _ = self._socket.recvmsg_into([into], 128)
        except (BlockingIOError, InterruptedError):
            return -1, 0
        except OSError:
            return -1, 0  # an error of the link, such as ENETDOWN: it says nothing of the next packet
        segment = size
        for level, kind, data in controls:
            if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                segment = struct.unpack("=i", data[:4])[0]
            elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                self.socket_drops = struct.unpack("=I", data)[0]
        if flags & _TRUNCATED or size == 0:
            self.oversized += 1
            return 0, 0
        return size, segment


def _interface_index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise OperatorError(f"there is no interface {interface!r} here; there are {known}") from None
