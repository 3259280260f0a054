"""The public keys that a box trusts: a header is believed if one of them signed it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from carousel.errors import FormatError
from carousel.release.header import SignedHeader, key_id

__all__ = ["TrustRing", "parse_public_key"]


@dataclass(frozen=True)
class TrustRing:
    """Trusted keys by key id, so that keys can be rotated: an image may be signed by any of them."""

    keys: dict[bytes, Ed25519PublicKey] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[Ed25519PublicKey]) -> "TrustRing":
        """Collect keys under their ids."""
        return cls({key_id(key): key for key in keys})

    def knows(self, header: SignedHeader) -> bool:
        """Say whether the header names a key of ours: cheap, and no proof."""
        return header.key_id in self.keys

    def believes(self, header: SignedHeader) -> bool:
        """Say whether the header is signed by the key that it names. Dear: one signature check."""
        key = self.keys.get(header.key_id)
        return key is not None and header.is_signed_by(key)


def parse_public_key(pem: bytes) -> Ed25519PublicKey:
    """Read a public key; `FormatError("public_key")` if it is no Ed25519 key in PEM."""
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise FormatError("public_key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise FormatError("public_key")
    return key
