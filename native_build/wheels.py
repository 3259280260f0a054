"""`make wheels`: a wheel for each kind of processor, cross-compiled by PyPI's `ziglang` against an old glibc.

The library is reached through cffi's ABI mode, so that one wheel serves every Python of a platform, and nothing of the
other platform is needed here.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PLATFORMS", "Platform", "build"]

ROOT = Path(__file__).parent.parent
GLIBC = "2.28"
"""Debian 10, RHEL 8: what `manylinux_2_28` promises."""


@dataclass(frozen=True)
class Platform:
    """A kind of processor: as wheels name it, as zig does, and the oldest that the library runs on."""

    machine: str
    target: str
    cpu: str

    @property
    def compiler(self) -> str:
        """Return the command that compiles for it."""
        return f"{sys.executable} -m ziglang cc -target {self.target}.{GLIBC} -mcpu={self.cpu} -s"

    @property
    def tag(self) -> str:
        """Return the wheel's tag."""
        return f"py3-none-manylinux_{GLIBC.replace('.', '_')}_{self.machine}"


PLATFORMS = (
    Platform("x86_64", "x86_64-linux-gnu", "x86_64"),
    Platform("aarch64", "aarch64-linux-gnu", "generic"),
    Platform("armv7l", "arm-linux-gnueabihf", "cortex_a7"),
)


def build(platform: Platform, folder: Path) -> None:
    """Build one wheel into a folder."""
    environment = os.environ | {"BOOTCAST_CC": platform.compiler, "BOOTCAST_WHEEL_TAG": platform.tag}
    call = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(call, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    for each in PLATFORMS:
        build(each, Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist" / "wheels"))
