"""Reads of a wake-up: one system call each, and what they bring lies side by side in one buffer.

Where a network device coalesces little, there is a read for each packet; so the native core makes them all in one call,
and Python's own socket serves where there is none.
"""

import socket
import struct
import sys
from typing import Any, Protocol

from carousel.native import Core
from carousel.take import Piece

__all__ = [
    "BUFFER_BYTES",
    "LARGEST_READ_BYTES",
    "MOST_READS",
    "SMALL_BUFFER_BYTES",
    "SO_RXQ_OVFL",
    "UDP_GRO",
    "Reads",
    "reads_of",
]

UDP_GRO = 104
SO_RXQ_OVFL = 40

BUFFER_BYTES = 4 << 20
"""What a wake-up brings, as a rule, is one take: what that costs in Python is rare."""
SMALL_BUFFER_BYTES = 1 << 20
"""Where memory is short; sixteen reads of coalesced packets."""
LARGEST_READ_BYTES = 1 << 16
"""Of a coalesced read, and of a datagram."""
MOST_READS = 256
"""Of one wake-up: datagrams that are empty, short or fragmented make no more work than that."""
CONTROL_BYTES = 128
_TRUNCATED = int(socket.MSG_TRUNC)
"""As a plain number: an `IntFlag` costs microseconds an operation."""


class Reads(Protocol):
    """What is read of one socket."""

    has_more: bool
    """Whether the last call stopped because it had brought enough, not because nothing waited any more."""

    @property
    def socket_drops(self) -> int:
        """How many datagrams the socket had to drop so far, as far as the kernel tells."""

    @property
    def unreadable(self) -> int:
        """How many datagrams had no content, or more than a read takes."""

    def read(self) -> list[Piece]:
        """Read what waits, but at most one buffer's worth and `MOST_READS` times; return where packets lie in it.

        What consecutive reads bring lies side by side, so equal packets of several reads are one piece.
        """


def reads_of(sock: socket.socket, buffer: memoryview, native: Core | None) -> Reads:
    """Return what reads this socket into this buffer: the native core, where there is one and it can."""
    if native is None or not sys.platform.startswith("linux"):
        return PlainReads(sock, buffer)
    return NativeReads(native, sock, buffer)


class NativeReads:
    """One C call for all reads, without the interpreter lock."""

    def __init__(self, native: Core, sock: socket.socket, buffer: memoryview) -> None:
        self._socket = sock
        self.native = native
        self._ffi: Any = native.ffi
        self._buffer: Any = self._ffi.from_buffer("uint8_t[]", buffer)
        self._pieces: Any = self._ffi.new("int64_t[]", 3 * MOST_READS)
        self._reads: Any = self._ffi.new("bc_reads *", {"room": MOST_READS, "pieces": self._pieces})
        self.has_more = False

    @property
    def socket_drops(self) -> int:
        """See `Reads`."""
        return int(self._reads.drops)

    @property
    def unreadable(self) -> int:
        """See `Reads`."""
        return int(self._reads.unreadable)

    def read(self) -> list[Piece]:
        """See `Reads`."""
        reads = self._reads
        descriptor, buffer = self._socket.fileno(), self._buffer
        code = self.native.lib.bc_read(descriptor, buffer, len(buffer), LARGEST_READ_BYTES, reads)
        self.native.status(code, f"no reads into {len(buffer)} bytes")
        self.has_more = bool(reads.has_more)
        numbers = self._ffi.unpack(self._pieces, 3 * reads.count)
        return [Piece(*numbers[at : at + 3]) for at in range(0, len(numbers), 3)]


class PlainReads:
    """The same by Python's socket."""

    def __init__(self, sock: socket.socket, buffer: memoryview) -> None:
        self._socket = sock
        self._buffer = buffer
        self.has_more = False
        self.socket_drops = 0
        self.unreadable = 0

    def read(self) -> list[Piece]:
        """See `Reads`."""
        pieces: list[Piece] = []
        start = used = stride = 0
        self.has_more = False
        for _ in range(MOST_READS):
            if used + LARGEST_READ_BYTES > len(self._buffer):
                self.has_more = True
                break
            size, segment = self._read(self._buffer[used : used + LARGEST_READ_BYTES])
            if size < 0:
                break
            if size == 0:
                continue
            if segment != stride or (used - start) % stride:
                if used > start:
                    pieces.append(Piece(start, stride, used - start))
                start, stride = used, segment
            used += size
        else:
            self.has_more = True
        if used > start:
            pieces.append(Piece(start, stride, used - start))
        return pieces

    def _read(self, into: memoryview) -> tuple[int, int]:
        """Read once; return (bytes, bytes of each packet), -1 bytes if nothing waits, 0 if it is to be skipped."""
        try:
            size, controls, flags, _ = self._socket.recvmsg_into([into], CONTROL_BYTES)
        except OSError:
            return -1, 0  # nothing waits; or an error of the link, which says nothing of the next packet
        segment = size
        for level, kind, data in controls:
            if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                segment = struct.unpack("=i", data[:4])[0]
            elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                self.socket_drops = struct.unpack("=I", data)[0]
        if flags & _TRUNCATED or size == 0 or segment < 1:
            self.unreadable += 1
            return 0, 0
        return size, segment
