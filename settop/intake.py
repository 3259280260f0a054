"""The hot path: which packets of a batch are plain data packets of an object that we want, and intact.

A whole batch is judged by NumPy comparisons of its headers; the CRC takes one call a packet. Rows that the hot
path does not take are for the cold path (settop/receiver.py).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from carousel.alc import PLAIN_DTYPE, PLAIN_HEADER_BYTES, FecId, plain_prefix
from carousel.batch import Batch
from carousel.blocks import IntArray
from carousel.crc import crc32
from settop.objects import BoolArray

__all__ = ["ObjectFilter", "Taken", "header_field", "intact_rows"]

_PREFIX_WORDS = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """What the hot path took of a batch: payload IDs (n,), symbols (n, V<T>)."""

    payload_ids: IntArray
    symbols: NDArray[np.void]


def header_field(batch: Batch, name: str) -> NDArray[np.uint32]:
    """Return one plain header field of all packets, in native byte order; for batches of long enough packets."""
    offset = PLAIN_DTYPE.fields[name][1] if PLAIN_DTYPE.fields else 0
    words = np.ndarray((batch.count,), dtype=">u4", buffer=batch.buffer, offset=offset, strides=(batch.stride,))
    return words.astype(np.uint32)


@lru_cache(maxsize=16)
def _checked_parts(stride: int, most: int) -> list[slice]:
    """Return the part of each packet that its CRC covers behind the constant prefix, for up to `most` packets."""
    return [slice(at + 24, at + stride) for at in range(0, stride * most, stride)]


def intact_rows(batch: Batch, rows: IntArray, crc_start: int) -> BoolArray:
    """Check the CRCs of these packets, whose first 20 bytes have the CRC `crc_start`."""
    buffer = batch.buffer
    parts = _checked_parts(batch.stride, 1 << (batch.count - 1).bit_length())
    parts = parts[: batch.count] if len(rows) == batch.count else [parts[row] for row in rows.tolist()]
    found = [crc32(buffer[part], crc_start) for part in parts]
    intact: BoolArray = np.array(found, dtype=np.uint32) == header_field(batch, "crc")[rows]
    return intact


class ObjectFilter:
    """Knows an object's plain data packets by size and first 20 bytes."""

    def __init__(self, tsi: int, toi: int, fec: FecId, symbol_size: int) -> None:
        prefix, self._crc_start = plain_prefix(tsi, toi, fec)
        self._prefix = np.frombuffer(prefix, dtype=np.uint32)
        self._symbol_dtype = np.dtype(f"V{symbol_size}")
        self.stride = PLAIN_HEADER_BYTES + symbol_size

    def matches(self, batch: Batch) -> BoolArray:
        """Say which packets of a batch (of this filter's stride) are plain ones of the object."""
        words = np.ndarray(
            (batch.count, _PREFIX_WORDS), dtype=np.uint32, buffer=batch.buffer, strides=(batch.stride, 4)
        )
        same: BoolArray = (words == self._prefix).all(axis=1)
        return same

    def take(self, batch: Batch, mask: BoolArray) -> tuple[Taken, int]:
        """Return the intact ones of the masked packets, not copied if all are, and how many were corrupt."""
        rows = np.flatnonzero(mask)
        intact = intact_rows(batch, rows, self._crc_start)
        payload_ids = header_field(batch, "payload_id").astype(np.int64)
        symbols = np.ndarray(
            (batch.count,),
            dtype=self._symbol_dtype,
            buffer=batch.buffer,
            offset=PLAIN_HEADER_BYTES,
            strides=(batch.stride,),
        )
        corrupt = len(rows) - int(np.count_nonzero(intact))
        if len(rows) == batch.count and not corrupt:
            return Taken(payload_ids, symbols), 0
        rows = rows[intact]
        return Taken(payload_ids[rows], symbols[rows]), corrupt
