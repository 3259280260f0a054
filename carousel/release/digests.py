"""Digest levels: every packet of every level can be checked by itself, under one signature (design: image.md).

Level 0 is the image. Level 1 holds the BLAKE3 of each of its blocks, then a 16-byte digest of each of its
encoding symbols; level i + 1 holds one digest for each encoding symbol of level i. The last level fits one
symbol, and the signed header holds its SHA-256.

Blocks are what a box hashes all the time, so they have the fast hash: BLAKE3 takes 4 GB/s where SHA-256 takes 1.8
with the processor's help, which not all boards have. The whole image has its SHA-256 in the header, for the boot
stub and for whoever compares it by hand.
"""

import hashlib
from collections.abc import Iterable

from blake3 import blake3

__all__ = ["BLOCK_DIGEST_BYTES", "SYMBOL_DIGEST_BYTES", "BlockHash", "symbol_digest", "symbol_digests"]

BlockHash = blake3
"""The running hash of a block's padded bytes, with the interface of hashlib."""

BLOCK_DIGEST_BYTES = 32
SYMBOL_DIGEST_BYTES = 16


def symbol_digest(level: int, sbn: int, esi: int, symbol: bytes | memoryview) -> bytes:
    """Return the digest of one encoding symbol: 16 bytes of SHA-256(level, SBN, ESI u24, symbol)."""
    state = hashlib.sha256(_place(level, sbn, esi))
    state.update(symbol)
    return state.digest()[:SYMBOL_DIGEST_BYTES]


def symbol_digests(level: int, sbn: int, numbered: Iterable[tuple[int, bytes | memoryview]]) -> bytes:
    """Return the digests of (ESI, symbol) pairs of one block, one after the other."""
    return b"".join(symbol_digest(level, sbn, esi, symbol) for esi, symbol in numbered)


def _place(level: int, sbn: int, esi: int) -> bytes:
    return bytes([level, sbn]) + esi.to_bytes(3, "big")
