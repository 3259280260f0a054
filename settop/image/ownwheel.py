"""Our package as the board runs it: out of its own wheel for the board's processor, with the native core in it."""

import zipfile
from pathlib import Path

import carousel
from carousel.errors import OperatorError

__all__ = ["files_of_wheel", "find_wheel"]

_MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
_OURS = ("carousel/", "settop/")
_LEFT_OUT = ("settop/image/", "carousel/native/native_build/")


def find_wheel(debian: str, given: Path | None) -> Path:
    """Return the wheel that is named, or the newest that `make wheels` left beside this package, of these sources."""
    if given is not None:
        return given
    sources = Path(carousel.__file__).parent.parent
    folder = sources / "dist" / "wheels"
    found = sorted(folder.glob(f"bootcast-*_{_MACHINES[debian]}.whl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise OperatorError(
            f"there is no wheel of bootcast for {_MACHINES[debian]} in {folder}: run `make wheels` there, "
            f"or name one with --wheel"
        )
    if _is_older(found[-1], sources):
        raise OperatorError(f"{found[-1]} was made of other sources than these: run `make wheels` again")
    return found[-1]


def _is_older(wheel: Path, sources: Path) -> bool:
    """Tell whether a module in the wheel is another than beside it: a card would run what nobody looks at any more."""
    modules = {name: content for name, content in files_of_wheel(wheel).items() if name.endswith(".py")}
    return any(not (sources / name).is_file() or (sources / name).read_bytes() != modules[name] for name in modules)


def files_of_wheel(path: Path) -> dict[str, bytes]:
    """Return the wheel's files of the packages that a board runs, by name."""
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(_OURS) and not name.startswith(_LEFT_OUT)]
            found = {name: wheel.read(name) for name in sorted(names) if not name.endswith("/")}
    except (zipfile.BadZipFile, FileNotFoundError):
        raise OperatorError(f"{path} is no wheel; `make wheels` makes one for each processor") from None
    if not any(name.endswith("libcarousel.so") for name in found):
        raise OperatorError(f"{path} has no native core in it; take the one for the board from `make wheels`")
    return found
