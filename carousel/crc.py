"""CRC-32 (ISO-HDLC, zlib's) at the best speed that this machine has.

The native core folds by carry-less multiplication, 10 to 20 GB/s where zlib does 1 to 3; so does zlib-ng. The core is
loaded for the first large buffer: a start that needs none does not wait for it.
"""

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from carousel.native import core

__all__ = ["crc32", "implementation"]

SMALL_BYTES = 2048
"""Below, zlib is done before the call into the core is made: a packet's bytes, too."""


def crc32(data: Any, value: int = 0, /) -> int:
    """Return the CRC-32 of these bytes, continued from `value`."""
    if len(data) < SMALL_BYTES:
        return zlib.crc32(data, value)
    return _large()(data, value)


def implementation() -> str:
    """Return `native`, `zlib_ng` or `zlib`: what counts large buffers."""
    return _large().__name__.removeprefix("by_").replace("crc32", "zlib")


@cache
def _large() -> Callable[[Any, int], int]:
    if (loaded := core()) is not None:
        lib, from_buffer = loaded.lib, loaded.ffi.from_buffer

        def by_native(data: Any, value: int) -> int:
            read = from_buffer("uint8_t[]", data)
            return int(lib.bc_crc32(value, read, len(read)))

        return by_native
    try:
        from zlib_ng import zlib_ng  # noqa: PLC0415  optional, and worth its import only where the core is missing
    except ImportError:
        return zlib.crc32

    def by_zlib_ng(data: Any, value: int) -> int:
        return int(zlib_ng.crc32(data, value))

    return by_zlib_ng
