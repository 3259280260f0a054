"""The public keys that a box trusts: a header is believed if one of them signed it."""

import binascii
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader, key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["TrustRing", "parse_public_key"]


_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""What a SubjectPublicKeyInfo of an Ed25519 key begins with; the key's 32 bytes follow."""


class TrustRing(Frozen):
    """Trusted keys by key id, so that keys can be rotated: an image may be signed by any of them."""

    keys: "Mapping[bytes, Ed25519PublicKey]" = MappingProxyType({})

    @classmethod
    def of(cls, keys: "Iterable[Ed25519PublicKey]") -> "TrustRing":
        """Collect keys under their ids."""
        return cls({key_id(key): key for key in keys})

    def knows(self, header: SignedHeader) -> bool:
        """Say whether the header names a key of ours: cheap, and no proof."""
        return header.key_id in self.keys

    def believes(self, header: SignedHeader) -> bool:
        """Say whether the header is signed by the key that it names. Dear: one signature check."""
        key = self.keys.get(header.key_id)
        return key is not None and header.is_signed_by(key)


def parse_public_key(pem: bytes) -> "Ed25519PublicKey":
    """Read a public key; `FormatError("public_key")` if it is no Ed25519 key in PEM.

    Such a key has one form (RFC 8410 4), so there is nothing to parse: whatever else a file holds is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  help and status need none

    found = _PEM.search(pem)
    try:
        der = binascii.a2b_base64(b"".join(found[1].split()), strict_mode=True) if found else b""
    except ValueError:
        der = b""
    if not der.startswith(_ED25519) or len(der) != len(_ED25519) + 32:
        raise FormatError("public_key")
    return Ed25519PublicKey.from_public_bytes(der[len(_ED25519) :])
