"""The kernel modules that a receiver needs, in the order in which they are inserted; no depmod is asked."""

from collections.abc import Sequence
from pathlib import Path

from carousel.errors import OperatorError
from settop.image.elf import load_module, module_needs

__all__ = ["modules_in_order"]


def modules_in_order(folder: Path, wanted: Sequence[str], welcome: Sequence[str] = ()) -> dict[str, bytes]:
    """Return modules by file name, each behind those it needs; what is built into the kernel is left out.

    `folder` is lib/modules/VERSION. `OperatorError` names what of `wanted` the kernel has neither way; what it lacks of
    `welcome` may have another name in it.
    """
    found = {path.name.split(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    listed = folder / "modules.builtin"
    built_in = listed.read_text().split() if listed.is_file() else []
    builtin = {name.rsplit("/", 1)[-1].removesuffix(".ko").replace("-", "_") for name in built_in}
    missing = [name for name in wanted if name not in found and name not in builtin]
    if missing:
        raise OperatorError(
            f"the kernel {folder.name} lacks {', '.join(missing)}, which the receiver needs on this board; "
            f"take another kernel, or one with these drivers built in"
        )
    ordered: dict[str, bytes] = {}

    def insert(name: str) -> None:
        if name in ordered or name not in found:
            return
        content = load_module(found[name])
        needs, wishes = module_needs(content, found[name].name)
        for other in (*wishes, *needs):
            insert(other)
        ordered[name] = content

    for name in (*wanted, *welcome):
        insert(name)
    return {f"{name}.ko": content for name, content in ordered.items()}
