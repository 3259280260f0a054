"""The demonstration's kernel: fetched once, by stand-ins for apt that are found where apt would be."""

import io
import tarfile

import pytest
from rich.console import Console

from bench.kernel import cache_folder, debian_kernel

KERNEL = b"MZ a kernel" * 1000


@pytest.fixture
def said():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A PATH with stand-ins alone; the log says what was asked of apt."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    with tarfile.open(tmp_path / "fsys.tar", "w") as archive:
        for name, content in (("./boot/vmlinuz-6.1.0-9-amd64", KERNEL), ("./boot/config-6.1.0-9-amd64", b"CONFIG")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    package = "linux-image-6.1.0-9-amd64"
    scripts = {
        "dpkg": "echo amd64",
        "apt-cache": f'echo "linux-image-amd64"; echo "  Depends: {package}"',
        "apt-get": f"""echo "$@" >>{log}
            case "$*" in
            *--print-uris*) echo "'http://x/y.deb' y.deb 1000 SHA256:0" ;;
            *download*) echo deb >y.deb ;;
            esac""",
        "dpkg-deb": f"exec /bin/cat {tmp_path}/fsys.tar",
        "tar": 'exec /bin/tar "$@"',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder, log


def test_a_kernel_is_fetched_once_and_kept(tools, said):
    kernel = debian_kernel(said)
    assert kernel == cache_folder() / "vmlinuz-6.1.0-9-amd64"
    assert kernel.read_bytes() == KERNEL
    assert [each.name for each in cache_folder().iterdir()] == [kernel.name]
    asked = tools[1].read_text()
    assert debian_kernel(said) == kernel
    assert tools[1].read_text() == asked, "the second time, apt is not asked"


@pytest.mark.parametrize(
    ("tool", "script", "sentence"),
    [
        ("apt-cache", "true", "apt knows no linux-image-amd64"),
        ("apt-get", "case $* in *print*) echo \"'u' y.deb 9\" ;; *) exit 100 ;; esac", "could not download"),
        ("dpkg", "exit 1", "no kernel of Debian's"),
    ],
)
def test_why_there_is_none_is_said(tools, said, tool, script, sentence):
    (tools[0] / tool).write_text(f"#!/bin/sh\n{script}\n")
    assert debian_kernel(said) is None
    assert sentence in said.file.getvalue()
    assert not list(cache_folder().glob("*"))


def test_a_machine_without_apt_says_so(tools, said):
    (tools[0] / "apt-get").unlink()
    assert debian_kernel(said) is None
    assert "there is no apt-get here" in said.file.getvalue()
