"""A tree of Debian's packages for another architecture: unpacked, nothing of it runs. Cached between cards."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from carousel.errors import OperatorError
from settop.image.boards import Board
from settop.image.tools import need_tools, run

__all__ = ["cache_folder", "debian_tree", "wheel_tree"]

SUITE = "bookworm"


def cache_folder() -> Path:
    """Return where trees are kept: $XDG_CACHE_HOME/bootcast, or ~/.cache/bootcast."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bootcast"


def debian_tree(board: Board) -> Path:
    """Return the tree of a board's packages, fetched if it is not there yet."""
    packages = ",".join(board.all_packages)
    mark = hashlib.sha256(f"{SUITE} {board.components} {packages}".encode()).hexdigest()[:12]
    tree = cache_folder() / f"debian-{board.debian}-{mark}"
    if tree.is_dir():
        return tree
    need_tools(["mmdebstrap"])
    partial = tree.with_suffix(f".{os.getpid()}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    is_root = os.geteuid() == 0
    try:
        run(
            [
                "mmdebstrap",
                f"--mode={'root' if is_root else 'unshare'}",
                f"--arch={board.debian}",
                "--variant=extract",
                "--skip=check/qemu,check/empty",
                f"--components={','.join(board.components)}",
                f"--include={packages}",
                SUITE,
                partial,
            ]
        )
        _put(partial, tree)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return tree


def _put(partial: Path, tree: Path) -> None:
    """Give a tree its name, unless another process was faster."""
    try:
        partial.rename(tree)
    except OSError:
        if not tree.is_dir():
            raise


def wheel_tree(board: Board) -> Path:
    """Return a folder with BLAKE3, which Debian 12 does not have, from its wheel for the board's architecture."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}[board.debian]
    folder = cache_folder() / f"wheels-{machine}"
    if (folder / "blake3").is_dir():
        return folder
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    words += ["--only-binary=:all:", f"--platform=manylinux2014_{machine}", "--python-version=311"]
    done = subprocess.run([*words, f"--target={folder}", "blake3"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().split("\n")[-1]
        raise OperatorError(f"the wheel of blake3 for {machine} can't be had ({last}); is the package index reachable?")
    return folder
