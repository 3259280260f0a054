"""ALC packets (RFC 5775) over LCT (RFC 5651): declared once, read on two paths.

The packet that nearly all of a carousel consists of, the *plain data packet*:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------+---+---+-+---+-+---+-+-+---------------+---------------+
    | V = 1 | C |PSI|S| O |H|Res|A|B| HDR_LEN = 6   | codepoint     |   0
    +-------+---+---+-+---+-+---+-+-+---------------+---------------+
    | congestion control information = 0                            |   4
    +---------------------------------------------------------------+
    | TSI                                                           |   8
    +---------------------------------------------------------------+
    | TOI                                                           |  12
    +---------------+---------------+-------------------------------+
    | HET = 120     | HEL = 2       | reserved = 0                  |  16
    +---------------+---------------+-------------------------------+
    | CRC-32 of the whole UDP payload without these four bytes      |  20
    +---------------------------------------------------------------+
    | FEC payload ID: SBN:8 ESI:24 (RaptorQ) or SBN:16 ESI:16 (none)|  24
    +---------------------------------------------------------------+
    | encoding symbol, T bytes                                      |  28

`PLAIN_DTYPE` is derived from `PlainHeader`, so the vector path cannot drift from the declaration. Everything
else (announcements, FDTs, other extensions) is read by `parse_packet`, the cold path.
"""

from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.records import Bits, Const, Number, Record
from carousel.release.blocks import FecId

__all__ = [
    "PLAIN_DTYPE",
    "PLAIN_HEADER_BYTES",
    "AlcPacket",
    "ExtFdt",
    "ExtFtiNoCode",
    "ExtFtiRaptorQ",
    "Extension",
    "PlainHeader",
    "crc_of_packet",
    "join_payload_id",
    "parse_packet",
    "plain_header",
    "plain_prefix",
    "render_packet",
    "split_payload_id",
]

Id = TypeVar("Id", int, NDArray[np.int64])


class Extension(IntEnum):
    """LCT header extension types. 120 is ours: unassigned, so receivers skip it."""

    FTI = 64
    CRC = 120
    FDT = 192


LctFlags = Bits(
    version=4,
    cci_words=2,
    psi=2,
    tsi_word=1,
    toi_words=2,
    half_word=1,
    reserved=2,
    close_session=1,
    close_object=1,
    header_words=8,
    codepoint=8,
)

PlainHeader = Record(
    ">",
    flags=Number(2),
    header_words=Number(1),
    codepoint=Number(1),
    cci=Number(4),
    tsi=Number(4),
    toi=Number(4),
    het=Number(1),
    hel=Number(1),
    ext_reserved=Number(2),
    crc=Number(4),
    payload_id=Number(4),
)
PLAIN_HEADER_BYTES = 28
CRC_OFFSET = 20
PREFIX_BYTES = 20
assert PlainHeader.sizeof() == PLAIN_HEADER_BYTES

PLAIN_FLAGS = 0x10A0
"""V=1, C=0, S=1, O=1, H=0, A=B=0: 32-bit CCI, TSI and TOI. A and B are counted when set, never obeyed."""
PLAIN_HEADER_WORDS = 6

ExtFdt = Bits(version=4, instance=20)
"""Content of EXT_FDT (RFC 6726 3.4.1): the 24 bits behind HET 192."""
assert ExtFdt.sizeof() == 3

ExtFtiNoCode = Record(
    ">",
    transfer_length=Number(6),
    reserved=Const(0, 2),
    symbol_size=Number(2),
    max_block_symbols=Number(4),
)
"""Content of EXT_FTI for FEC ID 0 (RFC 5445 3.3): L48, reserved, E16, B32."""
assert ExtFtiNoCode.sizeof() == 14

ExtFtiRaptorQ = Record(
    ">",
    transfer_length=Number(5),
    reserved=Const(0, 1),
    symbol_size=Number(2),
    source_blocks=Number(1),
    sub_blocks=Number(2),
    alignment=Number(1),
    padding=Const(0, 2),
)
"""Content of EXT_FTI for FEC ID 6 (RFC 6330 3.3): F40, reserved, T16, Z8, N16, Al8, padded to words."""
assert ExtFtiRaptorQ.sizeof() == 14


def _numpy_dtype(record: Record) -> np.dtype[np.void]:
    """Derive the dtype of a flat record of big-endian numbers."""
    if record.order != ">" or not all(isinstance(field, Number) for field in record.fields.values()):
        raise ValueError("only big-endian numbers can be read by NumPy")
    return np.dtype([(name, f">u{field.size}") for name, field in record.fields.items()])


PLAIN_DTYPE = _numpy_dtype(PlainHeader)
assert PLAIN_DTYPE.itemsize == PLAIN_HEADER_BYTES


class AlcPacket(Frozen):
    """One packet as the cold path reads it; `extensions` holds (HET, content) in order."""

    close_session: bool
    close_object: bool
    codepoint: int
    cci: int
    tsi: int
    toi: int
    extensions: tuple[tuple[int, bytes], ...]
    payload_id: int
    symbol: bytes
    crc: int | None

    def extension(self, het: int) -> bytes | None:
        """Return the content of the first extension of this type."""
        return next((content for kind, content in self.extensions if kind == het), None)


def split_payload_id(payload_id: Id, fec: FecId) -> tuple[Id, Id]:
    """Return (SBN, ESI) of a FEC payload ID, or of each of an array: 8+24 bits for RaptorQ, 16+16 without a code."""
    shift = 24 if fec is FecId.RAPTORQ else 16
    return payload_id >> shift, payload_id & ((1 << shift) - 1)


def join_payload_id(sbn: int, esi: int, fec: FecId) -> int:
    """Return the FEC payload ID of (SBN, ESI); `ValueError` where one does not fit."""
    shift = 24 if fec is FecId.RAPTORQ else 16
    if not (0 <= sbn < 1 << (32 - shift) and 0 <= esi < 1 << shift):
        raise ValueError(f"SBN {sbn}, ESI {esi} do not fit a payload ID of FEC {fec.name}")
    return sbn << shift | esi


def crc_of_packet(packet: bytes | memoryview, crc_offset: int = CRC_OFFSET) -> int:
    """Return the CRC-32 of a packet without the four bytes at `crc_offset`."""
    return crc32(packet[crc_offset + 4 :], crc32(packet[:crc_offset]))


def _read_number(packet: bytes, offset: int, size: int) -> int:
    return int.from_bytes(packet[offset : offset + size], "big")


def parse_packet(packet: bytes) -> AlcPacket:
    """Read any ALC packet: the cold path, declarative and strict (RFC 5651 5.1, RFC 5775 2.1).

    Raises `FormatError` with reason `truncated`, `version`, `header_length`, `extension_length`, `crc`;
    nothing else, whatever the bytes are. A packet without EXT_CRC is accepted with `crc=None`.
    """
    try:
        flags = LctFlags.parse(packet)
    except FormatError:
        raise FormatError("truncated") from None
    if flags.version != 1:
        raise FormatError("version")
    header_end = 4 * flags.header_words
    cci_size = 4 * (flags.cci_words + 1)
    tsi_size = 4 * flags.tsi_word + 2 * flags.half_word
    toi_size = 4 * flags.toi_words + 2 * flags.half_word
    toi_offset = 4 + cci_size + tsi_size
    extensions_offset = toi_offset + toi_size
    if extensions_offset > header_end:
        raise FormatError("header_length")
    if len(packet) < header_end + 4:
        raise FormatError("truncated")
    extensions, crc_offset = _parse_extensions(packet, extensions_offset, header_end)
    crc = None
    if crc_offset is not None:
        crc = _read_number(packet, crc_offset, 4)
        if crc != crc_of_packet(packet, crc_offset):
            raise FormatError("crc")
    return AlcPacket(
        close_session=bool(flags.close_session),
        close_object=bool(flags.close_object),
        codepoint=flags.codepoint,
        cci=_read_number(packet, 4, cci_size),
        tsi=_read_number(packet, 4 + cci_size, tsi_size),
        toi=_read_number(packet, toi_offset, toi_size),
        extensions=extensions,
        payload_id=_read_number(packet, header_end, 4),
        symbol=packet[header_end + 4 :],
        crc=crc,
    )


def _parse_extensions(packet: bytes, offset: int, end: int) -> tuple[tuple[tuple[int, bytes], ...], int | None]:
    """Read the header extensions in [offset, end); also return where the CRC of the first EXT_CRC lies."""
    extensions: list[tuple[int, bytes]] = []
    crc_offset = None
    while offset < end:
        het = packet[offset]
        size = 4 if het >= 128 else 4 * packet[offset + 1]
        if size == 0 or offset + size > end:
            raise FormatError("extension_length")
        content = packet[offset + (1 if het >= 128 else 2) : offset + size]
        if het == Extension.CRC and crc_offset is None:
            if size != 8:
                raise FormatError("extension_length")
            crc_offset = offset + 4
        extensions.append((het, content))
        offset += size
    return tuple(extensions), crc_offset


def render_packet(
    tsi: int,
    toi: int,
    codepoint: int,
    payload_id: int,
    symbol: bytes,
    extensions: tuple[tuple[int, bytes], ...] = (),
) -> bytes:
    """Render one packet with EXT_CRC first and these extensions behind it: announcements, FDTs, tests.

    Each extension's content must fill its words: 3 bytes for HET >= 128, 4n-2 bytes below.
    """
    tail = b"".join(_render_extension(het, content) for het, content in extensions)
    head = PlainHeader.build(
        {
            "flags": PLAIN_FLAGS,
            "header_words": PLAIN_HEADER_WORDS + len(tail) // 4,
            "codepoint": codepoint,
            "cci": 0,
            "tsi": tsi,
            "toi": toi,
            "het": Extension.CRC,
            "hel": 2,
            "ext_reserved": 0,
            "crc": 0,
            "payload_id": payload_id,
        }
    )
    packet = bytearray(head[:24] + tail + head[24:] + symbol)
    packet[CRC_OFFSET : CRC_OFFSET + 4] = crc_of_packet(bytes(packet)).to_bytes(4, "big")
    return bytes(packet)


def _render_extension(het: int, content: bytes) -> bytes:
    head = bytes([het]) if het >= 128 else bytes([het, (len(content) + 2) // 4])
    if (len(head) + len(content)) % 4:
        raise ValueError(f"the content of extension {het} does not fill its words")
    return head + content


def plain_header(tsi: int, toi: int, fec: FecId) -> bytes:
    """Return the 28 bytes of a plain data packet's header, CRC and payload ID zero."""
    return render_packet(tsi, toi, fec, 0, b"")[:CRC_OFFSET] + bytes(8)


def plain_prefix(tsi: int, toi: int, fec: FecId) -> tuple[bytes, int]:
    """Return the 20 bytes that are the same in every plain packet of an object, and their CRC-32.

    The CRC is the start value that makes a packet cost one call: `crc32(packet[24:], start)`.
    """
    prefix = plain_header(tsi, toi, fec)[:PREFIX_BYTES]
    return prefix, crc32(prefix)
