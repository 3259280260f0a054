"""Check the CRCs of many packets with few calls: CRC-32 is linear.

Theory. Write R(s, m) for the CRC register that starts as s and takes in m. R is linear over GF(2) in s and m
together, so a run of packets, CRC fields and all, leaves a register that follows from the fields alone where each
packet is intact. With C the CRC of a plain packet (32 bits behind a constant prefix) and L its length:

    R(s, packet) = advance(s, L) ^ C ^ R(0, C and the zeros behind it) ^ constant

A group of packets therefore costs one call of a fast CRC, and four table look-ups a packet that NumPy does. One
wrong packet in a group always shows (advancing is invertible), several with the probability that one packet's CRC
has. In a group that shows a difference, each packet is looked at by itself.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from carousel.batch import Batch
from carousel.crc import crc32
from carousel.flute.alc import CRC_OFFSET
from settop.stitch.holdings import BoolArray

__all__ = ["GroupCrc"]

GROUP_PACKETS = 32
"""The tables of so many positions are 128 KiB; a call on 47 kB of packets runs at the CRC's full speed."""
_MOST_PACKETS = 64 * GROUP_PACKETS
_ONES = 0xFFFFFFFF
_FIELD_END = CRC_OFFSET + 4
_FROM_END = np.arange(_MOST_PACKETS - 1, -1, -1) % GROUP_PACKETS
_TABLE_STARTS = (_FROM_END[:, None] * 4 + np.arange(4)) * 256


class GroupCrc:
    """Knows the plain packets of `packet_bytes` bytes behind one constant `prefix` (up to the CRC field)."""

    def __init__(self, prefix: bytes, packet_bytes: int) -> None:
        self._behind_prefix = crc32(prefix)
        self._tables = _field_tables(packet_bytes)
        zeros, to_end = bytes(packet_bytes), bytes(packet_bytes - CRC_OFFSET)
        constant = _ONES ^ _register(_register(0, prefix), to_end)
        constant ^= _register(self._behind_prefix ^ _ONES, to_end[4:])
        self._group_constants = np.zeros(GROUP_PACKETS + 1, dtype=np.uint32)
        start, constants = _ONES, 0
        for position in range(GROUP_PACKETS):
            start, constants = _register(start, zeros), constants ^ constant
            self._group_constants[position + 1] = _ONES ^ start ^ constants
            constant = _register(constant, zeros)

    def intact(self, batch: Batch) -> BoolArray:
        """Say which packets of a batch, all with the prefix, have the right CRC."""
        if not GROUP_PACKETS <= batch.count <= _MOST_PACKETS:
            return self._intact_one_by_one(batch, 0, batch.count)
        count, stride = batch.count, batch.stride
        fields = np.ndarray((count, 4), dtype=np.uint8, buffer=batch.buffer, offset=CRC_OFFSET, strides=(stride, 1))
        shares = self._tables[_TABLE_STARTS[_MOST_PACKETS - count :] + fields].reshape(-1)
        first = count % GROUP_PACKETS or GROUP_PACKETS
        ends = range(first, count + 1, GROUP_PACKETS)
        starts = [0, *ends[:-1]]
        expected = np.bitwise_xor.reduceat(shares, np.array(starts) * 4) ^ self._group_constants[GROUP_PACKETS]
        expected[0] ^= self._group_constants[GROUP_PACKETS] ^ self._group_constants[first]
        buffer = batch.buffer
        found = [crc32(buffer[start * stride : end * stride]) for start, end in zip(starts, ends, strict=True)]
        intact = np.ones(count, dtype=np.bool_)
        if found == expected.tolist():
            return intact
        for start, end, crc, wanted in zip(starts, ends, found, expected.tolist(), strict=True):
            if crc != wanted:
                intact[start:end] = self._intact_one_by_one(batch, start, end)
        return intact

    def _intact_one_by_one(self, batch: Batch, start: int, end: int) -> BoolArray:
        """Say the same of some packets by one call for each: the faster way for a few."""
        buffer, stride = batch.buffer[start * batch.stride : end * batch.stride], batch.stride
        found = [
            crc32(buffer[at + _FIELD_END : at + stride], self._behind_prefix) for at in range(0, len(buffer), stride)
        ]
        fields = np.ndarray((end - start,), dtype=">u4", buffer=buffer, offset=CRC_OFFSET, strides=(stride,))
        intact: BoolArray = np.array(found, dtype=np.uint32) == fields
        return intact


def _register(start: int, message: bytes) -> int:
    """Return the register, without the inversions that the CRC puts around it."""
    return crc32(message, start ^ _ONES) ^ _ONES


@lru_cache(maxsize=4)
def _field_tables(packet_bytes: int) -> NDArray[np.uint32]:
    """Return what a packet's CRC field does to the register at the end of its group.

    Flat, by the packet's position from the end, the byte's place in the field, and the byte.
    """
    zeros, behind_field = bytes(packet_bytes), bytes(packet_bytes - _FIELD_END)
    of_bits = [[1 << bit ^ _register(_register(0, (1 << bit).to_bytes(4, "big")), behind_field) for bit in range(32)]]
    for _ in range(1, GROUP_PACKETS):
        of_bits.append([_register(each, zeros) for each in of_bits[-1]])
    values = np.array(of_bits, dtype=np.uint32)
    tables = np.zeros((GROUP_PACKETS, 4, 256), dtype=np.uint32)
    for bit in range(32):
        table, step = tables[:, 3 - bit // 8], 1 << bit % 8
        table[:, step : 2 * step] = table[:, :step] ^ values[:, bit, None]
    return tables.reshape(-1)
