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
