"""The Linux under the backends; the reboot call and the EFI flags as a strict kernel would see them."""

import ctypes
import errno
import fcntl
import os
import shutil
import struct

import pytest

from carousel.errors import OperatorError
from settop.boot import machine as module
from settop.boot.machine import LinuxMachine

LINUX_REBOOT = {("x86_64", 8): 169, ("aarch64", 8): 142, ("armv7l", 4): 88, ("aarch64", 4): 88}  # asm/unistd.h of each
"""By the kernel's name for itself and the bytes of a program's word: programs of 32 bits run on both."""


@pytest.fixture
def kernel(monkeypatch):
    """A C library that reboots nothing; `calls` has what it was asked for, a sync among it."""
    calls = []

    class Library:
        def __init__(self, name, use_errno=False):
            assert name is None
            self.uses_errno = use_errno

        def syscall(self, *words):
            calls.append(words)
            ctypes.set_errno(errno.EPERM if self.uses_errno else 0)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))
    return calls


@pytest.mark.parametrize(("processor", "word_bytes"), LINUX_REBOOT)
def test_a_restart_syncs_and_asks_for_what_it_means(kernel, monkeypatch, processor, word_bytes):
    monkeypatch.setattr(module, "WORD_BYTES", word_bytes)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "box", "6.1", "#1", processor)))
    for act in (
        lambda: LinuxMachine().restart(),
        lambda: LinuxMachine().restart("0 tryboot"),
        lambda: LinuxMachine().jump(),
    ):
        with pytest.raises(OperatorError, match=r"does not restart: Operation not permitted; run this as root"):
            act()
    magic = LINUX_REBOOT[processor, word_bytes], 0xFEE1DEAD, 0x28121969  # linux/reboot.h
    restart, restart2, kexec = 0x01234567, 0xA1B2C3D4, 0x45584543
    asked = [(*magic, restart, None), (*magic, restart2, b"0 tryboot"), (*magic, kexec, None)]
    assert kernel == [each for words in asked for each in ("sync", words)]


def test_what_is_not_there_or_not_ours_reads_as_none(tmp_path, monkeypatch):
    machine = LinuxMachine()
    (tmp_path / "file").write_bytes(b"\0content\n")
    assert machine.read(str(tmp_path / "file")) == b"\0content\n"
    assert machine.read(str(tmp_path / "missing")) is None
    assert machine.read(str(tmp_path / "file" / "below")) is None
    with pytest.raises(IsADirectoryError):
        machine.read(str(tmp_path))


@pytest.mark.parametrize("size", [0, 5, 65535, 65536, 200_000])
def test_a_file_is_written_whole_and_a_small_one_by_one_call(tmp_path, monkeypatch, size):
    calls, write = [], os.write

    def counting(descriptor, data):
        calls.append(len(data))
        return write(descriptor, data[:50_000] if size >= 65536 else data)

    path, content = tmp_path / "linux", os.urandom(size)
    path.write_bytes(b"what was there, and was longer" * 10)
    monkeypatch.setattr(os, "write", counting)
    before = len(os.listdir("/proc/self/fd"))
    LinuxMachine().write(str(path), content)
    LinuxMachine().write(str(tmp_path / "new"), content)
    monkeypatch.undo()
    assert path.read_bytes() == (tmp_path / "new").read_bytes() == content
    assert len(calls) == 2 * max(1, -(-size // 50_000) if size >= 65536 else 1)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("word_bytes", "get", "put"), [(8, 0x80086601, 0x40086602), (4, 0x80046601, 0x40046602)])
def test_an_efi_variable_that_is_there_loses_its_guard_and_no_other_flag(tmp_path, monkeypatch, word_bytes, get, put):
    """chattr -i, by the ioctls of linux/fs.h; a file elsewhere keeps its flags, and a new variable has none."""
    flags, asked = [0xFFFFFFFF], []

    def ioctl(descriptor, request, words):
        asked.append((request, os.readlink(f"/proc/self/fd/{descriptor}")))
        if request == get:
            struct.pack_into("<Q", words, 0, flags[0])
        else:
            assert request == put
            flags[0] = struct.unpack("<Q", words)[0]

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(module, "WORD_BYTES", word_bytes)
    variable = tmp_path / "LoaderEntryDefault"
    variable.touch()
    LinuxMachine().write(str(variable), b"x")
    assert asked == []
    monkeypatch.setattr(module, "EFIVARS", str(tmp_path))
    LinuxMachine().write(str(tmp_path / "LoaderEntryOneShot"), b"x")
    assert asked == []
    before = len(os.listdir("/proc/self/fd"))
    LinuxMachine().write(str(variable), b"new")
    assert [request for request, _ in asked] == [get, put]
    assert {path for _, path in asked} == {str(variable)}
    assert flags == [0xFFFFFFEF]
    assert variable.read_bytes() == b"new"
    assert len(os.listdir("/proc/self/fd")) == before


def test_programs_are_found_where_root_has_them_and_run_to_their_end(tmp_path, monkeypatch):
    machine = LinuxMachine()
    program = tmp_path / "kexec"
    program.write_text("#!/bin/sh\nexit $1\n")
    program.chmod(0o755)
    assert machine.find("no-such-program-at-all") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.find("kexec") == str(program)
    assert machine.run([str(program), "7"]) == 7
    assert machine.run([str(program), "0"]) == 0
    looked = []
    monkeypatch.setattr(shutil, "which", lambda name, path: looked.append((name, path)))
    machine.find("kexec")
    monkeypatch.delenv("PATH")
    machine.find("kexec")
    assert looked == [("kexec", f"{tmp_path}:/sbin:/usr/sbin"), ("kexec", ":/sbin:/usr/sbin")]
