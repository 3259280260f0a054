"""Render the packets of one source block: headers, symbols and CRCs, all rows of a block at once."""

import numpy as np
from numpy.typing import NDArray

from carousel.crc import crc32
from carousel.flute.alc import PLAIN_DTYPE, PLAIN_HEADER_BYTES, join_payload_id, plain_header, plain_prefix
from carousel.release.blocks import FecId

__all__ = ["render_block"]


def render_block(symbols: NDArray[np.uint8], tsi: int, toi: int, sbn: int, fec: FecId) -> NDArray[np.uint8]:
    """Return the packets of a block's symbols, ESI 0 and up: shape (n, T) in, (n, 28 + T) out."""
    count, symbol_size = symbols.shape
    packets = np.empty((count, PLAIN_HEADER_BYTES + symbol_size), dtype=np.uint8)
    packets[:, :PLAIN_HEADER_BYTES] = np.frombuffer(plain_header(tsi, toi, fec), dtype=np.uint8)
    packets[:, PLAIN_HEADER_BYTES:] = symbols
    headers = packets[:, :PLAIN_HEADER_BYTES].view(PLAIN_DTYPE)[:, 0]
    headers["payload_id"] = join_payload_id(sbn, 0, fec) + np.arange(count, dtype=np.uint32)
    _, start = plain_prefix(tsi, toi, fec)
    stride = packets.shape[1]
    flat = packets.data.cast("B")
    headers["crc"] = [crc32(flat[at + 24 : at + stride], start) for at in range(0, count * stride, stride)]
    return packets
