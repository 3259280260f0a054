"""Buffers that batches, symbols and blocks lie in: anything that NumPy can look at without copying."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffer", "Bytes", "IntArray", "WritableBuffer", "as_bytes", "as_writable_bytes"]

Bytes = NDArray[np.uint8]
IntArray = NDArray[np.int64]
WritableBuffer = bytearray | memoryview | Bytes
Buffer = bytes | WritableBuffer


def as_bytes(buffer: Buffer) -> Bytes:
    """Return the bytes of a contiguous buffer as a flat array, without copying."""
    if isinstance(buffer, np.ndarray):
        if buffer.dtype != np.uint8 or not buffer.flags.c_contiguous:
            raise ValueError(f"an array of {buffer.dtype}, strides {buffer.strides}: contiguous bytes are needed")
        return buffer.reshape(-1)
    return np.frombuffer(buffer, dtype=np.uint8)


def as_writable_bytes(buffer: WritableBuffer) -> Bytes:
    """Return the same of a buffer that may be written to; `ValueError` where it may not."""
    flat = as_bytes(buffer)
    if not flat.flags.writeable:
        raise ValueError("the buffer is read-only")
    return flat
