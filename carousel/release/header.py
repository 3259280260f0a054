"""The signed header of a release: 256 little-endian bytes, the root of all trust (design: image.md)."""

import hashlib
import struct
from functools import cached_property
from typing import TYPE_CHECKING, Self

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.printable import printable
from carousel.records import Bytes, Const, Number, Record
from carousel.release.identity import Hardware, ReleaseId, Version

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["HEADER_BYTES", "HeaderFields", "HeaderFormat", "ReleaseHeader", "SignedHeader", "claimed_key_id", "key_id"]

HEADER_BYTES = 256
CRC_OFFSET = 188
SIGNED_BYTES = 192
NAME_BYTES = 32
KEY_ID_OFFSET = 120
KEY_ID_BYTES = 8
BEGINS_WITH = b"BCIH" + struct.pack("<HHI", 1, HEADER_BYTES, 0)
"""Magic, layout, header size and flags."""

HeaderFormat = Record(
    "<",
    magic=Const(b"BCIH", 4),
    layout=Const(1, 2),
    header_size=Const(HEADER_BYTES, 2),
    flags=Const(0, 4),
    hardware_oui=Number(4),
    hardware_model=Number(2),
    hardware_version=Number(2),
    security_counter=Number(4),
    version_major=Number(2),
    version_minor=Number(2),
    version_patch=Number(4),
    created_unix_s=Number(8),
    image_size=Number(8),
    symbol_size=Number(2),
    source_blocks=Number(2),
    repair_per_block=Number(4),
    image_sha256=Bytes(32),
    top_sha256=Bytes(32),
    key_id=Bytes(KEY_ID_BYTES),
    name=Bytes(NAME_BYTES),
    reserved=Const(bytes(28), 28),
    crc=Number(4),
    signature=Bytes(64),
)
assert HeaderFormat.sizeof() == HEADER_BYTES


def key_id(public_key: "Ed25519PublicKey") -> bytes:
    """Return the 8 bytes by which a header names its signer: of the SHA-256 of the raw public key."""
    return hashlib.sha256(_raw(public_key)).digest()[:8]


def _raw(public_key: "Ed25519PublicKey") -> bytes:
    if hasattr(public_key, "public_bytes_raw"):
        return public_key.public_bytes_raw()
    # Before cryptography 40, and dear: every format of keys is imported, as much as a twelfth of a box's start.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415  see above

    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def claimed_key_id(raw: bytes) -> bytes:
    """Return the key ID that 256 bytes claim; `FormatError` where a look already tells that they are no header.

    Cheap, and no proof: for who has many to look at, before `SignedHeader.parse`.
    """
    if len(raw) != HEADER_BYTES:
        raise FormatError("header_size")
    if not raw.startswith(BEGINS_WITH):
        raise FormatError("header_fields")
    if int.from_bytes(raw[CRC_OFFSET : CRC_OFFSET + 4], "little") != crc32(raw[:CRC_OFFSET]):
        raise FormatError("header_crc")
    return raw[KEY_ID_OFFSET : KEY_ID_OFFSET + KEY_ID_BYTES]


class HeaderFields(Frozen):
    """What a header says of its release; whether anybody stands for it, its two kinds tell."""

    hardware: Hardware
    security_counter: int
    version: Version
    created_unix_s: int
    image_size: int
    symbol_size: int
    source_blocks: int
    repair_per_block: int
    image_sha256: bytes
    top_sha256: bytes
    name: str


class ReleaseHeader(HeaderFields):
    """A header that nobody has signed yet: a release in the making."""

    def sign(self, key: "Ed25519PrivateKey") -> "SignedHeader":
        """Fill in key id, CRC and signature; `ValueError` if a field won't fit."""
        name = self.name.encode()
        if len(name) > NAME_BYTES:
            raise ValueError(f"the name {self.name!r} is longer than {NAME_BYTES} bytes of UTF-8")
        fields = {
            "hardware_oui": self.hardware.oui,
            "hardware_model": self.hardware.model,
            "hardware_version": self.hardware.version,
            "security_counter": self.security_counter,
            "version_major": self.version.major,
            "version_minor": self.version.minor,
            "version_patch": self.version.patch,
            "created_unix_s": self.created_unix_s,
            "image_size": self.image_size,
            "symbol_size": self.symbol_size,
            "source_blocks": self.source_blocks,
            "repair_per_block": self.repair_per_block,
            "image_sha256": self.image_sha256,
            "top_sha256": self.top_sha256,
            "key_id": key_id(key.public_key()),
            "name": name.ljust(NAME_BYTES, b"\0"),
            "crc": 0,
            "signature": bytes(64),
        }
        unsigned = HeaderFormat.build(fields)[:CRC_OFFSET]
        body = unsigned + struct.pack("<I", crc32(unsigned))
        return SignedHeader.parse(body + key.sign(body))


class SignedHeader(HeaderFields):
    """A header with a signature, good or bad. `raw` is the 256 bytes it was read from or signed into."""

    key_id: bytes
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read 256 bytes; checks everything but the signature. `FormatError` names what is wrong."""
        if len(raw) != HEADER_BYTES:
            raise FormatError("header_size")
        try:
            fields = HeaderFormat.parse(raw)
        except FormatError:
            raise FormatError("header_fields") from None
        if fields.crc != crc32(raw[:CRC_OFFSET]):
            raise FormatError("header_crc")
        if fields.hardware_oui >> 24:
            raise FormatError("header_fields")
        # For people only, and signed: a byte that is no UTF-8 must not keep a box from booting.
        name = printable(fields.name.rstrip(b"\0").decode(errors="backslashreplace"))
        version = Version(fields.version_major, fields.version_minor, fields.version_patch)
        return cls(
            hardware=Hardware(fields.hardware_oui, fields.hardware_model, fields.hardware_version),
            security_counter=fields.security_counter,
            version=version,
            created_unix_s=fields.created_unix_s,
            image_size=fields.image_size,
            symbol_size=fields.symbol_size,
            source_blocks=fields.source_blocks,
            repair_per_block=fields.repair_per_block,
            image_sha256=fields.image_sha256,
            top_sha256=fields.top_sha256,
            name=name,
            key_id=fields.key_id,
            raw=bytes(raw),
        )

    def is_signed_by(self, public_key: "Ed25519PublicKey") -> bool:
        """Say whether `raw` carries a good signature by this key. Dear: about 0.1 ms, a board 1 ms."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  only who checks needs it

        try:
            public_key.verify(self.raw[SIGNED_BYTES:], self.raw[:SIGNED_BYTES])
        except InvalidSignature:
            return False
        return True

    @cached_property
    def release_id(self) -> ReleaseId:
        """The release's name."""
        return ReleaseId.of(self.raw)
