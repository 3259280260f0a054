"""Which codec serves on this machine."""

from functools import cache

from carousel.fec.codec import Codec
from carousel.fec.native import NativeCodec
from carousel.native import core, why_not

__all__ = ["codec", "native_available", "why_not_native"]


@cache
def codec(name: str | None = None) -> Codec:
    """Return the codec of this name, or the best that there is; `ValueError` where there is none of this name."""
    loaded = core()
    if name in {None, "native"} and loaded is not None:
        return NativeCodec(loaded)
    if name in {None, "numpy"}:
        from carousel.fec.fallback import NumpyCodec  # noqa: PLC0415  its tables are not read where the core serves

        return NumpyCodec()
    raise ValueError(f"there is no codec {name}: {why_not_native() or 'there are native and numpy'}")


def native_available() -> bool:
    """Say whether the native core loads."""
    return core() is not None


def why_not_native() -> str | None:
    """Say in one line why the native core is missing; None where it is there."""
    return why_not()
