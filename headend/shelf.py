"""The release files of a carousel on the head-end's disk."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from carousel.console.files import map_release
from carousel.flute.releasefile import Release
from headend.cast.shares import Demand

__all__ = ["ReleaseShelf"]


class ReleaseShelf:
    """The release files of a carousel, mapped; notices when one is replaced."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._loaded: dict[Path, tuple[tuple[int, int, int], Release, BinaryIO]] = {}
        self._replaced: list[BinaryIO] = []

    def load(self) -> list[Release]:
        """Return the releases as they are on disk now; unchanged files keep their object."""
        return [self._load(path) for path in self._paths]

    def has_changed(self) -> bool:
        """Say whether a file was replaced since `load`; one that is missing at the moment counts as unchanged."""
        for path in self._paths:
            try:
                if self._stamp(path) != self._loaded[path][0]:
                    return True
            except OSError:
                continue
        return False

    def _stamp(self, path: Path) -> tuple[int, int, int]:
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _load(self, path: Path) -> Release:
        stamp = self._stamp(path)
        known = self._loaded.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        file = path.open("rb")
        try:
            release = map_release(path, file.fileno())
        except BaseException:
            file.close()
            raise
        if known is not None:
            self._replaced.append(known[2])
        self._loaded[path] = (stamp, release, file)
        return release

    def demands(self) -> Sequence[Demand]:
        """All are wanted alike."""
        return ()

    def close_replaced(self) -> None:
        """Close the files of releases that are cast no more.

        Their maps have a descriptor each and keep the room of a removed file taken; they go with the last cycle of
        objects that knows them, which may live for hours where little is allocated.
        """
        for file in self._replaced:
            file.close()
        if self._replaced:
            gc.collect()
        self._replaced.clear()

    def close(self) -> None:
        """Close all files; memory maps live as long as their releases."""
        self.close_replaced()
        for _, _, file in self._loaded.values():
            file.close()
