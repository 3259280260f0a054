"""Membership of a group on one interface, by the newest call that the kernel has.

`MCAST_JOIN_GROUP` (RFC 3678) serves both families. Where it is missing (old kernels, emulated ones), the older calls
do: `ip_mreqn`, then `ip_mreq` with the interface's address; for IPv6 `ipv6_mreq`.
"""

import errno
import fcntl
import ipaddress
import socket
import struct

from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError, UsageError

__all__ = ["Membership"]

MCAST_JOIN_GROUP = 42
MCAST_LEAVE_GROUP = 45
MCAST_JOIN_SOURCE_GROUP = 46
MCAST_LEAVE_SOURCE_GROUP = 47
IP_ADD_SOURCE_MEMBERSHIP = 39
IP_DROP_SOURCE_MEMBERSHIP = 40
SIOCGIFADDR = 0x8915
MISSING = {errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What kernels answer to a call that they do not know."""

Call = tuple[int, int, int, bytes]
"""Protocol level, the option that joins, the option that leaves, and what both are given."""


def _sockaddr(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    """Return a sockaddr_storage (128 bytes) of an address, port 0."""
    if address.version == 4:
        head = struct.pack("=HH4s", socket.AF_INET, 0, address.packed)
    else:
        head = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, address.packed, 0)
    return head.ljust(128, b"\0")


class Membership:
    """Joins and leaves one group on one interface; from one source only, if one is given."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint, interface: str, source: str | None) -> None:
        self._socket = sock
        self._group = ipaddress.ip_address(endpoint.group)
        self._interface = interface
        self._index = _interface_index(interface)
        self._source = _parse_source(source, self._group.version) if source is not None else None
        self._joined: Call | None = None

    @property
    def index(self) -> int:
        """The interface's number."""
        return self._index

    def join(self) -> None:
        """Become a member; `OperatorError` where the interface does not let it."""
        refused: OSError | None = None
        for call in self._calls():
            level, option, _, request = call
            try:
                self._socket.setsockopt(level, option, request)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return  # it is a member
                refused = error
                if error.errno not in MISSING:
                    break
            else:
                self._joined = call
                return
        self._refuse(refused)

    def rejoin(self) -> None:
        """Leave and join: a switch without a querier forgets members after some minutes."""
        try:
            if self._joined is not None:
                level, _, option, request = self._joined
                self._socket.setsockopt(level, option, request)
            self.join()
        except (OSError, OperatorError):
            pass  # the interface is away: membership comes back with it, or with the next attempt

    def _calls(self) -> list[Call]:
        """Return the ways to join, the best one first."""
        level = socket.IPPROTO_IP if self._group.version == 4 else socket.IPPROTO_IPV6
        request = struct.pack("=I4x", self._index) + _sockaddr(self._group)
        if self._source is not None:
            newest = (level, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP, request + _sockaddr(self._source))
            if self._group.version == 6:
                return [newest]
            older = self._group.packed + self._address() + self._source.packed
            return [newest, (level, IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP, older)]
        newest = (level, MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, request)
        if self._group.version == 6:
            older = self._group.packed + struct.pack("=I", self._index)
            return [newest, (level, socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP, older)]
        ip_mreq = self._group.packed + self._address()
        ip_mreqn = ip_mreq + struct.pack("=i", self._index)
        options = (socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP)
        return [newest, (level, *options, ip_mreqn), (level, *options, ip_mreq)]

    def _address(self) -> bytes:
        """Return the interface's IPv4 address; 0.0.0.0 where it has none."""
        request = self._interface.encode().ljust(256, b"\0")
        try:
            return fcntl.ioctl(self._socket.fileno(), SIOCGIFADDR, request)[20:24]
        except OSError:
            return bytes(4)

    def _refuse(self, error: OSError | None) -> None:
        if error is not None and error.errno in MISSING and self._source is not None:
            raise OperatorError(
                f"the kernel does not know how to join {self._group} from one source ({error.strerror}); "
                "leave --source away"
            )
        reason = error.strerror if error is not None else "no way to join is known"
        raise OperatorError(
            f"interface {self._interface} does not let {self._group} be joined "
            f"({reason}); is it up (`ip link`), and has it an address of that family?"
        )


def _parse_source(source: str, version: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        parsed = ipaddress.ip_address(source)
    except ValueError:
        raise OperatorError(f"the source {source!r} is no IP address; give the head-end's, such as 192.0.2.1") from None
    if parsed.version != version:
        raise UsageError(f"the source {source} is IPv{parsed.version}, but the group is IPv{version}")
    return parsed


def _interface_index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise OperatorError(f"there is no interface {interface!r} here; there are {known}") from None
