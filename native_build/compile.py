"""Compile the native core: every C file of carousel/native into one shared library, with any C11 compiler."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NATIVE = Path(__file__).parent.parent / "carousel" / "native"
LIBRARY = NATIVE / "libcarousel.so"
FLAGS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")


def compiler() -> list[str] | None:
    """Return the C compiler's command: $CC, or the first of cc, gcc and clang; None where there is none."""
    if given := os.environ.get("CC"):
        return shlex.split(given)
    return next(([found] for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def sources() -> list[str]:
    """Return the C files of the core."""
    return sorted(map(str, NATIVE.glob("*.c")))


def compile_library(command: Sequence[str], output: Path, flags: Sequence[str] = ()) -> None:
    """Compile the library to `output`, whole or not at all; `CalledProcessError` carries what the compiler said."""
    partial = output.with_suffix(f".{os.getpid()}.tmp")
    call = [*command, *FLAGS, "-shared", *flags, "-o", str(partial), *sources()]
    try:
        subprocess.run(call, check=True, capture_output=True, text=True)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    found = compiler()
    if found is None:
        raise SystemExit("no C compiler: set CC, or install one")
    compile_library(found, LIBRARY)
