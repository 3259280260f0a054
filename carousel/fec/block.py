"""A whole source block at a time, in bytes: over whichever codec is the best."""

import numpy as np

from carousel.fec.best import codec

__all__ = ["encode_repair"]


def encode_repair(block: bytes, symbol_size: int, repair: int) -> bytes:
    """Return `repair` repair symbols, ESI from K on, of one padded block of K times T bytes."""
    if not repair:
        return b""
    symbols = len(block) // symbol_size
    out = bytearray(repair * symbol_size)
    codec().encode(block, symbol_size, np.arange(symbols, symbols + repair), out)
    return bytes(out)
