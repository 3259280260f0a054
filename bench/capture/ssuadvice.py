"""What a loader in the field would say of a stream: rules of docs/ssu.md, and when tables came."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carousel.release.identity import ANY_VERSION
from carousel.ssu.dsmcc import CompatibilityKind, DownloadInfo, Group
from carousel.ssu.modules import FEW_MODULES, MAX_MODULE_BLOCKS

__all__ = ["TableTimes", "loader_notes"]

MAX_LOADER_BLOCK_BYTES = 4016
MESSAGE_PATIENCE_S = 20.0
BLOCKS_PATIENCE_S = 200.0
MAX_VERSIONS = 64
_PSI_LIMITS_S = {"PAT": 0.5, "PMT": 0.5, "SDT": 2.0, "NIT": 10.0}


@dataclass
class TableTimes:
    """When a table came, and in which versions."""

    count: int = 0
    last_s: float = 0.0
    longest_gap_s: float = 0.0
    versions: list[int] = field(default_factory=list)

    def take(self, version: int, now_s: float) -> None:
        """Note that it came."""
        if self.count:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self.last_s)
        self.count += 1
        self.last_s = now_s
        if (not self.versions or self.versions[-1] != version) and len(self.versions) < MAX_VERSIONS:
            self.versions.append(version)

    def report(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"count": self.count, "longest_gap_s": round(self.longest_gap_s, 3), "versions": self.versions}


def loader_notes(
    group: Group | None,
    info: DownloadInfo | None,
    cycle_s: float | None,
    times: Mapping[str, TableTimes],
    pid: int,
) -> list[str]:
    """Return what would keep a loader in the field from taking a standard carousel, one sentence each."""
    notes = [
        f"the {name} came only every {times[name].longest_gap_s:.1f} s; {limit_s:g} s are allowed"
        for name, limit_s in _PSI_LIMITS_S.items()
        if name in times and times[name].longest_gap_s > limit_s
    ]
    notes += [f"no {name} was heard" for name in ("PAT", "PMT", "SDT", "NIT") if name not in times]
    for name in (f"DSI on {pid:#x}", f"DII on {pid:#x}"):
        if name in times and times[name].longest_gap_s > MESSAGE_PATIENCE_S:
            notes.append(f"the {name} came only every {times[name].longest_gap_s:.0f} s: loaders wait 20 s")
    notes += _group_notes(group) + _module_notes(info)
    if cycle_s is not None and cycle_s > BLOCKS_PATIENCE_S:
        notes.append(f"blocks come again only after {cycle_s:.0f} s: loaders wait 200 s for all of them")
    return notes


def _group_notes(group: Group | None) -> list[str]:
    if group is None:
        return ["no DSI names this carousel"]
    kinds = {device.kind: device for device in group.devices}
    notes = [f"the DSI has no {kind.name.lower()} descriptor" for kind in CompatibilityKind if kind not in kinds]
    hardware = kinds.get(CompatibilityKind.HARDWARE)
    if hardware is not None and hardware.version == ANY_VERSION:
        notes.append("it is for any hardware version (0xFFFF): loaders take only a version equal to their own")
    return notes


def _module_notes(info: DownloadInfo | None) -> list[str]:
    if info is None:
        return ["no DII describes this carousel"]
    notes = []
    if len(info.modules) > FEW_MODULES:
        notes.append(f"{len(info.modules)} modules: some loaders have room for {FEW_MODULES}, and don't check")
    if info.block_size > MAX_LOADER_BLOCK_BYTES:
        notes.append(f"blocks of {info.block_size} bytes: loaders take {MAX_LOADER_BLOCK_BYTES} at most")
    largest = max((-(-module.size_bytes // info.block_size) for module in info.modules if info.block_size), default=0)
    if largest > MAX_MODULE_BLOCKS:
        notes.append(f"a module of {largest} blocks: readers disagree on section numbers above {MAX_MODULE_BLOCKS}")
    return notes
