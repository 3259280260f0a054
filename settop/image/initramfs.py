"""The receiver's initramfs: busybox, Python, this package, and the libraries that they need, from Debian's packages."""

import marshal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

from carousel.errors import OperatorError
from carousel.frozen import Frozen
from settop.image.boards import Board
from settop.image.elf import libraries_needed
from settop.image.kernelmodules import modules_in_order
from settop.image.newc import Entry, build_archive
from settop.image.ownwheel import files_of_wheel
from settop.image.tools import need_tools

__all__ = ["Parts", "Settings", "build_initramfs", "compress"]

Settings = Mapping[str, str]


class Parts(Frozen):
    """Where the pieces come from: Debian's tree, the kernel's modules, the wheels of this package and of BLAKE3."""

    tree: Path
    modules: Path
    wheel: Path
    blake3: Path


PYTHON = "3.11"
SMALLEST = 19
_STDLIB_LEFT_OUT = (
    "__pycache__", "_pydecimal.py", "_pyio.py", "asyncio", "config-3.11-", "ctypes/test", "curses", "dbm",
    "dist-packages", "distutils", "doctest.py", "ensurepip", "html", "http", "idlelib", "lib2to3", "msilib", "pydoc",
    "sqlite3", "test", "tkinter", "turtle", "unittest", "venv", "wsgiref", "xml", "lib-dynload/_codecs_",
    "lib-dynload/_curses", "lib-dynload/_dbm", "lib-dynload/_gdbm", "lib-dynload/_sqlite3", "lib-dynload/_test",
    "lib-dynload/_tkinter", "lib-dynload/_xx", "lib-dynload/nis", "lib-dynload/ossaudiodev", "lib-dynload/readline",
)  # fmt: skip
_PACKAGES_LEFT_OUT = (
    "/tests/",
    "/test/",
    "/f2py/",
    "/distutils/",
    "/testing/",
    "/include/",
    "/doc/",
    "/__pycache__/",
    "/_simd.",
    "/numpy/linalg/",
    "/numpy/random/",
)
_NOT_ON_A_BOX = ("linalg", "random")
"""Parts of NumPy that it imports at its start and a receiver never calls: with LAPACK, a fifth of the archive."""
_NOT_HERE = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    def missing(*arguments, **named):
        raise RuntimeError(f"numpy's {name} is not on this box")
    return missing
"""
_UNCHECKED_HASH = (1).to_bytes(4, "little")
_USELESS = (".pyc", ".pyi", ".c", ".h", ".a", ".exe", ".md", ".txt")
_LIBRARY_FOLDERS = ("lib", "usr/lib")
_MULTIARCH = {"arm64": "aarch64-linux-gnu", "amd64": "x86_64-linux-gnu"}
_LOADER = {"arm64": "lib/ld-linux-aarch64.so.1", "amd64": "lib64/ld-linux-x86-64.so.2"}
_OPENSSL_MODULES = "ossl-modules/legacy.so"  # which `cryptography` loads whether it is used or not
_PROGRAMS = ("bin/busybox", f"usr/bin/python{PYTHON}", "sbin/kexec")


def compress(archive: bytes, level: int = SMALLEST) -> bytes:
    """Return the archive as Linux unpacks it: by zstd, whose level is a matter of a minute."""
    need_tools(["zstd"])
    return subprocess.run(
        ["zstd", f"-{level}", "-q", "-c", "-T1"], input=archive, capture_output=True, check=True
    ).stdout


def build_initramfs(board: Board, parts: Parts, settings: Settings, level: int = SMALLEST) -> bytes:
    """Return the compressed archive; the same parts and settings give the same bytes."""
    tree = parts.tree
    entries: dict[str, Entry] = {}
    for path in _PROGRAMS:
        if (tree / path).is_file():
            entries[path] = Entry((tree / path).read_bytes(), executable=True)
    entries["usr/bin/python3"] = Entry(link_to=f"python{PYTHON}")
    entries |= _python_files(tree / f"usr/lib/python{PYTHON}", f"usr/lib/python{PYTHON}", _is_wanted_of_stdlib)
    packages = "usr/lib/python3/dist-packages"
    entries |= _python_files(tree / packages, packages, _is_wanted_package)
    for name in _NOT_ON_A_BOX:
        entries |= _module(f"{packages}/numpy/{name}/__init__.py", _NOT_HERE.encode())
    entries |= _python_files(parts.blake3, "usr/lib/bootcast", lambda name: name.startswith("blake3/"))
    entries |= _our_files(parts.wheel)
    legacy = f"usr/lib/{_MULTIARCH[board.debian]}/{_OPENSSL_MODULES}"
    entries[legacy] = Entry((tree / legacy).read_bytes())
    entries |= _libraries(board, tree, entries)
    ordered = modules_in_order(parts.modules, board.modules, board.drivers)
    entries |= {f"lib/modules/{name}": Entry(content) for name, content in ordered.items()}
    entries["etc/bootcast/modules"] = Entry("".join(f"{name}\n" for name in ordered).encode())
    lines = "".join(f"{key}='{value}'\n" for key, value in settings.items())
    entries["etc/bootcast/board.conf"] = Entry(lines.encode())
    scripts = files("settop.image") / "files"
    entries["etc/bootcast/bringup"] = Entry((scripts / "bringup").read_bytes())
    entries["init"] = Entry((scripts / "init").read_bytes(), executable=True)
    start = b"#!/usr/bin/python3\nfrom settop.cli import main\nmain()\n"
    entries["usr/bin/settop"] = Entry(start, executable=True)
    return compress(build_archive(entries), level)


def _is_wanted_of_stdlib(name: str) -> bool:
    return not name.startswith(_STDLIB_LEFT_OUT)


def _is_wanted_package(name: str) -> bool:
    top = name.split("/", maxsplit=1)[0]
    return (top in ("numpy", "cryptography", "construct") or top.startswith("_cffi_backend")) and not any(
        part in f"/{name}" for part in _PACKAGES_LEFT_OUT
    )


def _our_files(wheel: Path) -> dict[str, Entry]:
    """Return this package as its wheel for the board has it."""
    entries: dict[str, Entry] = {}
    for name, content in files_of_wheel(wheel).items():
        entries |= _module(f"usr/lib/bootcast/{name}", content)
    return entries


def _python_files(folder: Path, to: str, is_wanted: Callable[[str], bool]) -> dict[str, Entry]:
    """Return a tree's modules."""
    entries: dict[str, Entry] = {}
    for path, name in _walk(folder):
        if is_wanted(name) and path.suffix not in _USELESS:
            entries |= _module(f"{to}/{name}", path.read_bytes())
    return entries


def _module(name: str, content: bytes) -> dict[str, Entry]:
    """Return a file; a Python module compiled, where this Python writes what the board's reads."""
    if name.endswith(".py") and _version() == PYTHON:
        return {f"{name}c": Entry(_compiled(content, f"/{name}"))}
    return {name: Entry(content)}


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and "__pycache__" not in name:
            yield path, name


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _compiled(source: bytes, name: str) -> bytes:
    """Return a .pyc of PEP 552 with an unchecked hash: no time in it, and no source is looked for."""
    code = compile(source, name, "exec", dont_inherit=True)
    return MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)


def _libraries(board: Board, tree: Path, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the shared libraries that the files need, and those that these need."""
    multiarch = _MULTIARCH[board.debian]
    folders = [tree / base / multiarch for base in _LIBRARY_FOLDERS] + [tree / base for base in _LIBRARY_FOLDERS]
    folders += [folder / each for folder in folders[:2] for each in ("blas", "lapack")]
    loader = _LOADER[board.debian]
    found = {loader: Entry((tree / loader).resolve().read_bytes(), executable=True)}
    waiting = [name for entry in entries.values() for name in libraries_needed(entry.content)]
    seen = {Path(loader).name} | {Path(path).name for path in entries}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = next((folder / name for folder in folders if (folder / name).exists()), None)
        if path is None:
            raise OperatorError(f"the library {name} is in none of the packages of {board.name}")
        content = path.read_bytes()
        found[f"usr/lib/{multiarch}/{name}"] = Entry(content)
        waiting += libraries_needed(content)
    return found
