"""The sending socket: a batch leaves by one system call where the kernel has UDP_SEGMENT (GSO).

A batch that lies in a file is not even copied: the kernel sends its pages (sendfile).
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from functools import lru_cache

from carousel.batch import MAX_BATCH_PACKETS, Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from headend.cast.pacing import packets_per_burst
from headend.link.qdisc import FRAME_BYTES, KernelPacing, Qdisc, dump_request, kernel_pacing, parse_qdiscs

__all__ = ["GroupSender"]

UDP_SEGMENT = 103
SO_SNDBUF_BYTES = 4 << 20
SO_MAX_PACING_RATE = 47
IPV6_MULTICAST_HOPS = 18
KERNEL_PACE = 1.02
"""The kernel's pace over the carousel's rate: so its queue runs empty, and our own clock keeps the rate."""
MAX_ANSWERS = 256
MAX_FILE_ERRORS = 3
"""After so many, batches are sent from memory: something on the way does not take the page cache."""
IP_UDP_BYTES = {False: 28, True: 48}
"""Headers of IP and UDP around a payload, by whether it is IPv6."""


class GroupSender:
    """A socket that sends to one group through one interface.

    `sends_files` says that batches which lie in a file go out from the page cache, uncopied (sendfile).
    """

    def __init__(self, endpoint: Endpoint, interface: str, ttl: int = 1, dscp: int = 0, use_gso: bool = True) -> None:
        try:
            self._index = socket.if_nametoindex(interface)
        except OSError:
            known = ", ".join(name for _, name in socket.if_nameindex())
            raise OperatorError(f"there is no interface {interface!r} here; there are {known}") from None
        self._endpoint, self._ttl, self._dscp = endpoint, ttl, dscp
        self.paced_by: str | None = None
        """The queue that spaces our packets, if one does."""
        self._pacing_rate = 0
        self._burst_packets = MAX_BATCH_PACKETS
        self._address: tuple[str, int] | tuple[str, int, int, int] = (endpoint.group, endpoint.port)
        if endpoint.is_ipv6:
            self._address = (endpoint.group, endpoint.port, 0, self._index)
        self._socket = self._open()
        self.uses_gso = use_gso and _has_gso(self._socket)
        self.sends_files = self.uses_gso and _can_send_files()
        self._file_errors = 0

    def _open(self) -> socket.socket:
        is_ipv6 = self._endpoint.is_ipv6
        opened = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SO_SNDBUF_BYTES)
        if is_ipv6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self._index)
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, self._ttl)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, self._dscp << 2)
        else:
            request = struct.pack("=4s4si", bytes(4), bytes(4), self._index)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, self._ttl)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._dscp << 2)
        if self._pacing_rate:
            opened.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("=Q", self._pacing_rate))
        self._segment = 0
        self._is_connected = False
        return opened

    def pace_by_kernel(self, rate_bps: float, packet_bytes: int) -> KernelPacing | None:
        """Have the kernel space packets at this rate of UDP payload, if the interface's queue can: say how."""
        frame_bytes = packet_bytes + IP_UDP_BYTES[self._endpoint.is_ipv6] + FRAME_BYTES
        wire_rate_bps = rate_bps * frame_bytes / packet_bytes
        pacing = kernel_pacing(_qdiscs(), self._index, wire_rate_bps)
        if pacing is None:
            return None
        self.paced_by = pacing.kind
        self._burst_packets = packets_per_burst(rate_bps, packet_bytes, MAX_BATCH_PACKETS)
        if pacing.needs_rate:
            self._pacing_rate = round(wire_rate_bps * KERNEL_PACE / 8)
            self._open_anew()
        return pacing

    def sent_from(self, address: tuple[str, int]) -> bool:
        """Say whether packets from this address are our own: by the port, which no other socket here has."""
        return address[1] == self._socket.getsockname()[1] and _is_of_this_machine(address[0], self._index)

    def _open_anew(self) -> None:
        self._socket.close()
        self._socket = self._open()

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
        if batch.place is not None and self.sends_files:
            try:
                self._send_from_file(batch, *batch.place)
                return
            except OSError as error:
                # A connected socket keeps its source address, which may be gone: let a new one find another.
                self._open_anew()
                self._file_errors += 1
                self.sends_files = self._file_errors < MAX_FILE_ERRORS
                if error.errno not in (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP):
                    raise
        self._segment_to(batch.stride)
        for start, end in self._bursts(batch):
            self._socket.sendto(batch.buffer[start:end], self._address)

    def _send_from_file(self, batch: Batch, descriptor: int, offset: int) -> None:
        if not self._is_connected:
            self._socket.connect(self._address)
            self._is_connected = True
        self._segment_to(batch.stride)
        for start, end in self._bursts(batch):
            if os.sendfile(self._socket.fileno(), descriptor, offset + start, end - start) != end - start:
                raise OSError(errno.EIO, "a part of a burst was sent")

    def _bursts(self, batch: Batch) -> Iterable[tuple[int, int]]:
        """Return where the bursts of a batch begin and end: the kernel spaces what calls hand it, nothing smaller."""
        total, step = batch.count * batch.stride, self._burst_packets * batch.stride
        if total <= step:
            return ((0, total),)
        return [(start, min(start + step, total)) for start in range(0, total, step)]

    def _segment_to(self, stride: int) -> None:
        """Set the segment size on the socket: it stays the same for nearly all batches."""
        if self._segment != stride and (self.uses_gso or self._segment):
            self._socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, stride)
            self._segment = stride

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _qdiscs() -> list[Qdisc]:
    """Ask the kernel for the queueing disciplines of all interfaces; none where it does not answer."""
    found: list[Qdisc] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(1.0)
            netlink.send(dump_request())
            for _ in range(MAX_ANSWERS):
                part, is_last = parse_qdiscs(netlink.recv(1 << 16))
                found += part
                if is_last:
                    break
    except OSError:
        return []
    return found


@lru_cache(maxsize=64)
def _is_of_this_machine(address: str, index: int) -> bool:
    """Say whether an address is one of this machine's: the kernel lets only these be bound."""
    is_ipv6 = ":" in address
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0, 0, index) if is_ipv6 else (address, 0))
        except OSError:
            return False
    return True


def _has_gso(of_socket: socket.socket) -> bool:
    try:
        of_socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def _can_send_files() -> bool:
    """Try it on the loopback: whether a batch sent from a file arrives as it should.

    A kernel might refuse it, or cut the packets elsewhere; Linux 6.1 and 6.18 do it right.
    """
    stride, count, offset = 1468, 44, 4095  # crosses more pages than a pipe has places
    content = b"".join(number.to_bytes(4, "big") * (stride // 4) for number in range(count))
    file = os.memfd_create("probe")
    try:
        os.pwrite(file, content, offset)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as giver,
        ):
            taker.bind(("127.0.0.1", 0))
            taker.setblocking(False)
            giver.connect(taker.getsockname())
            giver.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, stride)
            sent = os.sendfile(giver.fileno(), file, offset, len(content))
            came = [taker.recv(len(content)) for _ in range(count)]
            return sent == len(content) and all(len(each) == stride for each in came) and b"".join(came) == content
    except OSError:
        return False
    finally:
        os.close(file)
