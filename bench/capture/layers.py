"""Scapy layers for LCT (RFC 5651), ALC (RFC 5775) and our CRC extension; bound to UDP by port with `bind_port`.

A second reading of the wire, independent of carousel/flute/alc.py: a test holds the two, and tshark, together.
"""

from collections.abc import Callable
from typing import Any

from scapy.fields import (
    BitField,
    ByteField,
    Field,
    IntField,
    PacketListField,
    ShortField,
    StrLenField,
    ThreeBytesField,
    XIntField,
)
from scapy.layers.inet import UDP
from scapy.packet import Packet, Raw, bind_layers, split_layers

from carousel.errors import OperatorError
from carousel.flute.alc import Extension
from carousel.release.blocks import FecId

__all__ = [
    "LCT",
    "ExtCrc",
    "ExtFdt",
    "ExtFtiNoCode",
    "ExtFtiRaptorQ",
    "PayloadNoCode",
    "PayloadRaptorQ",
    "bind_port",
    "fixed_bytes",
]


class _NumberField(Field[int, int]):
    """An unsigned big-endian number whose width other fields give."""

    __slots__ = ("length_from",)

    def __init__(self, name: str, default: int, length_from: Callable[[Packet], int]) -> None:
        super().__init__(name, default, "I")
        self.length_from = length_from

    def addfield(self, pkt: Packet, s: Any, val: int | None) -> bytes:
        number: bytes = s + int(val or 0).to_bytes(self.length_from(pkt), "big")
        return number

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, int]:
        length = self.length_from(pkt)
        return s[length:], int.from_bytes(s[:length], "big")


class _Extension(Packet):
    """Extensions stand one behind the other: what is left is not theirs."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes | None]:
        return b"", s


class ExtFdt(_Extension):
    """EXT_FDT, RFC 6726 3.4.1."""

    name = "EXT_FDT"
    fields_desc = [ByteField("het", int(Extension.FDT)), BitField("version", 2, 4), BitField("instance", 0, 20)]


class ExtCrc(_Extension):
    """Ours: CRC-32 of the UDP payload without the four bytes of the CRC."""

    name = "EXT_CRC"
    fields_desc = [
        ByteField("het", int(Extension.CRC)),
        ByteField("hel", 2),
        ShortField("reserved", 0),
        XIntField("crc", 0),
    ]


class ExtFtiNoCode(_Extension):
    """EXT_FTI of FEC ID 0, RFC 5445 3.3."""

    name = "EXT_FTI (no code)"
    fields_desc = [
        ByteField("het", int(Extension.FTI)),
        ByteField("hel", 4),
        BitField("transfer_length", 0, 48),
        ShortField("reserved", 0),
        ShortField("symbol_size", 0),
        IntField("max_block_symbols", 0),
    ]


class ExtFtiRaptorQ(_Extension):
    """EXT_FTI of FEC ID 6, RFC 6330 3.3."""

    name = "EXT_FTI (RaptorQ)"
    fields_desc = [
        ByteField("het", int(Extension.FTI)),
        ByteField("hel", 4),
        BitField("transfer_length", 0, 40),
        ByteField("reserved", 0),
        ShortField("symbol_size", 0),
        ByteField("source_blocks", 0),
        ShortField("sub_blocks", 0),
        ByteField("alignment", 0),
        ShortField("padding", 0),
    ]


class ExtFixed(_Extension):
    """Any other extension of one word (HET from 128 on)."""

    name = "extension"
    fields_desc = [ByteField("het", 128), ThreeBytesField("content", 0)]


class ExtVariable(_Extension):
    """Any other extension with a length in words (HET below 128)."""

    name = "extension"
    fields_desc = [
        ByteField("het", 0),
        ByteField("hel", 1),
        StrLenField("content", b"", length_from=lambda pkt: max(0, 4 * pkt.hel - 2)),
    ]


def _next_extension(pkt: Packet, _found: Any, _last: Any, remain: bytes) -> type[Packet] | None:
    """Say how the extension that begins here is laid out."""
    if len(remain) < 4:
        return None
    het = remain[0]
    if het >= 128:
        return ExtFdt if het == Extension.FDT else ExtFixed
    size = 4 * remain[1]
    if size == 0:
        return None
    if het == Extension.CRC and size == 8:
        return ExtCrc
    if het == Extension.FTI and size == 16:
        return ExtFtiRaptorQ if pkt.codepoint == FecId.RAPTORQ else ExtFtiNoCode
    return ExtVariable


def fixed_bytes(pkt: Packet) -> int:
    """Return the header's bytes in front of its extensions."""
    return int(4 + 4 * (pkt.C + 1) + 4 * pkt.S + 4 * pkt.O + 4 * pkt.H)


class LCT(Packet):
    """The LCT header with its extensions; the FEC payload ID and the symbol follow as layers."""

    name = "LCT"
    fields_desc = [
        BitField("version", 1, 4),
        BitField("C", 0, 2),
        BitField("PSI", 0, 2),
        BitField("S", 1, 1),
        BitField("O", 1, 2),
        BitField("H", 0, 1),
        BitField("reserved", 0, 2),
        BitField("A", 0, 1),
        BitField("B", 0, 1),
        ByteField("header_words", 6),
        ByteField("codepoint", 0),
        _NumberField("cci", 0, lambda pkt: 4 * (pkt.C + 1)),
        _NumberField("tsi", 0, lambda pkt: 4 * pkt.S + 2 * pkt.H),
        _NumberField("toi", 0, lambda pkt: 4 * pkt.O + 2 * pkt.H),
        PacketListField(
            "extensions",
            [],
            next_cls_cb=_next_extension,
            length_from=lambda pkt: max(0, 4 * pkt.header_words - fixed_bytes(pkt)),
        ),
    ]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Choose the payload ID by the codepoint, which is the FEC encoding ID."""
        if len(payload) < 4:
            return Raw
        return PayloadRaptorQ if self.codepoint == FecId.RAPTORQ else PayloadNoCode


class PayloadRaptorQ(Packet):
    """FEC payload ID of RaptorQ, RFC 6330 3.2; the encoding symbol follows."""

    name = "FEC payload ID (RaptorQ)"
    fields_desc = [ByteField("sbn", 0), ThreeBytesField("esi", 0)]


class PayloadNoCode(Packet):
    """FEC payload ID without a code, RFC 5445 3.2."""

    name = "FEC payload ID (no code)"
    fields_desc = [ShortField("sbn", 0), ShortField("esi", 0)]


def bind_port(port: int) -> None:
    """Read UDP to this port as LCT, here and in `scapy`'s own shell."""
    if not 0 < port < 65536:
        raise OperatorError(f"port {port} is not between 1 and 65535")
    split_layers(UDP, LCT, dport=port)
    bind_layers(UDP, LCT, dport=port)
