"""A disk in memory that can lose power at any operation, and tears what was under way.

Strict: nothing is on the medium before `sync` (content) and `sync_names` (names). When the power goes, what was
not synced is partly there: each file keeps a random prefix of its unsynced writes, the last one of them torn or
with random bytes; each unsynced name change is there or not, in order.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum


class PowerCut(Exception):
    pass


class Cut(Enum):
    """How the operation under way is hit."""

    BEFORE = "before"
    TORN_PREFIX = "torn prefix"
    RANDOM_BITS = "random bits"
    PARTIAL = "partial"
    AFTER = "after"


@dataclass
class Inode:
    durable: bytes = b""
    current: bytes = b""
    writes: list[tuple[int, bytes]] = field(default_factory=list)


class CutDisk:
    """Implements `settop.store.disk.Disk`. `cut_at` is the number of the mutating operation that the cut hits."""

    def __init__(self):
        self.files: dict[str, Inode] = {}
        self.durable_names: dict[str, Inode] = {}
        self.operations = 0
        self.cut_at: int | None = None
        self.cut: Cut = Cut.BEFORE
        self.rng = random.Random(0)
        self._name_changes: list[dict[str, Inode]] = []

    def arm(self, cut_at, cut, seed):
        self.operations, self.cut_at, self.cut, self.rng = 0, cut_at, cut, random.Random(seed)

    def _mutate(self, action, torn=None):
        self.operations += 1
        if self.cut_at is None or self.operations != self.cut_at:
            action()
            return
        if self.cut is Cut.AFTER:
            action()
        elif self.cut is not Cut.BEFORE and torn is not None:
            torn()
        self._lose_power()
        raise PowerCut

    def _lose_power(self):
        """Keep what is durable, and by chance some of the rest."""
        kept = self.rng.randint(0, len(self._name_changes))
        names = self._name_changes[kept - 1] if kept else self.durable_names
        for inode in {id(inode): inode for inode in names.values()}.values():
            content = inode.durable
            for offset, data in inode.writes[: self.rng.randint(0, len(inode.writes))]:
                content = self._overlay(content, offset, data)
            inode.durable = inode.current = content
            inode.writes = []
        self.files = dict(names)
        self.durable_names = dict(names)
        self._name_changes = []
        self.cut_at = None

    @staticmethod
    def _overlay(content, offset, data):
        if data is None:
            return content[:offset]
        return content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :]

    def _changed_names(self):
        self._name_changes.append(dict(self.files))

    def read(self, name) -> bytes | None:
        inode = self.files.get(name)
        return inode.current if inode is not None else None

    def chunks(self, name) -> Iterator[bytes]:
        content = self.read(name)
        if content:
            yield content

    def _write(self, name, offset, data):
        inode = self.files.get(name)
        if inode is None:
            inode = self.files[name] = Inode()
            self._changed_names()
        inode.current = self._overlay(inode.current, offset, data)
        inode.writes.append((offset, data))

    def write(self, name, offset, data):
        def torn():
            part = data[: self.rng.randrange(len(data) + 1)]
            if self.cut is Cut.RANDOM_BITS:
                part = bytes(byte & self.rng.randrange(256) for byte in data)
            elif self.cut is Cut.PARTIAL:
                part = bytes(self.rng.choice((byte, 0xFF)) for byte in data)
            self._write(name, offset, part)
            inode = self.files[name]
            inode.durable, inode.writes = inode.current, []
            if name in self.durable_names:
                self.durable_names[name] = inode

        self._mutate(lambda: self._write(name, offset, data), torn)

    def truncate(self, name, size_bytes):
        def act():
            inode = self.files[name]
            inode.current = inode.current[:size_bytes]
            inode.writes.append((size_bytes, None))

        self._mutate(act)

    def rename(self, name, to):
        def act():
            self.files[to] = self.files.pop(name)
            self._changed_names()

        self._mutate(act)

    def remove(self, name):
        def act():
            if self.files.pop(name, None) is not None:
                self._changed_names()

        self._mutate(act)

    def sync(self, name):
        def act():
            inode = self.files[name]
            inode.durable, inode.writes = inode.current, []

        self._mutate(act)

    def sync_names(self):
        def act():
            self.durable_names = dict(self.files)
            self._name_changes = []

        self._mutate(act)

    def names(self) -> list[str]:
        return sorted(self.files)
