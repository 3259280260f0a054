"""RaptorQ (RFC 6330) behind one interface: the native core, or NumPy where it is missing."""

from carousel.fec.best import codec, native_available, why_not_native
from carousel.fec.block import encode_repair
from carousel.fec.codec import MAX_ESI, MOST_LACKING, Codec, Draft

__all__ = [
    "MAX_ESI",
    "MOST_LACKING",
    "Codec",
    "Draft",
    "codec",
    "encode_repair",
    "native_available",
    "why_not_native",
]
