"""Which release a box may install: a pure judgement of an authentic header."""

from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing

__all__ = ["DIGEST_PREFIX_BYTES", "BoxProfile", "Verdict", "judge"]

DIGEST_PREFIX_BYTES = 8
"""How many bytes of an image's SHA-256 the state record keeps to know it again."""


class BoxProfile(Frozen):
    """What a box knows of itself: who it is, whom it trusts, what it holds confirmed or on trial.

    `held` maps the digest prefix of each such image to its version; `failed` lists prefixes of images that
    used up their tries here.
    """

    hardware: Hardware
    trust: TrustRing
    floor: int = 0
    held: tuple[tuple[bytes, Version], ...] = ()
    failed: frozenset[bytes] = frozenset()
    allows_older: bool = False
    """Whether versions may go back, down to the floor."""


class Verdict(Frozen):
    """`refusal` is None for a release to install."""

    refusal: str | None
    is_up_to_date: bool = False


def judge(header: SignedHeader, box: BoxProfile) -> Verdict:
    """Judge an authentic header (its signature is checked before, see settop/wire/gate.py)."""
    digest = header.image_sha256[:DIGEST_PREFIX_BYTES]
    is_ours = box.hardware.accepts(header.hardware)
    if is_ours and any(digest == held for held, _ in box.held):
        return Verdict("up to date", is_up_to_date=True)
    newest = max((version for _, version in box.held), default=None)
    refusal = None
    if not is_ours:
        refusal = f"made for hardware {header.hardware}, this box is {box.hardware}"
    elif header.security_counter < box.floor:
        refusal = f"security counter {header.security_counter} is below this box's floor {box.floor}"
    elif newest is not None and header.version <= newest and not box.allows_older:
        refusal = f"version {header.version} is not newer than {newest}"
    elif digest in box.failed:
        refusal = "this image was tried here and never confirmed"
    elif not _has_sane_geometry(header):
        refusal = "its geometry is beyond what a box takes on"
    return Verdict(refusal)


def _has_sane_geometry(header: SignedHeader) -> bool:
    from carousel.release.layout import ReleaseLayout  # noqa: PLC0415  who boots judges nothing, and needs no NumPy

    try:
        ReleaseLayout.of_header(header)
    except FormatError:
        return False
    return True
