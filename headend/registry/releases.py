"""Release files of a data folder, named by their release IDs; what is uploaded is proven before it gets a name."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from carousel.console.files import load_public_key, open_release
from carousel.errors import BootcastError, OperatorError
from carousel.flute.releasefile import Release
from carousel.release.header import SignedHeader
from carousel.release.trust import TrustRing
from headend.registry.model import ReleaseRecord

__all__ = ["DiskFullError", "ReleaseFolder", "TooLargeError", "Upload"]

HASH_BYTES = 4 << 20


class TooLargeError(OperatorError):
    """More than an upload may have."""


class DiskFullError(OperatorError):
    """The disk takes no more."""


class ReleaseFolder:
    """`releases/` of a data folder, and `trust/` beside it: the keys that releases on the air must be signed by."""

    def __init__(self, folder: Path, largest_bytes: int) -> None:
        self._releases, self._uploads, self._trust = folder / "releases", folder / "uploads", folder / "trust"
        self.largest_bytes = largest_bytes
        for each in (self._releases, self._uploads, self._trust):
            each.mkdir(parents=True, exist_ok=True)
        for left_over in self._uploads.iterdir():
            left_over.unlink()
        self._count = 0

    def path(self, key: str) -> Path:
        """Return where a release lies."""
        return self._releases / f"{key}.release"

    def trusted(self) -> TrustRing:
        """Read the keys as they are now; one that can't be read is passed over, and trusts nobody."""
        keys = []
        for path in sorted(self._trust.glob("*.pub")):
            with suppress(BootcastError, OSError):
                keys.append(load_public_key(path))
        return TrustRing.of(keys)

    def marks(self, keys: Iterable[str]) -> object:
        """Return what differs once other keys are trusted, or the file of one of these releases comes or goes."""
        trusted = []
        for path in sorted(self._trust.glob("*.pub")):
            with suppress(OSError):  # gone meanwhile: then it is trusted no more
                stat = path.stat()
                trusted.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return trusted, {key for key in keys if not self.path(key).exists()}

    def check_signature(self, raw_header: bytes) -> None:
        """`OperatorError` unless a key that is trusted now signed these 256 bytes."""
        header, ring = SignedHeader.parse(raw_header), self.trusted()
        if not ring.knows(header):
            raise OperatorError(
                f"{header.name} {header.version} is signed by key {header.key_id.hex()}, which this server does not "
                f"trust: put its .pub file into {self._trust}, or pack the release with another key"
            )
        if not ring.believes(header):
            raise OperatorError(f"the signature of {header.name} {header.version} is forged or damaged")

    def begin(self, size_bytes: int | None) -> "Upload":
        """Take a file in pieces; `size_bytes` is what was announced, if it was."""
        if size_bytes is not None:
            self._check_size(size_bytes)
        self._count += 1
        return Upload(self, self._uploads / f"{os.getpid()}-{self._count}")

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self.largest_bytes:
            raise TooLargeError(f"an upload may have {self.largest_bytes:,} bytes; raise `upload` in the configuration")

    def drop(self, key: str) -> None:
        """Delete a release's file."""
        self.path(key).unlink(missing_ok=True)


class Upload:
    """A file that is on its way: `write` pieces, `prove`, `keep`; what is not kept is gone."""

    def __init__(self, folder: ReleaseFolder, path: Path) -> None:
        self._folder, self._path = folder, path
        self._file = path.open("wb")
        self._size_bytes = 0

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what a full disk did not take is not wanted any more
            self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Take more; `TooLargeError`, `DiskFullError`."""
        self._size_bytes += len(piece)
        self._folder._check_size(self._size_bytes)
        with _explained():
            self._file.write(piece)

    def prove(self, who: str, now_unix_s: float) -> ReleaseRecord:
        """Write all of it out, and check it; `OperatorError` says what is wrong with it. Takes long."""
        with _explained():
            self._file.flush()
            os.fsync(self._file.fileno())
        try:
            with open_release(self._path) as release:
                self._folder.check_signature(release.header.raw)
                _check_image(release)
                record = _record_of(release, self._size_bytes, who, now_unix_s)
        except OperatorError as error:
            raise OperatorError(str(error).replace(str(self._path), "what was uploaded")) from None
        return record

    def keep(self, record: ReleaseRecord) -> None:
        """Give what was proven its name, durably."""
        os.rename(self._path, self._folder.path(record.id))
        _sync_folder(self._folder.path(record.id).parent)


class _explained:  # noqa: N801  a context manager, used as a word
    """Turns what a full disk says into a `DiskFullError`."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError("the disk has no room for this release: make room, or delete releases") from None


def _check_image(release: Release) -> None:
    """Compare the image with the SHA-256 that its maker signed."""
    hasher, left = hashlib.sha256(), release.header.image_size
    for piece in _image_pieces(release):
        hasher.update(piece[:left])
        left -= len(piece)
    if hasher.digest() != release.header.image_sha256:
        raise OperatorError(f"{release.header.name} {release.header.version} is damaged: upload it again")


def _image_pieces(release: Release) -> Iterator[memoryview]:
    geometry = release.layout.objects[0]
    rows = max(1, HASH_BYTES // release.layout.symbol_size)
    for first in range(0, geometry.source_symbols, rows):
        symbols = release.source_symbols(first, min(rows, geometry.source_symbols - first))
        yield memoryview(symbols.tobytes())


def _record_of(release: Release, file_bytes: int, who: str, now_unix_s: float) -> ReleaseRecord:
    header = release.header
    return ReleaseRecord(
        id=str(header.release_id),
        name=header.name,
        version=str(header.version),
        hardware=str(header.hardware),
        security_counter=header.security_counter,
        image_bytes=header.image_size,
        file_bytes=file_bytes,
        length_bytes=release.layout.objects[0].source_symbols * release.packet_size,
        packet_bytes=release.packet_size,
        key_id=header.key_id.hex(),
        header=header.raw.hex(),
        uploaded_unix_s=now_unix_s,
        uploaded_by=who,
        has_ssu=any(bytes(release.annex)),
    )


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
