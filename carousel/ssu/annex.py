"""What a release file packed for SSU has in its preamble's spare bytes: the CRC-32/MPEG-2 of each module.

Boxes on the market check modules by it (module descriptor 0x05). Without it a head-end reads the whole image at start.
"""

from collections.abc import Sequence

from construct import Array, Const, ConstructError, Int32ul, Struct

from carousel.crc import crc32
from carousel.ssu.modules import MAX_MODULES

__all__ = ["ANNEX_BYTES", "build_annex", "parse_annex"]

ModuleCrcs = Struct("magic" / Const(b"SSU1"), "module_crcs" / Array(MAX_MODULES, Int32ul), "crc" / Int32ul)
ANNEX_BYTES = ModuleCrcs.sizeof()


def build_annex(module_crcs: Sequence[int]) -> bytes:
    """Render the CRCs of a release's modules."""
    fields = {"module_crcs": [*module_crcs, *[0] * (MAX_MODULES - len(module_crcs))], "crc": 0}
    body: bytes = ModuleCrcs.build(fields)[:-4]
    return body + crc32(body).to_bytes(4, "little")


def parse_annex(raw: bytes | memoryview, modules: int) -> list[int] | None:
    """Return the CRCs of so many modules, or None where the file was not packed for SSU or is damaged there."""
    try:
        fields = ModuleCrcs.parse(bytes(raw[:ANNEX_BYTES]))
    except ConstructError:
        return None
    if fields.crc != crc32(bytes(raw[: ANNEX_BYTES - 4])):
        return None
    return list(fields.module_crcs[:modules])
