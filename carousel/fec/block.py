"""A whole source block at a time, in bytes: over whichever codec is the best."""

from collections.abc import Iterable

import numpy as np

from carousel.fec.best import codec
from carousel.fec.codec import MAX_ESI

__all__ = ["decode_block", "encode_repair"]


def encode_repair(block: bytes, symbol_size: int, repair: int) -> bytes:
    """Return `repair` repair symbols, ESI from K on, of one padded block of K times T bytes."""
    if not repair:
        return b""
    symbols = len(block) // symbol_size
    out = bytearray(repair * symbol_size)
    codec().encode(block, symbol_size, np.arange(symbols, symbols + repair), out)
    return bytes(out)


def decode_block(block_bytes: int, symbol_size: int, symbols: Iterable[tuple[int, bytes]]) -> bytes | None:
    """Return the padded block from its (ESI, symbol) pairs, or None if they are too few or dependent."""
    block, k = bytearray(block_bytes), block_bytes // symbol_size
    missing = np.ones(k, dtype=bool)
    repair: dict[int, bytes] = {}
    for esi, symbol in symbols:
        if len(symbol) != symbol_size or not 0 <= esi <= MAX_ESI:
            raise ValueError(f"symbol {esi} of {len(symbol)} bytes in a block of {symbol_size}-byte symbols")
        if esi < k:
            block[esi * symbol_size : (esi + 1) * symbol_size] = symbol
            missing[esi] = False
        else:
            repair[esi] = symbol
    esis = np.fromiter(repair, dtype=np.int64, count=len(repair))
    rows = b"".join(repair.values())
    decoded = codec().decode(block, symbol_size, np.flatnonzero(missing), rows, np.arange(len(repair)), esis)
    return bytes(block) if decoded else None
