"""Digest levels: every packet of every level can be checked by itself, under one signature (design: image.md).

Level 0 is the image. Level 1 holds the BLAKE3 of each of its blocks, then a 16-byte digest of each of its
encoding symbols; level i + 1 holds one digest for each encoding symbol of level i. The last level fits one
symbol, and the signed header holds its SHA-256.

Blocks are what a box hashes all the time, so they have the fast hash: BLAKE3 takes 4 GB/s where SHA-256 takes 1.8
with the processor's help, which not all boards have. The whole image has its SHA-256 in the header, for the boot
stub and for whoever compares it by hand.
"""

import hashlib

import numpy as np
from blake3 import blake3

from carousel.buffers import Bytes, IntArray

__all__ = ["BLOCK_DIGEST_BYTES", "SYMBOL_DIGEST_BYTES", "BlockHash", "symbol_digest", "symbol_digests"]

BlockHash = blake3
"""The running hash of a block's padded bytes, with the interface of hashlib."""

BLOCK_DIGEST_BYTES = 32
SYMBOL_DIGEST_BYTES = 16
_ESI_BYTES = 3
_PLACE_BYTES = 2 + _ESI_BYTES


def symbol_digest(level: int, sbn: int, esi: int, symbol: bytes | memoryview) -> bytes:
    """Return the digest of one encoding symbol: 16 bytes of SHA-256(level, SBN, ESI u24, symbol)."""
    state = hashlib.sha256(bytes([level, sbn]) + esi.to_bytes(_ESI_BYTES, "big"))
    state.update(symbol)
    return state.digest()[:SYMBOL_DIGEST_BYTES]


def symbol_digests(level: int, sbn: IntArray, esi: IntArray, symbols: Bytes) -> Bytes:
    """Return the digests of symbols of one level, shape (n, T), as rows of 16 bytes; `sbn` and `esi` say which."""
    count, size = symbols.shape
    whole = np.empty((count, _PLACE_BYTES + size), dtype=np.uint8)
    whole[:, 0] = level
    whole[:, 1] = sbn
    whole[:, 2:_PLACE_BYTES] = esi.astype(">u4").view(np.uint8).reshape(count, 4)[:, -_ESI_BYTES:]
    whole[:, _PLACE_BYTES:] = symbols
    sha256 = hashlib.sha256
    found = np.frombuffer(b"".join([sha256(each).digest() for each in whole]), dtype=np.uint8)
    return found.reshape(count, hashlib.sha256().digest_size)[:, :SYMBOL_DIGEST_BYTES]
