"""What the receiver tells its driver. It performs nothing itself."""

from dataclasses import dataclass

from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId

__all__ = ["BlockVerified", "Event", "ImageFound", "ImageRefused", "ImageVerified", "Suspicion"]


@dataclass(frozen=True, slots=True)
class ImageFound:
    """An acceptable release is on the air; its symbols are collected from now on."""

    header: SignedHeader
    resumed: bool


@dataclass(frozen=True, slots=True)
class ImageRefused:
    """An authentic release that this box must not install, and why; `up to date` is one of the reasons."""

    header: SignedHeader
    reason: str
    is_up_to_date: bool = False


@dataclass(frozen=True, slots=True)
class BlockVerified:
    """A source block of the image is whole and its digest matches."""

    release: ReleaseId
    sbn: int


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A block's digest did not match: from now on every symbol is checked by itself."""

    release: ReleaseId
    sbn: int


@dataclass(frozen=True, slots=True)
class ImageVerified:
    """Every block of the image matches the digests under the signed header."""

    header: SignedHeader


Event = ImageFound | ImageRefused | BlockVerified | Suspicion | ImageVerified
