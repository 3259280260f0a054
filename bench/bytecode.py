"""Bytecode beside the sources, as pip leaves it behind an installation.

From a checkout, and more so with PYTHONDONTWRITEBYTECODE, Python would compile our modules anew at each start: some
0.1 CPU seconds that no installed box or head-end pays, and that a measurement must not charge them.
"""

import compileall
from pathlib import Path

__all__ = ["compile_ours"]

ROOT = Path(__file__).parent.parent
PROGRAMS = ("carousel", "headend", "settop")


def compile_ours(root: Path = ROOT) -> None:
    """Compile what the programs under measurement consist of, where that is not done; where it can't be, go on."""
    for name in PROGRAMS:
        compileall.compile_dir(root / name, quiet=2)
