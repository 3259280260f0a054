"""CRC-32/MPEG-2 (ISO/IEC 13818-1 annex A) by zlib's CRC-32.

Both have the polynomial 0x04C11DB7; zlib's CRC-32 takes the bits of each byte in the other order and inverts its
result. So CRC-32/MPEG-2 is zlib's CRC of the bytes with their bits reversed, reversed and inverted in turn: one pass
over a table of 256 bytes, and then one call a section. It is zlib's own function: for so few bytes, others that are
faster by the byte cost more by the call.
"""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ["CRC_BYTES", "are_intact", "crc32_mpeg2", "crcs_of_rows"]

CRC_BYTES = 4
_ONES = 0xFFFFFFFF
_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], dtype=np.uint8)
_REVERSED_BYTES = _REVERSED.tobytes()


def crc32_mpeg2(data: bytes) -> int:
    """Return the CRC-32/MPEG-2 of some bytes."""
    register = crc32(data.translate(_REVERSED_BYTES)) ^ _ONES
    return int.from_bytes(register.to_bytes(4, "little").translate(_REVERSED_BYTES), "big")


def crcs_of_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the CRC of each row as it goes on the wire: shape (n, L) in, (n, 4) out."""
    registers = np.array(_zlib_crcs(rows), dtype="<u4") ^ np.uint32(_ONES)
    found: NDArray[np.uint8] = _REVERSED[registers.view(np.uint8).reshape(-1, CRC_BYTES)]
    return found


def are_intact(rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which sections, CRC included, are whole: the CRC over a section and its CRC is zero. Shape (n, L) to (n,)."""
    intact: NDArray[np.bool_] = np.array(_zlib_crcs(rows), dtype=np.uint32) == _ONES
    return intact


def _zlib_crcs(rows: NDArray[np.uint8]) -> list[int]:
    """Return zlib's CRC of each row's bytes with their bits reversed."""
    length = rows.shape[1]
    turned = rows.tobytes().translate(_REVERSED_BYTES)
    flat = memoryview(turned)
    return [crc32(flat[start : start + length]) for start in range(0, len(turned), length)] if length else []


# The check value of CRC-32/MPEG-2.
if crc32_mpeg2(b"123456789") != 0x0376E6E7:
    raise ImportError("CRC-32/MPEG-2 is computed wrongly here")
