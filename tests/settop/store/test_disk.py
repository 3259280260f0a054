"""A folder of a real file system, with what should not be there in place of files."""

import os
import signal

import pytest

from settop.store.disk import FolderDisk


def directory(path):
    path.mkdir()


def loop(path):
    path.symlink_to(path)


@pytest.fixture(params=[directory, os.mkfifo, loop], ids=["directory", "fifo", "loop"])
def disk(tmp_path, request):
    request.param(tmp_path / "x")
    signal.alarm(20)  # a FIFO that is waited for must not hang the suite
    yield FolderDisk(tmp_path)
    signal.alarm(0)


def test_what_is_no_file_is_an_error_at_once(disk):
    for act in (lambda: disk.read("x"), lambda: list(disk.chunks("x")), lambda: disk.write("x", 0, b"data")):
        with pytest.raises(OSError, match="x"):
            act()


def test_files(tmp_path):
    disk = FolderDisk(tmp_path)
    assert disk.read("y") is None
    assert list(disk.chunks("y")) == []
    disk.write("y", 2, b"data")
    assert disk.read("y") == b"\0\0data"
    disk.write("y", 0, b"no")
    assert b"".join(disk.chunks("y")) == b"nodata"
    assert disk.names() == ["y"]


def test_files_are_replaced_cut_and_removed(tmp_path):
    disk = FolderDisk(tmp_path)
    for name in ("b", "a"):
        disk.write(name, 0, name.encode() * 5)
    disk.truncate("a", 3)
    disk.rename("a", "b")
    assert (disk.names(), disk.read("b"), disk.path("b")) == (["b"], b"aaa", tmp_path / "b")
    disk.remove("b")
    disk.remove("b")
    assert disk.names() == []


def test_a_large_file_comes_in_pieces_of_a_mebibyte(tmp_path):
    disk = FolderDisk(tmp_path)
    content = os.urandom((2 << 20) + 1)
    disk.write("large", 0, content)
    pieces = list(disk.chunks("large"))
    assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, 1]
    assert b"".join(pieces) == disk.read("large") == content


def test_what_is_synced_is_the_file_or_the_folder_that_was_named(tmp_path, monkeypatch):
    disk, synced = FolderDisk(tmp_path), []
    disk.write("a", 0, b"a")
    disk.write("b", 0, b"b")
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    before = len(os.listdir("/proc/self/fd"))
    disk.sync("b")
    disk.sync_names()
    assert synced == [(tmp_path / "b").stat().st_ino, tmp_path.stat().st_ino]
    assert len(os.listdir("/proc/self/fd")) == before


def test_errors_leave_no_descriptor_open_and_no_program_inherits_one(tmp_path, monkeypatch):
    disk, flags = FolderDisk(tmp_path), []
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no regular file") as caught:
        disk.read("fifo")
    assert caught.value.filename == str(tmp_path / "fifo")
    assert len(os.listdir("/proc/self/fd")) == before
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, how, *mode: flags.append(how) or real(path, how, *mode))
    disk.write("a", 0, b"a")
    disk.read("a")
    assert all(how & os.O_CLOEXEC for how in flags)


def test_who_reads_a_new_file_is_for_the_umask_to_say(tmp_path):
    before = os.umask(0o022)
    try:
        FolderDisk(tmp_path).write("a", 0, b"a")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
