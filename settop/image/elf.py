"""What ELF files need: shared libraries of programs, other modules of kernel modules."""

import io
import lzma
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from carousel.errors import OperatorError

__all__ = ["libraries_needed", "load_module", "module_needs"]


def libraries_needed(content: bytes) -> list[str]:
    """Return the DT_NEEDED names of an ELF file; none for what is no ELF file."""
    if not content.startswith(b"\x7fELF"):
        return []
    sections = ELFFile(io.BytesIO(content)).iter_sections()
    return [
        str(tag.needed)  # type: ignore[attr-defined]  # set for DT_NEEDED
        for section in sections
        if isinstance(section, DynamicSection)
        for tag in section.iter_tags()
        if tag.entry.d_tag == "DT_NEEDED"
    ]


def load_module(path: Path) -> bytes:
    """Return a kernel module, unpacked where it is packed."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def module_needs(content: bytes, name: str) -> tuple[list[str], list[str]]:
    """Return the names of the modules that a kernel module needs, and of those it wants before it, if they are there.

    They stand in its .modinfo section: `depends=a,b` and `softdep=pre: c d post: e` (drivers that it finds by a
    device, not by a symbol: a network chip's bus, a file system's checksum).
    """
    try:
        section = ELFFile(io.BytesIO(content)).get_section_by_name(".modinfo")
    except ELFError:
        section = None
    if section is None:
        raise OperatorError(f"{name} is no kernel module")
    fields = section.data().split(b"\0")
    depends = next((field[8:] for field in fields if field.startswith(b"depends=")), b"").decode().split(",")
    wishes = [word for field in fields if field.startswith(b"softdep=") for word in _before(field[8:].decode())]
    return [each.replace("-", "_") for each in depends if each], [each.replace("-", "_") for each in wishes]


def _before(wishes: str) -> list[str]:
    """Return the names behind `pre:`."""
    found, is_before = [], False
    for word in wishes.split():
        if word.endswith(":"):
            is_before = word == "pre:"
        elif is_before:
            found.append(word)
    return found
