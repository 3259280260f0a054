"""A release as modules: encoding symbol = block of a module, at most 256 to one. All follows from the signed header.

A source block is as many modules as it needs: receivers in the field want small modules, and a large source block
needs less repair (the unluckiest of many small ones decides when an image is whole).

The *main* stream holds a plain update carousel, which any loader reads: the image, source block after source block.
The *sidecar* holds everything else, which only our boxes read:

    module 0      the signed header, one block
    module 1      bulletins, a block each
    then          digest levels from the top down: source symbols, then repair symbols
    then          the image's repair symbols

Both are groups of one DSM-CC carousel each. A group's id is its DII's transactionId and the downloadId of its DDBs:

    31 30 29           16 15 14          3  2  1  0
    +-+-+----------------+-+---------------+-+-+-+
    |1|0| of the hash: 14|S| of the hash: 12|1|0|U|     S: the sidecar; U: toggles with each update
    +-+-+----------------+-+---------------+-+-+-+

with 26 bits of the release's ID, which is a hash of its signed header. So a box that has a header knows its
downloadIds and believes no routing, and the same release has the same ids from every head-end. The low byte of a
group's id is the high byte of its moduleIds; it is never 0xFF, since 0xFFF0 and up are reserved.
"""

from functools import cached_property

import numpy as np

from carousel.errors import OperatorError
from carousel.frozen import Frozen
from carousel.release.blocks import IntArray
from carousel.release.identity import ReleaseId, Version
from carousel.release.layout import ReleaseLayout
from carousel.ssu.dsmcc import DDB_OVERHEAD_BYTES, MAX_DII_BYTES
from carousel.ssu.sections import MAX_PRIVATE_SECTION_BYTES

__all__ = [
    "BULLETIN_MODULE",
    "FEW_MODULES",
    "HEADER_MODULE",
    "MAX_MODULES",
    "MAX_MODULE_BLOCKS",
    "MAX_SYMBOL_BYTES",
    "SIDECAR_BIT",
    "UPDATE_BIT",
    "ModulePlaces",
    "SsuModules",
    "group_id_of",
    "route_of",
    "software_version",
]

MAX_MODULE_BLOCKS = 256
"""More blocks than section numbers: receivers in the field disagree on what last_section_number means then."""
MAX_MODULES = 256
"""moduleId has 8 bits of its own; the others are the group's."""
FEW_MODULES = 8
"""What a loader in the field has room for, and does not check."""
MAX_SYMBOL_BYTES = MAX_PRIVATE_SECTION_BYTES - DDB_OVERHEAD_BYTES
HEADER_MODULE = 0
BULLETIN_MODULE = 1
FIRST_LEVEL_MODULE = 2
SIDECAR_BIT = 1 << 15
UPDATE_BIT = 1
_FIXED = 0x8000_0004
_HASHED = 0x3FFF_7FF8
_ROUTE_MASK = 0xFFFF_FFFF ^ UPDATE_BIT
_MODULE_BYTES_IN_DII = 8 + 6


def group_id_of(release: ReleaseId, is_sidecar: bool = False, update: int = 0) -> int:
    """Return the groupId, DII transactionId and downloadId of a release's carousel; `update` is the toggling bit."""
    hashed = int.from_bytes(release.digest[4:8], "big") & _HASHED
    return _FIXED | hashed | (SIDECAR_BIT if is_sidecar else 0) | (update & UPDATE_BIT)


def route_of(download_id: IntArray) -> IntArray:
    """Return what of downloadIds names the carousel: all but the bit that toggles."""
    return download_id & _ROUTE_MASK


def software_version(version: Version) -> int:
    """Return a version as a software descriptor's 16 bits: 4 of major, 6 of minor, 6 of patch; order is kept below."""
    return (version.major & 0xF) << 12 | (version.minor & 0x3F) << 6 | version.patch & 0x3F


class ModulePlaces(Frozen):
    """Which symbols a module holds: of `level`, block `sbn`, from `first_esi` on, `count` of them."""

    level: int
    sbn: int
    first_esi: int
    count: int


class SsuModules(Frozen):
    """The modules of one release."""

    layout: ReleaseLayout

    @cached_property
    def main(self) -> tuple[ModulePlaces, ...]:
        """What the main carousel's modules hold."""
        return tuple(self._places_of(0, is_repair=False))

    @cached_property
    def sidecar(self) -> tuple[ModulePlaces, ...]:
        """What the sidecar's modules from number 2 on hold."""
        return tuple(place for level, is_repair in self._order() for place in self._places_of(level, is_repair))

    def _places_of(self, level: int, is_repair: bool) -> list[ModulePlaces]:
        geometry = self.layout.objects[level]
        places = []
        for sbn, size in enumerate(geometry.block_sizes.tolist()):
            begin, end = (size, size + geometry.repair_per_block) if is_repair else (0, size)
            for first in range(begin, end, MAX_MODULE_BLOCKS):
                places.append(ModulePlaces(level, sbn, first, min(MAX_MODULE_BLOCKS, end - first)))
        return places

    @property
    def sidecar_modules(self) -> int:
        """How many module numbers the sidecar takes, header and bulletins included."""
        return FIRST_LEVEL_MODULE + len(self.sidecar)

    @cached_property
    def sidecar_table(self) -> IntArray:
        """(level, SBN, first ESI, symbols) by module number, shape (256, 4); no symbols where no module is."""
        return _table(self.sidecar, FIRST_LEVEL_MODULE)

    @cached_property
    def main_table(self) -> IntArray:
        """The same for the main carousel."""
        return _table(self.main, 0)

    @cached_property
    def _first_modules(self) -> dict[tuple[int, bool], IntArray]:
        """Of each level's source and repair symbols: the number of each source block's first module, shape (Z,)."""
        found: dict[tuple[int, bool], IntArray] = {}
        number = 0
        for level, is_repair in [(0, False), *self._order()]:
            sbns = np.array([place.sbn for place in self._places_of(level, is_repair)], dtype=np.int64)
            found[level, is_repair] = number + np.searchsorted(sbns, np.arange(self.layout.objects[level].blocks))
            is_main = (level, is_repair) == (0, False)
            number = FIRST_LEVEL_MODULE if is_main else number + len(sbns)
        return found

    def _order(self) -> list[tuple[int, bool]]:
        levels = [(level, is_repair) for level in range(self.layout.top, 0, -1) for is_repair in (False, True)]
        return [*levels, (0, True)]

    def place(self, level: int, sbn: IntArray, esi: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return (module number, block number, blocks of the module) of symbols of one level.

        They must all be source symbols, or all repair symbols. The image's source symbols are the main carousel's.
        """
        size = self.layout.objects[level].block_sizes[sbn]
        is_repair = bool(len(esi)) and bool(esi[0] >= size[0])
        table = self.main_table if level == 0 and not is_repair else self.sidecar_table
        index = esi - size if is_repair else esi
        module = self._first_modules[level, is_repair][sbn] + index // MAX_MODULE_BLOCKS
        return module, index % MAX_MODULE_BLOCKS, table[module, 3]

    @property
    def module_sizes(self) -> IntArray:
        """The bytes of each module of the main carousel: the last one is not padded."""
        image = self.layout.objects[0]
        first, count = self.main_rows
        sizes: IntArray = np.minimum((first + count) * image.symbol_size, image.transfer_length)
        return sizes - first * image.symbol_size

    @cached_property
    def main_rows(self) -> tuple[IntArray, IntArray]:
        """The first source row of each module of the main carousel, and how many it holds."""
        _, sbn, first_esi, count = self.main_table[: len(self.main)].T
        return self.layout.objects[0].first_rows[sbn] + first_esi, count

    def problem(self) -> str | None:
        """Say why this release can't go out as an update carousel, or None."""
        image = self.layout.objects[0]
        if image.symbol_size > MAX_SYMBOL_BYTES:
            return f"its symbols have {image.symbol_size} bytes, and a section has room for {MAX_SYMBOL_BYTES}"
        for modules in (len(self.main), self.sidecar_modules):
            if modules > MAX_MODULES or modules * _MODULE_BYTES_IN_DII > MAX_DII_BYTES - 64:
                return f"it would need {modules} modules, and a carousel has {MAX_MODULES} at most"
        return None

    def require(self) -> None:
        """Raise `OperatorError` where the release can't go out as an update carousel."""
        problem = self.problem()
        if problem is not None:
            raise OperatorError(f"this release does not fit DVB-SSU: {problem}; pack it with `headend pack --ssu`")


def _table(places: tuple[ModulePlaces, ...], first_number: int) -> IntArray:
    table = np.zeros((MAX_MODULES, 4), dtype=np.int64)
    for number, place in enumerate(places, first_number):
        table[number] = place.level, place.sbn, place.first_esi, place.count
    return table
