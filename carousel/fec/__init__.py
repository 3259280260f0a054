"""RaptorQ (RFC 6330) behind one interface: the native core, or NumPy where it is missing."""

from carousel.fec.codec import MAX_ESI, Codec
from carousel.fec.package import AVAILABLE, decode_block, encode_repair

__all__ = ["AVAILABLE", "MAX_ESI", "Codec", "decode_block", "encode_repair"]
