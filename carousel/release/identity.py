"""Names that people type and headers carry (hardware, versions), and the name that follows from a signed header."""

import hashlib
import re
from typing import Self

from carousel.errors import UsageError
from carousel.frozen import Frozen, Ordered

__all__ = ["ANY_VERSION", "RELEASE_ID_BYTES", "Hardware", "ReleaseId", "Version"]

ANY_VERSION = 0xFFFF
RELEASE_ID_BYTES = 16

_HARDWARE = r"([0-9A-Fa-f]{6}):(\d{1,5})(?::(\d{1,5}))?"
_VERSION = r"(\d{1,5})\.(\d{1,5})\.(\d{1,10})"


class Hardware(Frozen):
    """A board: 24-bit OUI, model, and hardware version (`ANY_VERSION`: all of them)."""

    oui: int
    model: int
    version: int = ANY_VERSION

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `00A1B2:7` or `00A1B2:7:3`."""
        match = re.fullmatch(_HARDWARE, text)
        if not match or int(match[2]) > 0xFFFF or int(match[3] or 0) > 0xFFFF:
            raise UsageError(
                f"hardware {text!r} is not of the form OUI:model[:version], such as 00A1B2:7 or 00A1B2:7:3 "
                "(six hex digits, then numbers up to 65535)"
            )
        return cls(int(match[1], 16), int(match[2]), int(match[3]) if match[3] else ANY_VERSION)

    def __str__(self) -> str:
        version = "" if self.version == ANY_VERSION else f":{self.version}"
        return f"{self.oui:06X}:{self.model}{version}"

    def accepts(self, image: "Hardware") -> bool:
        """Say whether this board may run an image made for `image`."""
        same_model = (self.oui, self.model) == (image.oui, image.model)
        return same_model and image.version in (ANY_VERSION, self.version)


class Version(Ordered):
    """A release's version; ordered."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1.4.0`."""
        match = re.fullmatch(_VERSION, text)
        parts = [int(part) for part in match.groups()] if match else []
        if not parts or max(parts[:2]) > 0xFFFF or parts[2] > 0xFFFFFFFF:
            raise UsageError(f"version {text!r} is not of the form major.minor.patch, such as 1.4.0")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class ReleaseId(Ordered):
    """What tells a release from all others, on every transport: of the SHA-256 of its signed header.

    Whoever signs twice (another time, another key) makes two releases, even of one image.
    """

    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != RELEASE_ID_BYTES:
            raise ValueError(f"a release ID of {len(self.digest)} bytes")

    @classmethod
    def of(cls, signed_header: bytes) -> Self:
        """Name the release of a signed header's 256 bytes."""
        return cls(hashlib.sha256(signed_header).digest()[:RELEASE_ID_BYTES])

    def __str__(self) -> str:
        return self.digest.hex()
