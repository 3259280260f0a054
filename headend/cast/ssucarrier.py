"""One release on two PIDs: the DSI, DII and DDB sections of its main carousel and of its sidecar."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from carousel.flute.alc import PLAIN_DTYPE, PLAIN_HEADER_BYTES
from carousel.flute.releasefile import Release
from carousel.release.blocks import IntArray
from carousel.ssu.annex import parse_annex
from carousel.ssu.crc import crc32_mpeg2
from carousel.ssu.dsmcc import (
    DDB_OVERHEAD_BYTES,
    MAX_DII_BYTES,
    CompatibilityKind,
    Device,
    Group,
    Module,
    ddb,
    dii,
    dsi,
    module_descriptors,
)
from carousel.ssu.modules import (
    BULLETIN_MODULE,
    FIRST_LEVEL_MODULE,
    HEADER_MODULE,
    SsuModules,
    group_id_of,
    software_version,
)
from carousel.ssu.psi import Stream, UpdateType
from carousel.ssu.render import BlockTemplate
from carousel.ssu.transport import PACKET_BYTES, Packets, cut_section, cut_sections, null_packets, packets_of_section

__all__ = ["Carrier", "Versions", "packets_of_row"]

_DSI_TRANSACTION = 0xBFFF_0001
"""Version and toggling bit of a group's id; its identification is 0, as only a DSI's is."""
_MODULE_BYTES_IN_DII = 8 + 6 + 5
_FIRST, _MIDDLE, _LAST = 0, 1, 2
_SELECTOR_SIDECAR = b"bootcast"


@dataclass(frozen=True)
class Versions:
    """What tells boxes of an update: bit 0 of all ids, update_version in the PMT, the version of modules."""

    toggle: int
    update: int
    module: int

    @classmethod
    def of(cls, release: Release, before: "Versions | None") -> "Versions":
        """Derive them from the release, so that every head-end says the same; but none may be as `before`."""
        seed = group_id_of(release.header.release_id) >> 16 & 0xFF
        if before is None:
            return cls(0, seed % 32, seed)
        update = seed % 32 if seed % 32 != before.update else (seed + 1) % 32
        module = seed if seed % 32 != before.module % 32 else (seed + 1) % 256
        return cls(before.toggle ^ 1, update, module)


class Carrier:
    """Renders one release for a pair of PIDs, the main carousel's `pid` and the sidecar's behind it."""

    def __init__(self, release: Release, pid: int, component_tag: int, versions: Versions) -> None:
        self.release = release
        self.pid = pid
        self.versions = versions
        self.modules = SsuModules(release.layout)
        self.modules.require()
        self._component_tag = component_tag
        self._main = BlockTemplate(group_id_of(release.header.release_id, False, versions.toggle), versions.module)
        self._sidecar = BlockTemplate(group_id_of(release.header.release_id, True, versions.toggle), versions.module)
        self._row_packets = packets_of_row(release)

    @property
    def sidecar_pid(self) -> int:
        """The PID of the sidecar."""
        return self.pid + 1

    @property
    def streams(self) -> list[Stream]:
        """What the PMT says of this release."""
        oui, update = self.release.header.hardware.oui, self.versions.update
        main = Stream(self.pid, self._component_tag, oui, UpdateType.STANDARD, update)
        tag = self._component_tag + 1
        return [main, Stream(self.sidecar_pid, tag, oui, UpdateType.PROPRIETARY, update, _SELECTOR_SIDECAR)]

    # --- by time ----------------------------------------------------------------------------------------

    @cached_property
    def often(self) -> list[Packets]:
        """The DSI, with the signed header in its private data, and the sidecar's header module."""
        raw = self.release.header.raw
        header_id = self._sidecar.first_module_id + HEADER_MODULE
        header = ddb(self._sidecar.download_id, header_id, self.versions.module, 0, 1, raw)
        return [cut_section(self._dsi(self._main, raw), self.pid), cut_section(header, self.sidecar_pid)]

    def note(self, raw: bytes) -> Packets:
        """Return a bulletin, or a gate's tick, as a block of the sidecar that no DII lists."""
        module_id = self._sidecar.first_module_id + BULLETIN_MODULE
        section = ddb(self._sidecar.download_id, module_id, self.versions.module, 0, 1, raw)
        return cut_section(section, self.sidecar_pid)

    @cached_property
    def seldom(self) -> list[Packets]:
        """The DII, and the sidecar's DSI and DII."""
        size = self.release.layout.symbol_size
        main = dii(self._main.download_id, size, self._main_modules)
        sidecar = dii(self._sidecar.download_id, size, self._sidecar_modules)
        return [
            cut_section(main, self.pid),
            cut_section(self._dsi(self._sidecar, b""), self.sidecar_pid),
            cut_section(sidecar, self.sidecar_pid),
        ]

    @property
    def closing_sections(self) -> dict[int, bytes]:
        """The DSI of either PID: what may be sent once more at any time."""
        return {
            self.pid: self._dsi(self._main, self.release.header.raw),
            self.sidecar_pid: self._dsi(self._sidecar, b""),
        }

    def _dsi(self, template: BlockTemplate, private: bytes) -> bytes:
        header, hardware = self.release.header, self.release.header.hardware
        devices = (
            Device(CompatibilityKind.HARDWARE, hardware.oui, hardware.model, hardware.version),
            Device(CompatibilityKind.SOFTWARE, hardware.oui, hardware.model, software_version(header.version)),
        )
        modules = self._main_modules if template is self._main else self._sidecar_modules
        size = sum(module.size_bytes for module in modules)
        transaction = template.download_id & _DSI_TRANSACTION
        return dsi(transaction, Group(template.download_id, size, devices, private))

    @cached_property
    def _main_modules(self) -> list[Module]:
        sizes = self.modules.module_sizes.tolist()
        first, last = self._main.first_module_id, len(sizes) - 1
        has_links = last > 0 and len(sizes) * _MODULE_BYTES_IN_DII <= MAX_DII_BYTES - 32
        modules = []
        for number, (size, crc) in enumerate(zip(sizes, self._module_crcs(), strict=True)):
            position = _FIRST if number == 0 else _LAST if number == last else _MIDDLE
            link = (position, first + min(number + 1, last)) if has_links else None
            modules.append(Module(first + number, size, self.versions.module, module_descriptors(crc, link)))
        return modules

    def _module_crcs(self) -> list[int]:
        """Return the CRC of each module: from the file where it was packed for SSU, or by reading the image."""
        packed = parse_annex(self.release.annex, len(self.modules.main))
        if packed is not None:
            return packed
        rows = zip(*(each.tolist() for each in self.modules.main_rows), self.modules.module_sizes.tolist(), strict=True)
        return [crc32_mpeg2(self.release.source_symbols(first, count).tobytes()[:size]) for first, count, size in rows]

    @property
    def _sidecar_modules(self) -> list[Module]:
        first, version = self._sidecar.first_module_id, self.versions.module
        modules = [Module(first + HEADER_MODULE, len(self.release.header.raw), version)]
        size = self.release.layout.symbol_size
        for number, place in enumerate(self.modules.sidecar, FIRST_LEVEL_MODULE):
            modules.append(Module(first + number, place.count * size, version))
        return modules

    # --- by turns ---------------------------------------------------------------------------------------

    def render(self, first: int, count: int) -> list[Packets]:
        """Return the packets that carry `count` rows of the release file from `first` on: DDBs, each in its own."""
        rows = self.release.read_packets(first, count)
        heads = np.ascontiguousarray(rows[:, :PLAIN_HEADER_BYTES]).view(PLAIN_DTYPE)[:, 0]
        shift = 24 if self.release.layout.objects[0].repair_per_block else 16
        payload_id = heads["payload_id"].astype(np.int64)
        level, sbn, esi = heads["toi"].astype(np.int64) & 7, payload_id >> shift, payload_id & ((1 << shift) - 1)
        return [
            packets
            for part in self._alike(level, sbn, esi)
            for packets in self._render_alike(
                int(level[part][0]), sbn[part], esi[part], rows[part, PLAIN_HEADER_BYTES:]
            )
        ]

    def _alike(self, level: IntArray, sbn: IntArray, esi: IntArray) -> Iterator[slice]:
        """Yield runs of symbols of one level that are all source, or all repair symbols."""
        kind = 2 * level + (esi >= self._block_sizes[level, sbn])
        borders = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), len(kind)]
        for start, end in pairwise(borders):
            yield slice(start, end)

    @cached_property
    def _block_sizes(self) -> IntArray:
        """K by level and SBN, 0 where no block is."""
        objects = self.release.layout.objects
        sizes = np.zeros((len(objects), max(geometry.blocks for geometry in objects)), dtype=np.int64)
        for level, geometry in enumerate(objects):
            sizes[level, : geometry.blocks] = geometry.block_sizes
        return sizes

    def _render_alike(self, level: int, sbn: IntArray, esi: IntArray, symbols: Packets) -> list[Packets]:
        module, block, blocks = self.modules.place(level, sbn, esi)
        is_main = level == 0 and bool(esi[0] < self._block_sizes[0, sbn[0]])
        template, pid = (self._main, self.pid) if is_main else (self._sidecar, self.sidecar_pid)
        rendered = []
        for rows, size in self._by_size(sbn, esi, is_main):
            sections = template.render(module[rows], block[rows], blocks[rows], symbols[rows, :size])
            packets = cut_sections(sections, pid).reshape(-1, PACKET_BYTES)
            rendered += [packets, null_packets(-len(packets) % self._row_packets)]
        return rendered

    def _by_size(self, sbn: IntArray, esi: IntArray, is_main: bool) -> Iterator[tuple[slice, int]]:
        """Yield runs of symbols with the bytes that are sent of each: of the image's last symbol not the padding."""
        image = self.release.layout.objects[0]
        count = last = len(sbn)
        if is_main:
            found = np.flatnonzero(image.first_rows[sbn] + esi == image.source_symbols - 1)
            last = int(found[0]) if len(found) else count
        last_size = image.transfer_length - (image.source_symbols - 1) * image.symbol_size
        parts = ((0, last, image.symbol_size), (last, last + 1, last_size), (last + 1, count, image.symbol_size))
        for start, end, size in parts:
            if start < min(end, count):
                yield slice(start, min(end, count)), size


def packets_of_row(release: Release) -> int:
    """Return how many transport packets one row of a release file becomes."""
    return packets_of_section(DDB_OVERHEAD_BYTES + release.layout.symbol_size)
