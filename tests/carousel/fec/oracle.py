"""PyPI's `raptorq`, whose repair symbols every codec must give byte for byte; it has no aarch64 wheel."""

import numpy as np


def repair_symbols(block: bytes, symbol_size: int, count: int) -> np.ndarray:
    """Return the first `count` repair symbols (count, T) of a block."""
    import raptorq

    packets = raptorq.Encoder.with_defaults(block, symbol_size).get_encoded_packets(count)
    joined = b"".join(packet[4:] for packet in packets[len(block) // symbol_size :])
    return np.frombuffer(joined, dtype=np.uint8).reshape(count, symbol_size)


def decode(block_bytes: int, symbol_size: int, symbols: dict[int, bytes]) -> bytes | None:
    """Return the block that these symbols give, by ESI."""
    import raptorq

    decoder = raptorq.Decoder.with_defaults(block_bytes, symbol_size)
    for esi, symbol in symbols.items():
        block = decoder.decode(esi.to_bytes(4, "big") + symbol)
        if block is not None:
            return bytes(block)
    return None
