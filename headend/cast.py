"""`headend cast`, whole: keep a carousel turning until told to stop. The clock and the wait are arguments."""

import errno
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from carousel.batch import Batch
from carousel.errors import BootcastError, FormatError, OperatorError, explain_os_error
from carousel.release import Release
from headend.broadcaster import Broadcaster

__all__ = ["Carousel", "ReleaseShelf", "Wire"]

Tell = Callable[..., None]
RETRY_S = 0.1
"""How long to wait for a network that takes nothing."""
RELOAD_CHECK_S = 1.0
STATUS_S = 1.0


class Wire(Protocol):
    """Where batches go."""

    def send(self, batch: Batch) -> None:
        """Send a batch; `OSError` where the network does not take it."""


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
            mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
            release = Release.parse(memoryview(mapped), file.fileno())
        except (ValueError, FormatError) as error:
            file.close()
            raise OperatorError(f"{path} is no whole release file ({error}); `headend pack` makes one") from None
        if known is not None:
            self._replaced.append(known[2])
        self._loaded[path] = (stamp, release, file)
        return release

    def close_replaced(self) -> None:
        """Close the files of releases that are cast no more."""
        for file in self._replaced:
            file.close()
        self._replaced.clear()

    def close(self) -> None:
        """Close all files; memory maps live as long as their releases."""
        self.close_replaced()
        for _, _, file in self._loaded.values():
            file.close()


@dataclass
class Carousel:
    """Drives a broadcaster: waits until a batch is due, sends it, reports, swaps releases."""

    broadcaster: Broadcaster
    shelf: ReleaseShelf
    wire: Wire
    clock: Callable[[], float]
    wait: Callable[[float], None]
    tell: Tell

    def __post_init__(self) -> None:
        self.should_stop = False
        self.should_reload = False
        self._trouble: str | None = None
        self._sent_bytes = 0
        self._sent_packets = 0

    def run(self, cycles: int) -> None:
        """Turn until `should_stop`, or until so many cycles are done (0: for ever)."""
        now = status_s = check_s = self.clock()
        while not self.should_stop and not (cycles and self.broadcaster.cycles_done >= cycles):
            pause_s = self.broadcaster.due(now) - now
            if pause_s > 0:
                self.wait(pause_s)
                now = self.clock()
                continue
            self._send(self.broadcaster.next_batch(now))
            now = self.clock()
            if now - status_s >= STATUS_S:
                self._tell_status(now - status_s)
                status_s = now
            if self.should_reload or now - check_s >= RELOAD_CHECK_S:
                check_s = now
                self._reload_if_changed(now)

    def _send(self, batch: Batch) -> None:
        """Send a batch. Trouble on the network is reported once, and once more when it is over."""
        try:
            self.wire.send(batch)
        except OSError as error:
            what = "the send buffer is full" if error.errno == errno.ENOBUFS else explain_os_error(error)
            if what != self._trouble:
                self.tell("trouble", reason=what)
                self._trouble = what
            self.wait(RETRY_S)
            return
        if self._trouble is not None:
            self.tell("trouble_over", reason=self._trouble)
            self._trouble = None
        self._sent_bytes += batch.stride * batch.count
        self._sent_packets += batch.count

    def _tell_status(self, elapsed_s: float) -> None:
        position = self.broadcaster.position
        self.tell(
            "status",
            rate_bps=round(self._sent_bytes * 8 / elapsed_s),
            packets=self._sent_packets,
            cycle=position.cycle,
            share=round(position.share, 4),
        )
        self._sent_bytes = self._sent_packets = 0

    def _reload_if_changed(self, now: float) -> None:
        asked, self.should_reload = self.should_reload, False
        if not asked and not self.shelf.has_changed():
            return
        try:
            releases = self.shelf.load()
            self.broadcaster.replace(releases, now)
        except (BootcastError, OSError) as error:
            reason = explain_os_error(error) if isinstance(error, OSError) else str(error)
            self.tell("trouble", reason=f"going on with the old content: {reason}")
            return
        self.shelf.close_replaced()
        self.tell("swapped", releases=[describe_release(release) for release in releases])


def describe_release(release: Release) -> dict[str, Any]:
    """Return what tells releases apart, for reports."""
    header = release.header
    return {
        "name": header.name,
        "version": str(header.version),
        "hardware": str(header.hardware),
        "image_size": header.image_size,
        "toi_base": header.toi_base,
    }
