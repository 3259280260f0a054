"""RaptorQ (RFC 6330) behind one interface: the native core, or NumPy where it is missing."""

from functools import cache

from carousel.fec.codec import MAX_ESI, Codec
from carousel.fec.native import NativeCodec
from carousel.fec.package import AVAILABLE, decode_block, encode_repair
from carousel.native import core, why_not

__all__ = [
    "AVAILABLE",
    "MAX_ESI",
    "Codec",
    "codec",
    "decode_block",
    "encode_repair",
    "native_available",
    "why_not_native",
]


@cache
def codec(name: str | None = None) -> Codec:
    """Return the codec of this name, or the best that there is; `ValueError` where there is none of this name."""
    loaded = core()
    if name in {None, "native"} and loaded is not None:
        return NativeCodec(loaded)
    raise ValueError(f"there is no codec {name}: {why_not_native() or 'native is the only one'}")


def native_available() -> bool:
    """Say whether the native core loads."""
    return core() is not None


def why_not_native() -> str | None:
    """Say in one line why the native core is missing; None where it is there."""
    return why_not()
