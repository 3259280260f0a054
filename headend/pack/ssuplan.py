"""How an image is cut so that it goes out as DVB-SSU as well as by FLUTE: symbol size, modules, refusals, advice."""

import math
from bisect import bisect_left
from enum import Enum
from itertools import product

from carousel.errors import OperatorError
from carousel.release.blocks import ObjectGeometry
from carousel.release.header import HeaderFields
from carousel.release.identity import ANY_VERSION, Version
from carousel.release.layout import ReleaseLayout
from carousel.release.limits import MAX_BLOCKS
from carousel.ssu.modules import FEW_MODULES, MAX_MODULE_BLOCKS, MAX_MODULES, SsuModules

__all__ = ["SsuProfile", "advice", "plan_ssu"]

ONE_DATAGRAM_BYTES = 1256
"""A block of so many bytes is a section of 7 transport packets: a lost datagram costs no other."""
THREE_DATAGRAMS_BYTES = 3832
LARGEST_BLOCK_BYTES = 4016
"""The largest block that a loader in the field takes; its sections touch four datagrams."""
BLOCK_MODULES = (8, 4, 2, 1)
"""So many modules make a source block. The more they are, the less does the unluckiest block of an image need (64 MB at
20 % loss: 1.46 times its bytes with one, 1.37 with eight); the fewer, the less of the last module stands empty."""
MAX_PLAIN_VERSION = Version(15, 63, 63)


class SsuProfile(Enum):
    """Which boxes a release is packed for."""

    STANDARD = "standard"
    FEW_MODULES = "few-modules"
    """Loaders that have room for eight modules, and don't check."""


_SYMBOL_BYTES = {
    SsuProfile.STANDARD: (ONE_DATAGRAM_BYTES, THREE_DATAGRAMS_BYTES),
    SsuProfile.FEW_MODULES: (ONE_DATAGRAM_BYTES, THREE_DATAGRAMS_BYTES, LARGEST_BLOCK_BYTES),
}
_MAX_MODULES = {SsuProfile.STANDARD: MAX_MODULES, SsuProfile.FEW_MODULES: FEW_MODULES}


def plan_ssu(image_size: int, repair_ratio: float, profile: SsuProfile) -> ObjectGeometry:
    """Cut an image into the largest source blocks of the smallest symbols that do; `OperatorError` where none do."""
    for symbol_size, block_modules in product(_SYMBOL_BYTES[profile], BLOCK_MODULES):
        symbols = -(-image_size // symbol_size)
        blocks = -(-symbols // (block_modules * MAX_MODULE_BLOCKS))
        if blocks > MAX_BLOCKS:
            continue
        repair = math.ceil(-(-symbols // blocks) * repair_ratio)
        geometry = ObjectGeometry(image_size, symbol_size, blocks, repair)
        if _fits(geometry, profile):
            return geometry
    raise OperatorError(_refusal(image_size, repair_ratio, profile))


def _fits(geometry: ObjectGeometry, profile: SsuProfile) -> bool:
    modules = SsuModules(ReleaseLayout.of_image(geometry))
    return modules.problem() is None and len(modules.main) <= _MAX_MODULES[profile]


def _refusal(image_size: int, repair_ratio: float, profile: SsuProfile) -> str:
    most = _largest_image(repair_ratio, profile)
    if profile is SsuProfile.FEW_MODULES:
        return (
            f"the image of {image_size} bytes does not fit {FEW_MODULES} modules, which hold {most} bytes: compress "
            "it, or take --profile standard for boxes that have room for more modules"
        )
    without_repair = _largest_image(0.0, profile)
    hint = f"; --repair 0 leaves room for {without_repair}" if image_size <= without_repair else ""
    return (
        f"the image of {image_size} bytes does not fit the modules of one DVB-SSU carousel, which hold {most} bytes "
        f"with --repair {repair_ratio}{hint}: compress it, or pack it without --ssu and cast it by FLUTE"
    )


def _largest_image(repair_ratio: float, profile: SsuProfile) -> int:
    return max(_largest_of(symbols * MAX_MODULE_BLOCKS, repair_ratio, profile) for symbols in BLOCK_MODULES)


def _largest_of(block_symbols: int, repair_ratio: float, profile: SsuProfile) -> int:
    """Return the largest image of whole source blocks of so many symbols; 0 where not one of them fits."""
    size, repair = _SYMBOL_BYTES[profile][-1], math.ceil(block_symbols * repair_ratio)

    def is_too_large(count: int) -> bool:
        return not _fits(ObjectGeometry(count * block_symbols * size, size, count, repair), profile)

    return bisect_left(range(1, MAX_BLOCKS + 1), True, key=is_too_large) * block_symbols * size


def advice(header: HeaderFields, repair_ratio: float) -> list[str]:
    """Return what boxes on the market may not like about a release that fits, and what would help."""
    notes = []
    modules = len(SsuModules(ReleaseLayout.of_header(header)).main)
    if modules > FEW_MODULES:
        most = _largest_image(repair_ratio, SsuProfile.FEW_MODULES)
        would = "would do" if header.image_size <= most else f"would need an image of {most} bytes at most"
        notes.append(
            f"it has {modules} modules: loaders in the field have room for {FEW_MODULES} and don't check; "
            f"--profile few-modules {would}"
        )
    if header.hardware.version == ANY_VERSION:
        notes.append(
            "it is for any hardware version: loaders in the field take only their own; say --hardware OUI:model:version"
        )
    version = header.version
    if version.major > 15 or version.minor > 63 or version.patch > 63:
        notes.append(
            f"version {version} does not fit the 16 bits of a software descriptor, which hold {MAX_PLAIN_VERSION} at "
            "most: other boxes may take it for an older one"
        )
    if header.symbol_size > ONE_DATAGRAM_BYTES:
        notes.append(
            f"its blocks have {header.symbol_size} bytes, several datagrams each: a lost datagram costs a whole one, "
            "and by FLUTE it would go out in fragments"
        )
    return notes
