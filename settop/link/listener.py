"""The receiving socket: joins a group on one interface, and hands out all packets of a wake-up in one buffer.

With UDP_GRO one call returns up to 64 KiB of coalesced packets; SO_RXQ_OVFL tells what the socket itself had to
drop. Both are optional, as are other options that not every kernel has: what is missing is said in `notes`.
"""

import errno
import socket
from collections.abc import Iterator

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from carousel.native import core
from carousel.take import Piece
from settop.link.membership import MISSING, Membership
from settop.link.reads import BUFFER_BYTES, SMALL_BUFFER_BYTES, SO_RXQ_OVFL, UDP_GRO, reads_of

__all__ = ["GroupListener", "batches_of"]

SO_RCVBUFFORCE = 33
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29

SOCKET_BUFFER_BYTES = 64 << 20
PATIENT_BUFFER_BYTES = 4 << 20
"""A smaller socket buffer does not hold what comes while its reader waits for more."""
FILLING_BYTES_PER_S = 800e6
"""No carousel fills it faster."""
MOST_PATIENCE_S = 0.08


class GroupListener:
    """A socket that listens to one group on one interface.

    `read` fills `buffer`, which is used again by the next read, and is a smaller one where `is_small`. `patience_s`: so
    long packets may wait in the socket's buffer, of `buffer_bytes`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        interface: str,
        source: str | None = None,
        use_gro: bool = True,
        buffer_bytes: int = SOCKET_BUFFER_BYTES,
        is_small: bool = False,
    ) -> None:
        self.notes: list[str] = []
        family = socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self.buffer = memoryview(bytearray(SMALL_BUFFER_BYTES if is_small else BUFFER_BYTES))
        self._reads = reads_of(self._socket, self.buffer, core())
        try:
            self._membership = Membership(self._socket, endpoint, interface, source)
            self._set_up(endpoint, use_gro, buffer_bytes)
        except BaseException:
            self._socket.close()
            raise

    def _set_up(self, endpoint: Endpoint, use_gro: bool, buffer_bytes: int) -> None:
        sock = self._socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._set_buffer(buffer_bytes)
        self._try(socket.SOL_SOCKET, SO_RXQ_OVFL, 1, "this kernel does not tell what its socket drops")
        self.uses_gro = use_gro and self._try(socket.IPPROTO_UDP, UDP_GRO, 1)
        if not self.uses_gro:
            self.notes.append("UDP_GRO is off: packets are read one by one")
        level, option = (
            (socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL) if endpoint.is_ipv6 else (socket.IPPROTO_IP, IP_MULTICAST_ALL)
        )
        self._try(level, option, 0, "this kernel also hands out what others here join on the same port")
        self._bind(endpoint)
        self._membership.join()

    def _try(self, level: int, option: int, value: int, note: str | None = None) -> bool:
        """Set an option that a kernel may lack; say whether it is set, and note where it is not."""
        try:
            self._socket.setsockopt(level, option, value)
        except OSError as error:
            if error.errno not in MISSING:
                raise
            if note:
                self.notes.append(f"{note} (option {option}: {error.strerror})")
            return False
        return True

    def _bind(self, endpoint: Endpoint) -> None:
        address = (endpoint.group, endpoint.port)
        try:
            self._socket.bind((*address, 0, self._membership.index) if endpoint.is_ipv6 else address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OperatorError(
                    f"port {endpoint.port} is taken by a program that does not share it; end it, or cast to "
                    "another port"
                ) from None
            raise

    def _set_buffer(self, wanted: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, wanted)
        except OSError:  # not permitted, or not known
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        got = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        holds_s = got / FILLING_BYTES_PER_S if got >= PATIENT_BUFFER_BYTES else 0.0
        self.patience_s = min(holds_s, MOST_PATIENCE_S)
        if got < wanted:
            self.notes.append(
                f"the kernel clips the socket buffer to {got} of {wanted} bytes: "
                f"sysctl -w net.core.rmem_max={wanted} lets it hold more"
            )

    def rejoin(self) -> None:
        """Leave and join: a switch without a querier forgets members after some minutes."""
        self._membership.rejoin()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()

    @property
    def socket_drops(self) -> int:
        """How many datagrams the socket had to drop so far, as far as the kernel tells."""
        return self._reads.socket_drops

    @property
    def unreadable(self) -> int:
        """How many datagrams had no content, or more than a read takes."""
        return self._reads.unreadable

    @property
    def has_more(self) -> bool:
        """Whether the last read stopped because it had brought enough, not because nothing waited any more."""
        return self._reads.has_more

    def read(self) -> list[Piece]:
        """Read what waits into `buffer`, bounded; return where packets lie in it (settop/link/reads.py)."""
        return self._reads.read()

    def batches(self) -> Iterator[Batch]:
        """Read, and yield equal packets as batches. They lie in `buffer`: use, then go on."""
        yield from batches_of(self.buffer, self.read())


def batches_of(buffer: memoryview, pieces: list[Piece]) -> Iterator[Batch]:
    """Yield the batches of equal packets in these pieces of a buffer."""
    for offset, stride, size in pieces:
        whole = size - size % stride
        if whole:
            yield Batch(buffer[offset : offset + whole], stride, whole // stride)
        if whole < size:
            yield Batch(buffer[offset + whole : offset + size], size - whole, 1)
