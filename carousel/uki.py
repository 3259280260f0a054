"""The unified kernel image (UKI): one PE file with a kernel, an initrd and a command line as sections.

    MZ … e_lfanew → "PE\\0\\0" | COFF header | optional header (PE32+) | section table | … | .linux .initrd .cmdline

UEFI, systemd-boot, GRUB's chainloader and U-Boot's bootefi start the file itself; kexec and the Raspberry Pi's
firmware take its sections. Formats: Microsoft PE/COFF; UAPI group's UKI specification. Pure: bytes in, bytes out.
"""

from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.records import Bytes, Const, Number, Record

__all__ = [
    "DEFAULT_OS_RELEASE",
    "MACHINES",
    "CoffHeader",
    "OptionalHeader",
    "PeImage",
    "PeSection",
    "SectionHeader",
    "Uki",
    "build_uki",
    "parse_pe",
    "parse_uki",
]

CoffHeader = Record(
    "<",
    magic=Const(b"PE\0\0", 4),
    machine=Number(2),
    section_count=Number(2),
    timestamp=Number(4),
    symbols=Number(4),
    symbol_count=Number(4),
    optional_size=Number(2),
    characteristics=Number(2),
)
OptionalHeader = Record(
    "<",
    magic=Const(0x20B, 2),
    before=Bytes(30),
    section_alignment=Number(4),
    file_alignment=Number(4),
    versions=Bytes(16),
    image_bytes=Number(4),
    header_bytes=Number(4),
    checksum=Number(4),
)
SectionHeader = Record(
    "<",
    name=Bytes(8),
    memory_bytes=Number(4),
    address=Number(4),
    file_bytes=Number(4),
    file_offset=Number(4),
    relocations=Bytes(12),
    characteristics=Number(4),
)
assert CoffHeader.size == 24
assert OptionalHeader.size == 68
assert SectionHeader.size == 40

MACHINES = {"x86_64": 0x8664, "aarch64": 0xAA64, "armv7": 0x01C2}
"""COFF machine numbers of the architectures that boards have."""
_NEW_HEADER_AT = slice(0x3C, 0x40)
MAX_SECTIONS = 96
_READABLE_DATA = 0x4000_0040  # IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_INITIALIZED_DATA
DEFAULT_OS_RELEASE = "ID=bootcast\nNAME=bootcast\nPRETTY_NAME=bootcast\nVERSION_ID=1\n"
MAX_COMMAND_LINE_BYTES = 4096


class PeSection(Frozen):
    """A section: its bytes lie at file_offset, `size_bytes` of them, and belong at `address` in memory."""

    name: str
    address: int
    file_offset: int
    size_bytes: int


class PeImage(Frozen):
    """What a PE file's headers say. `coff_at` is where the COFF header begins."""

    coff_at: int
    machine: int
    section_alignment: int
    file_alignment: int
    image_bytes: int
    header_bytes: int
    sections: tuple[PeSection, ...]

    @property
    def optional_at(self) -> int:
        """Where the optional header begins."""
        return self.coff_at + CoffHeader.size


class Uki(Frozen):
    """A UKI's parts, as views of the file."""

    machine: int
    linux: memoryview
    initrd: memoryview
    command_line: str
    os_release: str


def parse_pe(image: memoryview) -> PeImage:
    """Read a PE32+ file's headers; `FormatError` if it is none or a section lies outside of the file."""
    coff_at = int.from_bytes(image[_NEW_HEADER_AT], "little") if bytes(image[:2]) == b"MZ" else len(image)
    try:
        coff = CoffHeader.parse(image[coff_at : coff_at + CoffHeader.size])
        optional_at = coff_at + CoffHeader.size
        optional = OptionalHeader.parse(image[optional_at : optional_at + OptionalHeader.size])
        if not 0 < coff.section_count <= MAX_SECTIONS:
            raise FormatError("pe_sections")
        table_at = optional_at + coff.optional_size
        places = range(table_at, table_at + coff.section_count * SectionHeader.size, SectionHeader.size)
        headers = [SectionHeader.parse(image[place : place + SectionHeader.size]) for place in places]
    except FormatError as error:
        raise FormatError("not_a_pe_file" if error.reason.startswith("record") else error.reason) from None
    sections = tuple(
        PeSection(
            header.name.rstrip(b"\0").decode("ascii", "replace"),
            header.address,
            header.file_offset,
            min(header.memory_bytes or header.file_bytes, header.file_bytes),
        )
        for header in headers
    )
    if any(section.file_offset + section.size_bytes > len(image) for section in sections):
        raise FormatError("pe_section_outside")
    return PeImage(
        coff_at,
        coff.machine,
        optional.section_alignment,
        optional.file_alignment,
        optional.image_bytes,
        optional.header_bytes,
        sections,
    )


def parse_uki(image: memoryview) -> Uki:
    """Read a UKI; `FormatError` if it is no PE file, or one without a kernel in it."""
    pe = parse_pe(image)
    parts = {
        section.name: image[section.file_offset : section.file_offset + section.size_bytes] for section in pe.sections
    }
    if ".linux" not in parts:
        raise FormatError("no_uki")
    empty = image[:0]
    command_line = bytes(parts.get(".cmdline", empty)[:MAX_COMMAND_LINE_BYTES])
    return Uki(
        pe.machine,
        parts[".linux"],
        parts.get(".initrd", empty),
        _text(command_line),
        _text(bytes(parts.get(".osrel", empty)[:MAX_COMMAND_LINE_BYTES])),
    )


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace").strip()


def build_uki(stub: bytes, kernel: bytes, initrd: bytes, command_line: str, os_release: str) -> bytes:
    """Return systemd's EFI stub with the parts as sections behind its own; the same parts give the same bytes.

    `FormatError` if it is no PE stub, or has no room for their headers.
    """
    pe = parse_pe(memoryview(stub))
    parts = [
        (b".osrel", os_release.encode()),
        (b".cmdline", command_line.encode() + b"\0"),
        (b".linux", kernel),
        (b".initrd", initrd),
    ]
    parts = [(name, data) for name, data in parts if data]
    table_at = pe.optional_at + CoffHeader.parse(stub[pe.coff_at :]).optional_size
    table_end = table_at + (len(pe.sections) + len(parts)) * SectionHeader.size
    if table_end > pe.header_bytes:
        raise FormatError("stub_without_room_for_sections")
    image = bytearray(stub)
    address = pe.image_bytes
    for number, (name, data) in enumerate(parts, start=len(pe.sections)):
        image += bytes(-len(image) % pe.file_alignment)
        address = _aligned(address, pe.section_alignment)
        fields = {
            "name": name.ljust(8, b"\0"),
            "memory_bytes": len(data),
            "address": address,
            "file_bytes": _aligned(len(data), pe.file_alignment),
            "file_offset": len(image),
            "relocations": bytes(12),
            "characteristics": _READABLE_DATA,
        }
        place = table_at + number * SectionHeader.size
        image[place : place + SectionHeader.size] = SectionHeader.build(fields)
        image += data
        address += len(data)
    image += bytes(-len(image) % pe.file_alignment)
    _count_sections(image, pe, len(parts), _aligned(address, pe.section_alignment))
    return bytes(image)


def _aligned(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _count_sections(image: bytearray, pe: PeImage, added: int, image_bytes: int) -> None:
    """Set what the headers say of the whole: the count of sections, and the size in memory."""
    coff = CoffHeader.parse(bytes(image[pe.coff_at :][: CoffHeader.size]))
    coff.section_count += added
    image[pe.coff_at : pe.optional_at] = CoffHeader.build(vars(coff))
    optional_end = pe.optional_at + OptionalHeader.size
    optional = OptionalHeader.parse(bytes(image[pe.optional_at : optional_end]))
    optional.image_bytes, optional.checksum = image_bytes, 0
    image[pe.optional_at : optional_end] = OptionalHeader.build(vars(optional))
