"""Make a unified kernel image: systemd's EFI stub, and a kernel, an initrd and a command line as its sections.

The stub may be for another architecture than this machine's: nothing but the PE file itself is written, no
objcopy is needed. The same parts give the same bytes.
"""

from pathlib import Path

from carousel.errors import FormatError, OperatorError
from carousel.uki import MACHINES, CoffHeader, OptionalHeader, PeImage, SectionHeader, parse_pe

__all__ = ["build_uki", "find_stub", "make_uki"]

STUB_FOLDERS = (Path("/usr/lib/systemd/boot/efi"),)
STUB_NAMES = {"aarch64": "linuxaa64.efi.stub", "x86_64": "linuxx64.efi.stub"}
_ARM64_MAGIC = slice(0x38, 0x3C), b"ARM\x64"
_READABLE_DATA = 0x4000_0040  # IMAGE_SCN_MEM_READ | IMAGE_SCN_CNT_INITIALIZED_DATA
DEFAULT_OS_RELEASE = "ID=bootcast\nNAME=bootcast\nPRETTY_NAME=bootcast\nVERSION_ID=1\n"
COMMAND_LINE_BYTES = 2048  # what arm64 and x86 kernels take


def build_uki(stub: bytes, kernel: bytes, initrd: bytes, command_line: str, os_release: str) -> bytes:
    """Return the stub with the parts added as sections behind its own; `FormatError` if it is no PE stub."""
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


def architecture_of(kernel: bytes) -> str:
    """Tell what a kernel runs on, by its header; `OperatorError` if it has no EFI header."""
    place, magic = _ARM64_MAGIC
    if kernel[place] == magic:
        return "aarch64"
    try:
        machine = parse_pe(memoryview(kernel)).machine
    except FormatError:
        machine = 0
    for name, number in MACHINES.items():
        if number == machine:
            return name
    raise OperatorError("--uki takes a kernel as UEFI starts it (vmlinuz of arm64 or x86-64); this file is none")


def find_stub(architecture: str, folders: tuple[Path, ...] = STUB_FOLDERS) -> Path:
    """Return systemd's EFI stub for an architecture; `OperatorError` names the package that has it."""
    name = STUB_NAMES.get(architecture)
    if name is None:
        raise OperatorError(f"there is no EFI stub for {architecture}: a UKI can be made for arm64 and x86-64")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    where = ", ".join(map(str, folders))
    debian = {"aarch64": "arm64", "x86_64": "amd64"}[architecture]
    raise OperatorError(
        f"there is no {name} in {where}: it is in Debian's package systemd-boot-efi of {debian}; "
        f"install or unpack it there, or name the file with --stub"
    )


def make_uki(kernel: Path, initrd: list[Path], command_line: str, stub: Path | None = None) -> bytes:
    """Return the UKI of a kernel, initrds (one behind the other, as Linux takes them) and a command line."""
    kernel_bytes = kernel.read_bytes()
    if len(command_line.encode()) >= COMMAND_LINE_BYTES:
        raise OperatorError(f"--cmdline is longer than the {COMMAND_LINE_BYTES} bytes that a kernel takes")
    stub_path = stub or find_stub(architecture_of(kernel_bytes))
    joined = b"".join(data + bytes(-len(data) % 4) for data in (path.read_bytes() for path in initrd))
    try:
        return build_uki(stub_path.read_bytes(), kernel_bytes, joined, command_line, DEFAULT_OS_RELEASE)
    except FormatError as error:
        raise OperatorError(f"{stub_path} is no EFI stub to add sections to ({error.reason})") from None
