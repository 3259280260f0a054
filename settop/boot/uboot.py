"""U-Boot: a boot script of ours counts in an environment file on FAT (docs/boards.md, "U-Boot").

Debian's U-Boot has no boot counter, and its own environment can't be reached from Linux; `env import -c` of a file
can. File: CRC-32 of the rest (little-endian), then NUL-separated name=value, a NUL more, zeros up to 4096 bytes.
"""

from typing import ClassVar

from carousel.crc import crc32
from settop.boot.firmwarefiles import Environment, EnvironmentBackend, source_of
from settop.boot.machine import read_text
from settop.store.choice import Source

__all__ = ["ENVIRONMENT_BYTES", "UBoot"]

ENVIRONMENT_BYTES = 0x1000
_STARTED = "/proc/device-tree/chosen/bootcast,slot"


class UBoot(EnvironmentBackend):
    """U-Boot with our boot.scr."""

    name: ClassVar[str] = "uboot"
    files: ClassVar[tuple[str, str]] = ("bootcast-0.env", "bootcast-1.env")
    script: ClassVar[str] = "boot.scr"

    def booted(self) -> Source | None:
        """What the script noted in the device tree when it started it."""
        return source_of(read_text(self._machine, _STARTED))

    @staticmethod
    def encode(environment: Environment) -> bytes:
        """Return the file, as `env export -c -s 0x1000` writes it; numbers in hex, as `setexpr` has them."""
        values = {
            **{f"bc_{key}": value for key, value in environment.texts().items()},
            "bc_seq": f"{environment.sequence:x}",
            "bc_tries": f"{environment.tries_left:x}",
        }
        text = b"".join(f"{key}={value}\0".encode() for key, value in sorted(values.items())) + b"\0"
        body = text.ljust(ENVIRONMENT_BYTES - 4, b"\0")
        return crc32(body).to_bytes(4, "little") + body

    @staticmethod
    def decode(raw: bytes) -> Environment | None:
        """Read what `env export -c` or `encode` wrote."""
        if len(raw) != ENVIRONMENT_BYTES or int.from_bytes(raw[:4], "little") != crc32(raw[4:]):
            return None
        lines = raw[4:].split(b"\0\0")[0].decode("ascii", "replace").split("\0")
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        try:
            return Environment(
                int(values["bc_seq"], 16),
                source_of(values["bc_default"]),
                source_of(values["bc_slot"]),
                int(values["bc_tries"], 16),
            )
        except (KeyError, ValueError):
            return None
