"""The native core: RaptorQ, the take of a batch and CRC-32 as plain C11, reached through cffi.

ABI mode: one shared library serves every Python of a platform and is cross-compiled without one. It is loaded when it
is first asked for, in about a millisecond. Calls release the interpreter lock.
"""

from functools import cache
from typing import Any

__all__ = ["Core", "core", "why_not"]

LIBRARY = f"{__path__[0]}/libcarousel.so"


class Core:
    """The loaded library `lib`, and the `ffi` that its memory and pointers are made with."""

    def __init__(self, path: str = LIBRARY) -> None:
        from carousel.native._abi import ABI, ffi  # noqa: PLC0415  only who loads the core needs cffi

        self.ffi: Any = ffi
        self.lib: Any = ffi.dlopen(path)
        if (built := self.lib.bc_abi()) != ABI:
            raise OSError(f"{path} was built from other sources ({built:#x}, not {ABI:#x}); install the package again")

    @property
    def kernels(self) -> str:
        """Which instructions it uses: `avx2`, `neon`, `plain` ..."""
        return str(self.ffi.string(self.lib.bc_kernels_name()).decode())

    def status(self, code: int, what: str) -> int:
        """Return a `bc_status` that is not negative; raise what the others mean."""
        if code == self.lib.BC_NO_MEMORY:
            raise MemoryError(what)
        if code < 0:
            raise ValueError(what)
        return code


@cache
def _load() -> Core | str:
    try:
        return Core()
    except (ImportError, OSError, AttributeError) as error:
        return str(error).replace("\n", " ")


def core() -> Core | None:
    """Return the core, or None where it can't be had."""
    loaded = _load()
    return loaded if isinstance(loaded, Core) else None


def why_not() -> str | None:
    """Say in one line why there is no native core; None where there is one."""
    loaded = _load()
    return f"the native core is missing, NumPy serves, slower: {loaded}" if isinstance(loaded, str) else None
