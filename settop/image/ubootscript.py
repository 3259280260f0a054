"""U-Boot's script image (boot.scr): a legacy header of 64 bytes, big-endian, then the script's length and text."""

import zlib

from carousel.records import Bytes, Const, Number, Record

__all__ = ["build_script"]

HeaderFormat = Record(
    ">",
    magic=Const(0x27051956, 4),
    header_crc=Number(4),
    time=Const(0, 4),
    size=Number(4),
    load=Const(0, 4),
    entry=Const(0, 4),
    data_crc=Number(4),
    system=Const(5, 1),  # Linux
    architecture=Const(22, 1),  # arm64; the script itself does not care
    kind=Const(6, 1),  # script
    compression=Const(0, 1),
    name=Bytes(32),
)
assert HeaderFormat.sizeof() == 64


def build_script(text: str) -> bytes:
    """Return boot.scr."""
    script = text.encode()
    data = len(script).to_bytes(4, "big") + bytes(4) + script
    fields = {"size": len(data), "data_crc": zlib.crc32(data), "name": b"bootcast".ljust(32, b"\0"), "header_crc": 0}
    fields["header_crc"] = zlib.crc32(HeaderFormat.build(fields))
    return HeaderFormat.build(fields) + data
