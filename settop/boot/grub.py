"""GRUB: a configuration of ours counts in a GRUB environment block on FAT (docs/boards.md, "GRUB").

GRUB has no arithmetic and no checksums: the count is unrolled in the script, and what a block says stands in it
twice, once value by value, once joined as bc_check. A block is 1024 bytes, padded with '#'.
"""

from typing import ClassVar

from settop.boot.firmwarefiles import Environment, EnvironmentBackend, source_of
from settop.boot.systemdboot import loader_variable
from settop.store.choice import Source

__all__ = ["BLOCK_BYTES", "Grub"]

BLOCK_BYTES = 1024
_SIGNATURE = "# GRUB Environment Block\n"


class Grub(EnvironmentBackend):
    """GRUB (EFI) with our grub.cfg."""

    name: ClassVar[str] = "grub"
    files: ClassVar[tuple[str, str]] = ("bootcast-0.grubenv", "bootcast-1.grubenv")
    script: ClassVar[str] = "EFI/debian/grub.cfg"

    def booted(self) -> Source | None:
        """The image that systemd's stub in the UKI says it was: its file name on the partition."""
        path = loader_variable(self._machine, "LoaderImageIdentifier")
        return source_of(path.replace("/", "\\").split("\\")[-1].removesuffix(".efi"))

    @staticmethod
    def encode(environment: Environment) -> bytes:
        """Return the block, as `save_env` writes it."""
        values = {
            "bc_seq": str(environment.sequence),
            "bc_default": environment.texts()["default"],
            "bc_slot": environment.texts()["slot"],
            "bc_tries": str(environment.tries_left),
        }
        lines = [f"{key}={value}\n" for key, value in values.items()] + [f"bc_check={'.'.join(values.values())}\n"]
        return (_SIGNATURE + "".join(lines)).encode().ljust(BLOCK_BYTES, b"#")

    @staticmethod
    def decode(raw: bytes) -> Environment | None:
        """Read a block, ours or as `save_env` left it."""
        text = raw.decode("ascii", "replace")
        if len(raw) != BLOCK_BYTES or not text.startswith(_SIGNATURE):
            return None
        values = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
        wanted = [values.get(key, "") for key in ("bc_seq", "bc_default", "bc_slot", "bc_tries")]
        if ".".join(wanted) != values.get("bc_check"):
            return None
        sequence, default, slot, tries = wanted
        if not (sequence.isdecimal() and tries.isdecimal()):
            return None
        return Environment(int(sequence), source_of(default), source_of(slot), int(tries))
