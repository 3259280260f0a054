"""RaptorQ (RFC 6330) by the `raptorq` package, one source block at a time; the only module that knows it.

The package has sharp edges, all blunted here: it panics (a `BaseException`) on a wrong length or number, wants
`bytes`, changes its layout above about 7400 symbols, and numbers its only block 0, so that the block number in
each payload ID is stripped and restamped by the callers.
"""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

from carousel.release.limits import MAX_BLOCK_SYMBOLS

__all__ = ["AVAILABLE", "decode_block", "encode_repair"]

_raptorq: Any = None
with suppress(ImportError):
    _raptorq = import_module("raptorq")
AVAILABLE = _raptorq is not None

_PAYLOAD_ID_BYTES = 4


def _check(block_bytes: int, symbol_size: int) -> int:
    if not AVAILABLE:
        raise ValueError("the raptorq package is not installed")
    symbols, rest = divmod(block_bytes, symbol_size)
    if rest or not 1 <= symbols <= MAX_BLOCK_SYMBOLS:
        raise ValueError(f"a block of {block_bytes} bytes and symbols of {symbol_size}")
    return symbols


def encode_repair(block: bytes, symbol_size: int, repair: int) -> bytes:
    """Return `repair` repair symbols, ESI from K on, of one padded block of K times T bytes."""
    symbols = _check(len(block), symbol_size)
    if repair == 0:
        return b""
    packets = _raptorq.Encoder.with_defaults(block, symbol_size).get_encoded_packets(repair)
    if len(packets) != symbols + repair:
        raise ValueError(f"the encoder made {len(packets)} packets of {symbols} + {repair}")
    return b"".join(packet[_PAYLOAD_ID_BYTES:] for packet in packets[symbols:])


def decode_block(block_bytes: int, symbol_size: int, symbols: Iterable[tuple[int, bytes]]) -> bytes | None:
    """Return the padded block from its (ESI, symbol) pairs, or None if they are too few or dependent.

    A flipped bit in a symbol gives wrong bytes, silently: check the digest of what comes back.
    """
    _check(block_bytes, symbol_size)
    decoder = _raptorq.Decoder.with_defaults(block_bytes, symbol_size)
    for esi, symbol in symbols:
        if len(symbol) != symbol_size or not 0 <= esi < 1 << 24:
            raise ValueError(f"symbol {esi} of {len(symbol)} bytes in a block of {symbol_size}-byte symbols")
        block: bytes | None = decoder.decode(esi.to_bytes(4, "big") + symbol)
        if block is not None:
            return block
    return None
