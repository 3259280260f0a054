"""The machine under the backends: kernel files, EFI variables, programs, the reboot call. Tests bring their own."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from carousel.errors import OperatorError

__all__ = ["EFIVARS", "LinuxMachine", "Machine", "read_text"]

EFIVARS = "/sys/firmware/efi/efivars"
WORD_BYTES = ctypes.sizeof(ctypes.c_long)
_REBOOT_MAGIC = 0xFEE1DEAD, 0x28121969
_RESTART, _RESTART_WITH_WORDS, _KEXEC = 0x01234567, 0xA1B2C3D4, 0x45584543  # linux/reboot.h


class Machine(Protocol):
    """What a backend may ask of the machine it runs on."""

    def read(self, path: str) -> bytes | None:
        """Return a file of /proc, /sys or /dev, or None if there is none."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file of /sys or a scratch file, in one call."""

    def find(self, program: str) -> str | None:
        """Return a program's path, or None."""

    def run(self, words: Sequence[str]) -> int:
        """Run a program to its end; return its exit code."""

    def restart(self, words: str = "") -> NoReturn:
        """Restart, with words for the firmware (`0 tryboot`)."""

    def jump(self) -> NoReturn:
        """Start the kernel that kexec loaded."""


def read_text(machine: Machine, path: str) -> str:
    """Return a file's text, without what ends lines and strings; empty where there is none."""
    return (machine.read(path) or b"").decode(errors="replace").strip("\0\n\t ")


class LinuxMachine:
    """The Linux that this runs on."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None if it is not there or not ours to read."""
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None

    def write(self, path: str, data: bytes) -> None:
        """Write a file in one call, as EFI variables need it."""
        if path.startswith(EFIVARS) and Path(path).exists():
            _make_mutable(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, data) if len(data) < 65536 else _write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def find(self, program: str) -> str | None:
        """Return a program's path, or None."""
        import shutil  # noqa: PLC0415  and with it three compressors, for backends that run programs

        return shutil.which(program, path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")

    def run(self, words: Sequence[str]) -> int:
        """Run a program to its end; return its exit code."""
        import subprocess  # noqa: PLC0415  the same

        return subprocess.run(words, check=False).returncode

    def restart(self, words: str = "") -> NoReturn:
        """Bring everything to the disks and restart, at once: the receiver has no services to end."""
        self._reboot(_RESTART_WITH_WORDS if words else _RESTART, words)

    def jump(self) -> NoReturn:
        """Start the kernel that kexec loaded."""
        self._reboot(_KEXEC)

    def _reboot(self, what: int, words: str = "") -> NoReturn:
        os.sync()
        library = ctypes.CDLL(None, use_errno=True)
        is_narrow = WORD_BYTES == 4  # of this program: cards of 32 bits run on kernels of 64, which tell of themselves
        syscall_number = 88 if is_narrow else 142 if os.uname().machine == "aarch64" else 169
        library.syscall(syscall_number, *_REBOOT_MAGIC, what, words.encode() or None)
        reason = os.strerror(ctypes.get_errno())
        raise OperatorError(f"the kernel does not restart: {reason}; run this as root")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _make_mutable(path: str) -> None:
    """Linux guards EFI variables by the immutable flag of their files; take it off."""
    import fcntl  # noqa: PLC0415 - only where an EFI variable is written

    size = WORD_BYTES << 16  # linux/fs.h names a long
    get_flags, set_flags, immutable = 0x8000_6601 | size, 0x4000_6602 | size, 0x10
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flags = ctypes.c_uint64()
        fcntl.ioctl(descriptor, get_flags, flags)
        flags.value &= ~immutable
        fcntl.ioctl(descriptor, set_flags, flags)
    finally:
        os.close(descriptor)
