"""The release file: a signed header and every packet of a cycle, rendered, in transmit order.

    0     preamble, 4096 bytes: `Preamble`, zero-padded
    4096  image packets: (28 + T) bytes each, source phase, then repair phase, in transmit order
    ...   digest packets: the levels from the top down to 1, their source phases; then their repair phases

The file holds nothing that the wire does not carry, but for TSI and the objects' MD5 (for the FDT).
"""

import errno
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from carousel.batch import Batch
from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.flute.interleave import transmit_places
from carousel.flute.toi import header_toi, toi_base
from carousel.frozen import Frozen
from carousel.records import Array, Bytes, Const, Number, Record
from carousel.release.blocks import IntArray
from carousel.release.header import HEADER_BYTES, SignedHeader
from carousel.release.layout import ReleaseLayout
from carousel.release.limits import MAX_LEVELS

__all__ = ["PREAMBLE_BYTES", "Release", "build_preamble", "digest_places"]

PREAMBLE_BYTES = 4096
ANNEX_OFFSET = 2048
"""From here on the preamble is another transport's, if the release was packed for one."""

Preamble = Record(
    "<",
    magic=Const(b"BCRL", 4),
    layout=Const(1, 2),
    objects=Number(2),
    tsi=Number(4),
    packet_size=Number(4),
    image_packets=Number(8),
    digest_packets=Number(8),
    signed_header=Bytes(HEADER_BYTES),
    md5=Array(MAX_LEVELS + 1, Bytes(16)),
    fec=Number(1),
    reserved=Const(bytes(3), 3),
    crc=Number(4),
)


def build_preamble(
    header: SignedHeader, layout: ReleaseLayout, tsi: int, md5: list[bytes], annex: bytes = b""
) -> bytes:
    """Return the first 4096 bytes of a release file; `annex` is what another transport keeps in it."""
    if len(annex) > PREAMBLE_BYTES - ANNEX_OFFSET:
        raise ValueError(f"an annex of {len(annex)} bytes")
    fields = {
        "objects": len(layout.objects),
        "tsi": tsi,
        "packet_size": PLAIN_HEADER_BYTES + layout.symbol_size,
        "image_packets": layout.objects[0].rows,
        "digest_packets": layout.rows - layout.objects[0].rows,
        "signed_header": header.raw,
        "md5": md5 + [bytes(16)] * (MAX_LEVELS + 1 - len(md5)),
        "fec": layout.objects[0].fec,
        "crc": 0,
    }
    body: bytes = Preamble.build(fields)[:-4]
    head = body + crc32(body).to_bytes(4, "little")
    return (head.ljust(ANNEX_OFFSET, b"\0") + annex).ljust(PREAMBLE_BYTES, b"\0")


def digest_places(layout: ReleaseLayout, level: int, sbn: IntArray, esi: IntArray) -> IntArray:
    """Return where symbols of a digest level stand among the digest packets."""
    geometry = layout.objects[level]
    above = layout.objects[level + 1 :]
    source_begin = sum(each.source_symbols for each in above)
    repair_begin = sum(each.source_symbols for each in layout.objects[1:])
    repair_begin += sum(each.repair_symbols for each in above) - geometry.source_symbols
    places = transmit_places(geometry, sbn, esi)
    return places + np.where(places < geometry.source_symbols, source_begin, repair_begin)


class Release(Frozen):
    """A release file, read in place over any buffer (a memory map, as a rule; `descriptor` is its open file).

    `read(offset, size)` reads from that file what the map has, where touching the map might be deadly.
    """

    header: SignedHeader
    layout: ReleaseLayout
    tsi: int
    md5: tuple[bytes, ...]
    buffer: memoryview
    descriptor: int | None = None
    read: Callable[[int, int], bytes] | None = None

    @classmethod
    def parse(
        cls, buffer: memoryview, descriptor: int | None = None, read: Callable[[int, int], bytes] | None = None
    ) -> "Release":
        """Read a release file; `FormatError` if it is none, is cut short or damaged in the preamble."""
        if len(buffer) < PREAMBLE_BYTES:
            raise FormatError("release_truncated")
        try:
            fields = Preamble.parse(bytes(buffer[:PREAMBLE_BYTES]))
        except FormatError:
            raise FormatError("release_preamble") from None
        if fields.crc != crc32(bytes(buffer[: Preamble.sizeof() - 4])):
            raise FormatError("release_preamble")
        header = SignedHeader.parse(fields.signed_header)
        layout = ReleaseLayout.of_header(header)
        if fields.packet_size != PLAIN_HEADER_BYTES + layout.symbol_size:
            raise FormatError("release_preamble")
        if len(buffer) != PREAMBLE_BYTES + fields.packet_size * layout.rows:
            raise FormatError("release_truncated")
        return cls(header, layout, fields.tsi, tuple(fields.md5[: len(layout.objects)]), buffer, descriptor, read)

    @cached_property
    def toi_base(self) -> int:
        """The TOI of the image."""
        return toi_base(self.header.release_id)

    @property
    def header_toi(self) -> int:
        """The TOI of the signed header's packet."""
        return header_toi(self.header.release_id)

    @cached_property
    def packet_size(self) -> int:
        """The bytes of each packet's UDP payload."""
        return PLAIN_HEADER_BYTES + self.layout.symbol_size

    @property
    def annex(self) -> memoryview:
        """The part of the preamble that other transports may use; a release file has zeros there else."""
        return self.buffer[ANNEX_OFFSET:PREAMBLE_BYTES]

    @cached_property
    def image_packets(self) -> int:
        """How many packets carry the image."""
        return self.layout.objects[0].rows

    @property
    def digest_packets(self) -> int:
        """How many packets carry the digest levels; they stand behind the image's."""
        return self.layout.rows - self.image_packets

    @cached_property
    def packets(self) -> NDArray[np.uint8]:
        """All packets, shape (image + digest packets, packet size)."""
        body = np.frombuffer(self.buffer, dtype=np.uint8, offset=PREAMBLE_BYTES)
        return body.reshape(-1, self.packet_size)

    def packet_bytes(self, first: int, count: int) -> memoryview:
        """Return `count` packets from number `first` on, as they lie."""
        start = PREAMBLE_BYTES + first * self.packet_size
        return self.buffer[start : start + count * self.packet_size]

    def read_packets(self, first: int, count: int) -> NDArray[np.uint8]:
        """Return `count` packets from number `first` on, shape (count, packet size), read and not mapped.

        `OSError` (EFAULT) where the file was cut: whoever touched the map there would die of SIGBUS.
        """
        if self.read is None:
            return self.packets[first : first + count]
        size = count * self.packet_size
        raw = self.read(PREAMBLE_BYTES + first * self.packet_size, size)
        if len(raw) != size:
            raise OSError(errno.EFAULT, "the release file is shorter than it was")
        return np.frombuffer(raw, dtype=np.uint8).reshape(count, self.packet_size)

    def batch(self, first: int, count: int) -> Batch:
        """Return `count` packets from number `first` on as a batch."""
        place = None
        if self.descriptor is not None:
            place = self.descriptor, PREAMBLE_BYTES + first * self.packet_size
        return Batch(self.packet_bytes(first, count), self.packet_size, count, place)

    def urgent_packets(self) -> IntArray:
        """Return the packet numbers of `ReleaseLayout.urgent_symbols`."""
        return self._digest_numbers(self.layout.urgent_symbols())

    def chain_packets(self) -> IntArray:
        """Return the packet numbers of `ReleaseLayout.chain_symbols`."""
        return self._digest_numbers(self.layout.chain_symbols())

    def _digest_numbers(self, symbols: tuple[tuple[int, int], ...]) -> IntArray:
        numbers = []
        for level in range(1, self.layout.top + 1):
            rows = np.array([row for mine, row in symbols if mine == level], dtype=np.int64)
            numbers.append(digest_places(self.layout, level, *self.layout.objects[level].symbols_of(rows)))
        return self.image_packets + np.concatenate(numbers)

    def digests_in_step(self) -> tuple[IntArray, IntArray]:
        """Return (places, packet numbers) of level 1's source symbols, in the order in which a cycle needs them.

        A place is that of the first image packet whose digest the symbol holds.
        """
        image, level_1 = self.layout.objects[0], self.layout.objects[1]
        rows = np.arange(level_1.source_symbols)
        places = transmit_places(image, *self.layout.first_digested(rows))
        numbers = digest_places(self.layout, 1, *level_1.symbols_of(rows))
        order = np.argsort(places, kind="stable")
        return places[order], self.image_packets + numbers[order]

    def source_symbols(self, first_row: int, count: int) -> NDArray[np.uint8]:
        """Return the image's source symbols from `first_row` on, shape (count, T), gathered from packets."""
        geometry = self.layout.objects[0]
        places = transmit_places(geometry, *geometry.symbols_of(np.arange(first_row, first_row + count)))
        if self.read is None:
            return self.packets[places, PLAIN_HEADER_BYTES:]
        return np.concatenate([self.read_packets(place, 1) for place in places.tolist()])[:, PLAIN_HEADER_BYTES:]
