"""Sections (ISO/IEC 13818-1 2.4.4.11), descriptors, and what both are declared with.

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+---------------+-+-+---+-----------------------+---------------+
| table_id      |S|P|1 1| length of what follows| extension     |
+---------------+-+-+---+-----------------------+---------------+
| ... extension |1 1| version |C| section       | last_section  |
+---------------+---+---------+-+---------------+---------------+
| ...                                                           |
| CRC-32/MPEG-2                                                 |
"""

from collections.abc import Iterator

import numpy as np
from construct import (
    BitsInteger,
    BitStruct,
    Construct,
    ConstructError,
    ExprAdapter,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int24ub,
    Prefixed,
    Struct,
)

from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.ssu.crc import CRC_BYTES, crc32_mpeg2

__all__ = [
    "MAX_PRIVATE_SECTION_BYTES",
    "MAX_PSI_SECTION_BYTES",
    "SECTION_HEADER_BYTES",
    "Descriptor",
    "Length12",
    "Oui",
    "Pid",
    "Section",
    "SectionHeader",
    "build_descriptor",
    "build_section",
    "dtype_of",
    "each_descriptor",
    "parse_section",
    "parsed",
]

SECTION_HEADER_BYTES = 8
LENGTH_END = 3
"""The length counts from here."""
MAX_PSI_SECTION_BYTES = 1024
MAX_PRIVATE_SECTION_BYTES = 4096

SectionHeader = Struct(
    "table_id" / Int8ub,
    "size"
    / BitStruct(
        "syntax" / BitsInteger(1), "private" / BitsInteger(1), "reserved" / BitsInteger(2), "length" / BitsInteger(12)
    ),
    "extension" / Int16ub,
    "state" / BitStruct("reserved" / BitsInteger(2), "version" / BitsInteger(5), "is_current" / BitsInteger(1)),
    "section" / Int8ub,
    "last_section" / Int8ub,
)
assert SectionHeader.sizeof() == SECTION_HEADER_BYTES

Length12 = ExprAdapter(Int16ub, lambda number, _: number & 0xFFF, lambda number, _: number | 0xF000)
"""A length of 12 bits behind 4 reserved ones."""
Pid = ExprAdapter(Int16ub, lambda number, _: number & 0x1FFF, lambda number, _: number | 0xE000)
"""A PID of 13 bits behind 3 reserved ones."""
Oui = Int24ub
Descriptor = Struct("tag" / Int8ub, "body" / Prefixed(Int8ub, GreedyBytes))


def dtype_of(*structs: Struct) -> "np.dtype[np.void]":
    """Derive the NumPy type of fixed big-endian fields, of some structs one behind the other."""
    kinds = {1: ">u1", 2: ">u2", 4: ">u4"}
    return np.dtype([(named.name, kinds[named.sizeof()]) for struct in structs for named in struct.subcons])


def parsed(what: Construct, raw: bytes, reason: str) -> "Construct":
    """Parse bytes off the air; `FormatError(reason)` where they don't follow the declaration."""
    try:
        return what.parse(raw)
    except (ConstructError, UnicodeDecodeError):
        raise FormatError(reason) from None


class Section(Frozen):
    """One section, read: `body` is what stands between the header and the CRC."""

    table_id: int
    extension: int
    version: int
    is_current: bool
    section: int
    last_section: int
    body: bytes


def build_section(
    table_id: int,
    extension: int,
    body: bytes,
    version: int = 0,
    section: int = 0,
    last_section: int = 0,
    private: bool = False,
) -> bytes:
    """Render one section, CRC included; `ValueError` where it is too long for its table."""
    most = MAX_PRIVATE_SECTION_BYTES if table_id >= 0x3A and table_id <= 0x3F else MAX_PSI_SECTION_BYTES
    total = SECTION_HEADER_BYTES + len(body) + CRC_BYTES
    if total > most:
        raise ValueError(f"a section of table {table_id:#x} of {total} bytes; {most} are the most")
    head = SectionHeader.build(
        {
            "table_id": table_id,
            "size": {"syntax": 1, "private": int(private), "reserved": 3, "length": total - LENGTH_END},
            "extension": extension,
            "state": {"reserved": 3, "version": version % 32, "is_current": 1},
            "section": section,
            "last_section": last_section,
        }
    )
    unsealed: bytes = head + body
    return unsealed + crc32_mpeg2(unsealed).to_bytes(CRC_BYTES, "big")


def parse_section(raw: bytes) -> Section:
    """Read one whole section; `FormatError`: `section_length`, `section_syntax`, `section_crc`."""
    if len(raw) < SECTION_HEADER_BYTES + CRC_BYTES:
        raise FormatError("section_length")
    head = parsed(SectionHeader, raw, "section_length")
    if head.size.length + LENGTH_END != len(raw):
        raise FormatError("section_length")
    if not head.size.syntax:
        raise FormatError("section_syntax")
    if crc32_mpeg2(raw):
        raise FormatError("section_crc")
    return Section(
        head.table_id,
        head.extension,
        head.state.version,
        bool(head.state.is_current),
        head.section,
        head.last_section,
        raw[SECTION_HEADER_BYTES:-CRC_BYTES],
    )


def build_descriptor(tag: int, body: bytes) -> bytes:
    """Render a descriptor; `ValueError` where its body is longer than 255 bytes."""
    if len(body) > 255:
        raise ValueError(f"descriptor {tag:#x} of {len(body)} bytes")
    built: bytes = Descriptor.build({"tag": tag, "body": body})
    return built


def each_descriptor(loop: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, body) of a descriptor loop; `FormatError("descriptor")` where one runs over its end."""
    start = 0
    while start < len(loop):
        one = parsed(Descriptor, loop[start:], "descriptor")
        yield one.tag, one.body
        start += 2 + len(one.body)
