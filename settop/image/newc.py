"""The cpio format that Linux unpacks at boot ("newc"): 110 bytes of ASCII hex, a name, the content. Pure.

    070701 ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check | name NUL | data

Name and data are padded to 4 bytes. Owner, times and order are fixed: the same files give the same archive.
"""

from collections.abc import Mapping

from carousel.frozen import Frozen

__all__ = ["Entry", "build_archive"]

_FOLDER, _FILE, _LINK = 0o040755, 0o100000, 0o120777
_TRAILER = "TRAILER!!!"


class Entry(Frozen):
    """A file, or with `link_to` a symbolic link."""

    content: bytes = b""
    executable: bool = False
    link_to: str = ""


def build_archive(entries: Mapping[str, Entry]) -> bytes:
    """Return the archive of files by path (no leading slash), with the folders that they need."""
    folders = {path.rsplit("/", depth)[0] for path in entries for depth in range(1, path.count("/") + 1)}
    paths = sorted(folders | set(entries))
    pieces = [_record(path, number, entries.get(path)) for number, path in enumerate(paths, start=1)]
    archive = b"".join(pieces) + _header(_TRAILER, 0, 0, 0)
    return archive + bytes(-len(archive) % 512)


def _record(path: str, number: int, entry: Entry | None) -> bytes:
    if entry is None:
        return _header(path, number, _FOLDER, 0)
    if entry.link_to:
        content, mode = entry.link_to.encode(), _LINK
    else:
        content, mode = entry.content, _FILE | (0o755 if entry.executable else 0o644)
    return _header(path, number, mode, len(content)) + content + bytes(-len(content) % 4)


def _header(path: str, number: int, mode: int, size: int) -> bytes:
    name = path.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return header + bytes(-len(header) % 4)
