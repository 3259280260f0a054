"""The programs that make cards, as functions; what is missing on this machine is said with the one command to run."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from carousel.errors import OperatorError

__all__ = ["EPOCH_S", "need_tools", "run"]

EPOCH_S = 1_750_000_000
"""The time that all files of a card carry, so that two builds are the same bytes."""
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mformat": "mtools",
    "mcopy": "mtools",
    "mmd": "mtools",
    "mke2fs": "e2fsprogs",
    "zstd": "zstd",
}
_EXTRA_PATHS = ":/sbin:/usr/sbin"


def need_tools(names: Sequence[str]) -> None:
    """Raise `OperatorError` with the command that installs what is missing."""
    path = os.environ.get("PATH", "") + _EXTRA_PATHS
    missing = sorted({PACKAGES[name] for name in names if shutil.which(name, path=path) is None})
    if missing:
        raise OperatorError(f"this machine lacks what makes cards; run: apt-get install {' '.join(missing)}")


def run(words: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> None:
    """Run a program quietly, with the same clock for all cards; `OperatorError` with its last words if it fails."""
    environment = os.environ | {
        "PATH": os.environ.get("PATH", "") + _EXTRA_PATHS,
        "SOURCE_DATE_EPOCH": str(EPOCH_S),
        "E2FSPROGS_FAKE_TIME": str(EPOCH_S),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "MTOOLS_SKIP_CHECK": "1",
        **(variables or {}),
    }
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().split("\n")
        why = next((line for line in lines if line.startswith("E: ")), lines[-1])  # mmdebstrap's last: that it failed
        raise OperatorError(f"{words[0]} fails: {why}")
