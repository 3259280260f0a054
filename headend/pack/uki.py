"""Make a unified kernel image of files: systemd's EFI stub, a kernel, initrds and a command line.

The stub may be for another architecture than this machine's: no objcopy is needed.
"""

from pathlib import Path

from carousel.errors import FormatError, OperatorError, UsageError
from carousel.uki import DEFAULT_OS_RELEASE, MACHINES, build_uki, parse_pe

__all__ = ["find_stub", "make_uki"]

STUB_FOLDERS = (Path("/usr/lib/systemd/boot/efi"),)
STUB_NAMES = {"aarch64": "linuxaa64.efi.stub", "x86_64": "linuxx64.efi.stub"}
_ARM64_MAGIC = slice(0x38, 0x3C), b"ARM\x64"
COMMAND_LINE_BYTES = 2048  # what arm64 and x86 kernels take


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
        raise UsageError(f"--cmdline is longer than the {COMMAND_LINE_BYTES} bytes that a kernel takes")
    stub_path = stub or find_stub(architecture_of(kernel_bytes))
    joined = b"".join(data + bytes(-len(data) % 4) for data in (path.read_bytes() for path in initrd))
    try:
        return build_uki(stub_path.read_bytes(), kernel_bytes, joined, command_line, DEFAULT_OS_RELEASE)
    except FormatError as error:
        raise OperatorError(f"{stub_path} is no EFI stub to add sections to ({error.reason})") from None
