"""The hot path: which packets of a batch are plain data packets of an object that we want, and intact.

A whole batch is judged by NumPy comparisons of its headers, its CRCs by one call for 32 packets (groupcrc.py).
Rows that the hot path does not take are for the cold path (settop/stitch/receiver.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carousel.batch import Batch
from carousel.flute.alc import PLAIN_DTYPE, PLAIN_HEADER_BYTES, plain_prefix
from carousel.release.blocks import FecId, IntArray
from settop.stitch.holdings import BoolArray
from settop.wire.groupcrc import GroupCrc

__all__ = ["ObjectFilter", "Taken", "header_field"]

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


class ObjectFilter:
    """Knows an object's plain data packets by size and first 20 bytes."""

    def __init__(self, tsi: int, toi: int, fec: FecId, symbol_size: int) -> None:
        prefix, _ = plain_prefix(tsi, toi, fec)
        self._prefix = np.frombuffer(prefix, dtype=np.uint32)
        self._symbol_dtype = np.dtype(f"V{symbol_size}")
        self.stride = PLAIN_HEADER_BYTES + symbol_size
        self._crc = GroupCrc(prefix, self.stride)

    def matches(self, batch: Batch) -> BoolArray:
        """Say which packets of a batch (of this filter's stride) are plain ones of the object."""
        words = np.ndarray(
            (batch.count, _PREFIX_WORDS), dtype=np.uint32, buffer=batch.buffer, strides=(batch.stride, 4)
        )
        same = words == self._prefix
        if same.all():
            return np.ones(batch.count, dtype=np.bool_)
        matching: BoolArray = same.all(axis=1)
        return matching

    def take(self, batch: Batch, mask: BoolArray) -> tuple[Taken, int]:
        """Return the intact ones of the masked packets, not copied if all are, and how many were corrupt."""
        if not mask.all():
            if not mask.any():
                return Taken(np.empty(0, dtype=np.int64), np.empty(0, dtype=self._symbol_dtype)), 0
            rows = batch.as_rows()[mask]
            batch = Batch(rows.data.cast("B"), batch.stride, len(rows))
        intact = self._crc.intact(batch)
        payload_ids = header_field(batch, "payload_id").astype(np.int64)
        symbols = np.ndarray(
            (batch.count,),
            dtype=self._symbol_dtype,
            buffer=batch.buffer,
            offset=PLAIN_HEADER_BYTES,
            strides=(batch.stride,),
        )
        corrupt = batch.count - int(np.count_nonzero(intact))
        if not corrupt:
            return Taken(payload_ids, symbols), 0
        return Taken(payload_ids[intact], symbols[intact]), corrupt
