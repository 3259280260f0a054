"""A box's folder: its identity, the keys it trusts, its store, and a lock that lets one receiver in."""

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carousel.console.files import load_public_key, read_small_file
from carousel.errors import OperatorError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing
from settop.store.disk import FolderDisk
from settop.store.factory import open_factory
from settop.store.identity import BULLETIN_TRUST, CONFIG, TRUST, read_identity
from settop.store.slots import Store

if TYPE_CHECKING:
    from settop.store.bulletins import BulletinStore

__all__ = ["BoxFolder", "RolloutTrust"]

_LOCK_POLL_S = 0.1
REPORT_KEY = "report.key"
REPORT_KEY_BYTES = 32


class RolloutTrust(Frozen):
    """Whose bulletins a box obeys, and to which addresses it may report; nobody's and none, if not told otherwise."""

    keys: tuple[Path, ...] = ()
    reports_to: tuple[str, ...] = ()
    report_key: Path | None = None
    """A file with this box's own key, by which a head-end believes what it reports."""


NO_ROLLOUT = RolloutTrust()


class BoxFolder:
    """One box's folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity = read_identity(path)
        self.hardware, self.trust = self.identity.hardware, self.identity.trust
        self.disk = FolderDisk(path)
        self.store = Store(self.disk, self.hardware, self.trust)

    @classmethod
    def init(
        cls,
        path: Path,
        hardware: Hardware,
        trust: list[Path],
        eeprom: Path,
        box_id: str = "",
        rollout: RolloutTrust = NO_ROLLOUT,
    ) -> "BoxFolder":
        """Make a box's folder: identity, keys, factory image, first state record. Never over an existing one."""
        if (path / CONFIG).exists():
            raise OperatorError(f"{path} is a box's store already; remove it first if the box shall forget everything")
        ring = TrustRing.of(map(load_public_key, trust))
        _check_rollout(rollout, ring, box_id)
        with open_factory(eeprom) as (header, image):
            _check_factory(header, hardware, ring, eeprom)
            path.mkdir(parents=True, exist_ok=True)
            _copy_keys(trust, path / TRUST)
            if rollout.keys:
                _copy_keys(rollout.keys, path / BULLETIN_TRUST)
            if rollout.report_key:
                _copy_secret(rollout.report_key, path / REPORT_KEY)
            identity: dict[str, Any] = {"hardware": str(hardware)}
            identity |= {"id": box_id} if box_id else {}
            identity |= {"reports_to": rollout.reports_to} if rollout.reports_to else {}
            config = json.dumps(identity) + "\n"
            unfinished = path / (CONFIG + ".new")
            store = Store(FolderDisk(path), hardware, ring)
            store.write_eeprom(header, image)
            store.format()
            unfinished.write_text(config)
            unfinished.replace(path / CONFIG)
        return cls(path)

    @cached_property
    def bulletins(self) -> "BulletinStore":
        """The bulletins that are kept here."""
        from settop.store.bulletins import BulletinStore  # noqa: PLC0415  a box that obeys none does not wait for it

        return BulletinStore(self.disk)

    @contextmanager
    def locked(self, wait_s: float = 0.0, sleep: Callable[[float], None] = lambda pause_s: None) -> Iterator[int]:
        """Hold the box's lock, on this descriptor: for whoever receives, installs, boots or confirms."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)  # a read-only store can be locked, too
        try:
            _take_lock(descriptor, wait_s, sleep)
            yield descriptor
        except BlockingIOError:
            raise OperatorError(f"another settop command works on {self.path}; wait for it, or end it") from None
        finally:
            os.close(descriptor)

    def check_writable(self) -> None:
        """Say early that nothing can be installed here."""
        if self.identity.is_guess:
            raise OperatorError(self.identity.troubles[0])
        if not os.access(self.path, os.W_OK):
            raise OperatorError(
                f"{self.path} is read-only or not ours to write; remount it writable, or run as its owner"
            )

    def report_key(self) -> bytes | None:
        """Return the key by which reports of this box are believed, if it has one."""
        try:
            return _read_report_key(self.path / REPORT_KEY)
        except OSError:
            return None

    def part_name(self, header: SignedHeader) -> str:
        """Return the name of the part file of a release."""
        return f"{header.release_id}.part"

    def remove_parts(self, keep: int = 0, but: Collection[str] = ()) -> int:
        """Remove part files but these and the newest ones; return how many."""
        parts = [path for path in self.path.glob("*.part") if path.name not in but]
        parts.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in parts[keep:]:
            path.unlink()
        return len(parts[keep:])


def _take_lock(descriptor: int, wait_s: float, sleep: Callable[[float], None]) -> None:
    """Take a lock, or raise `BlockingIOError` after so long."""
    for left in reversed(range(1 + int(wait_s / _LOCK_POLL_S))):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not left:
                raise
            sleep(_LOCK_POLL_S)


def _copy_keys(keys: Sequence[Path], folder: Path) -> None:
    import shutil  # noqa: PLC0415  and with it three compressors, for `settop init` alone

    folder.mkdir(exist_ok=True)
    for number, key in enumerate(keys):
        shutil.copyfile(key, folder / f"{number}-{key.stem}.pub")


def _read_report_key(path: Path) -> bytes | None:
    """Return a box's key, or None if the file holds none; `OSError` if it can't be read."""
    try:
        key = bytes.fromhex(read_small_file(path, 1024).decode().strip())
    except ValueError:
        return None
    return key if len(key) == REPORT_KEY_BYTES else None


def _copy_secret(source: Path, to: Path) -> None:
    """Copy a key, for its owner's eyes."""
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(source.read_bytes())


def _check_rollout(rollout: RolloutTrust, trust: TrustRing, box_id: str) -> None:
    """Refuse a key for both, and boxes that all are in one cohort."""
    ring = TrustRing.of(map(load_public_key, rollout.keys))
    if ring.keys.keys() & trust.keys.keys():
        raise OperatorError("a key that signs releases must not sign bulletins, too: that one is online")
    if rollout.report_key is not None and _read_report_key(rollout.report_key) is None:
        raise OperatorError(f"{rollout.report_key} is no key of a box; `headend rollout box-key` makes one")
    if ring.keys and not box_id:
        raise OperatorError("this machine tells neither serial number nor MAC address; name the box with --id")


def _check_factory(header: SignedHeader, hardware: Hardware, trust: TrustRing, path: Path) -> None:
    if not trust.believes(header):
        raise OperatorError(f"{path} is signed by none of the keys given with --trust")
    if not hardware.accepts(header.hardware):
        raise OperatorError(f"{path} is made for hardware {header.hardware}, this box is {hardware}")
