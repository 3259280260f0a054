"""A real boot image where this machine has none to read: Debian's kernel, fetched by apt once and kept for good."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

__all__ = ["cache_folder", "debian_kernel"]

LIST_DEADLINE_S = 20.0
FETCH_DEADLINE_S = 60.0
TOOLS = ("apt-get", "apt-cache", "dpkg", "dpkg-deb", "tar")


def cache_folder() -> Path:
    """Return where kernels are kept: `~/.cache/bootcast`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bootcast"


def debian_kernel(console: Console) -> Path | None:
    """Return Debian's kernel, from the cache or else from its package; None where it can't be had, and say why."""
    kept = sorted(cache_folder().glob("vmlinu[xz]-*"))
    if kept:
        return kept[-1]
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        console.print(f"[dim]no kernel of Debian's: there is no {missing[0]} here[/]")
        return None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return _unpack(_fetch(Path(scratch), console), cache_folder())
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        console.print(f"[dim]no kernel of Debian's: {error}[/]")
        return None


def _fetch(folder: Path, console: Console) -> Path:
    """Download the package that the newest kernel is in, showing how far it is."""
    if os.geteuid() == 0 and not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        subprocess.run(["apt-get", "update", "-qq"], check=False, timeout=LIST_DEADLINE_S, stderr=subprocess.DEVNULL)
    meta = f"linux-image-{_output('dpkg', '--print-architecture').strip()}"
    lines = _output("apt-cache", "depends", meta).splitlines()
    names = [line.split()[-1] for line in lines if "Depends: linux-image-" in line]
    if not names:
        raise ValueError(f"apt knows no {meta}; `apt-get update` may help")
    fields = _output("apt-get", "download", "--print-uris", names[0]).split()
    name, size_bytes = fields[1], int(fields[2])
    columns = (TextColumn("fetching {task.description}"), BarColumn(bar_width=30), DownloadColumn())
    command = ["apt-get", "download", "-qq", names[0]]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(names[0], total=size_bytes)
        deadline_s = time.monotonic() + FETCH_DEADLINE_S
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                progress.update(task, completed=sum(each.stat().st_size for each in folder.glob("*.deb*")))
                if time.monotonic() > deadline_s:
                    process.kill()
                    raise ValueError(f"{name} did not come within {FETCH_DEADLINE_S:.0f} s")
                time.sleep(0.1)
        if process.returncode:
            raise ValueError(f"apt-get could not download {names[0]}")
    return folder / name


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIST_DEADLINE_S).stdout


def _unpack(package: Path, kept_in: Path) -> Path:
    """Take the kernel alone out of the package, and keep it."""
    tree = package.parent / "tree"
    tree.mkdir()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        options = ["--wildcards", "./boot/vmlinu*"]
        subprocess.run(["tar", "-x", "-C", tree, *options], stdin=archive.stdout, check=True)
    (kernel,) = (tree / "boot").glob("vmlinu[xz]-*")
    kept_in.mkdir(parents=True, exist_ok=True)
    unfinished = kept_in / f"{kernel.name}.part{os.getpid()}"
    shutil.copy(kernel, unfinished)
    return unfinished.rename(kept_in / kernel.name)
