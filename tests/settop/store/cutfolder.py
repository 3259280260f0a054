"""The disk that loses power (powercut.py), with its files in a real folder: so that part files can be mapped there.

Strict as the other one: nothing is on the medium before `sync` and `sync_names`. What a mapped page holds reaches it
when the kernel likes, so after a cut each sector of a file that was not synced since is the old one or the new one, by
chance; a file that was never synced may have lost its length, too, and its name.
"""

import os
import random
from pathlib import Path

from settop.store.disk import FolderDisk
from tests.settop.store.powercut import Cut, PowerCut

SECTOR_BYTES = 512


class CutFolder(FolderDisk):
    """Implements `settop.store.disk.Disk`; also sees what is done to the folder past it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.operations = 0
        self._cut_at, self._cut, self._rng = None, Cut.BEFORE, random.Random(0)
        self._descriptors: dict[int, int] = {}
        """By inode: kept open, so that no inode is used twice."""
        self._durable: dict[int, bytes] = {}
        self._durable_names: dict[str, int] = {}
        self._name_changes: list[dict[str, int]] = []

    def arm(self, cut_at, cut, seed):
        self.operations, self._cut_at, self._cut, self._rng = 0, cut_at, cut, random.Random(seed)

    def close(self):
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}

    # --- what it notices ---------------------------------------------------------------------------------

    def _names_now(self):
        found = {}
        for path in self.folder.iterdir():
            inode = path.stat().st_ino
            if inode not in self._descriptors:
                self._descriptors[inode] = os.open(path, os.O_RDONLY)
            found[path.name] = inode
        return found

    def _look(self):
        names = self._names_now()
        if names != (self._name_changes[-1] if self._name_changes else self._durable_names):
            self._name_changes.append(names)

    def _content(self, inode):
        descriptor = self._descriptors[inode]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    # --- the cut -----------------------------------------------------------------------------------------

    def cut_now(self, seed):
        """The power goes, in the middle of nothing in particular."""
        self._rng = random.Random(seed)
        self._look()
        names = self._rng.choice([self._durable_names, *self._name_changes])
        contents = {name: self._after_cut(inode) for name, inode in names.items()}
        self.close()
        for path in self.folder.iterdir():
            path.unlink()
        for name, content in contents.items():
            (self.folder / name).write_bytes(content)
        self._durable_names = self._names_now()
        self._durable = {inode: self._content(inode) for inode in self._durable_names.values()}
        self._name_changes = []
        self._cut_at = None

    def _after_cut(self, inode):
        before, after = self._durable.get(inode, b""), self._content(inode)
        size = self._rng.choice([len(before), len(after)])
        before, after = before.ljust(size, b"\0"), after.ljust(size, b"\0")
        sectors = []
        for at in range(0, size, SECTOR_BYTES):
            chosen = self._rng.choice([before, after])[at : at + SECTOR_BYTES]
            if self._rng.random() < 0.02:  # the one that was under way: part of it, or nonsense
                chosen = chosen[: self._rng.randrange(len(chosen))] + self._rng.randbytes(SECTOR_BYTES)
            sectors.append(chosen[: min(SECTOR_BYTES, size - at)])
        if before == after:
            return before
        return b"".join(sectors)

    def _mutate(self, action, torn=None):
        self.operations += 1
        if self._cut_at != self.operations:
            action()
            self._look()
            return
        if self._cut is Cut.AFTER:
            action()
        elif self._cut is not Cut.BEFORE and torn is not None:
            torn()
        self._look()
        self.cut_now(self._rng.randrange(1 << 30))
        raise PowerCut

    # --- the disk ----------------------------------------------------------------------------------------

    def write(self, name, offset, data):
        part = data[: self._rng.randrange(len(data) + 1)]
        self._mutate(
            lambda: super(CutFolder, self).write(name, offset, data), lambda: self._torn_write(name, offset, part)
        )

    def _torn_write(self, name, offset, part):
        super().write(name, offset, part)
        self._durable[self.path(name).stat().st_ino] = self.path(name).read_bytes()

    def truncate(self, name, size_bytes):
        self._mutate(lambda: super(CutFolder, self).truncate(name, size_bytes))

    def rename(self, name, to):
        self._mutate(lambda: super(CutFolder, self).rename(name, to))

    def remove(self, name):
        self._mutate(lambda: super(CutFolder, self).remove(name))

    def sync(self, name):
        def act():
            self._durable[self.path(name).stat().st_ino] = self.path(name).read_bytes()

        self._mutate(act)

    def sync_names(self):
        def act():
            self._durable_names, self._name_changes = self._names_now(), []

        self._mutate(act)
