"""The partition table in a card's first sector (MBR): four entries of 16 bytes at 446, 0x55AA at 510. Pure.

MBR, not GPT: every loader here reads it, and a Compute Module 5 loops on GPT.
"""

from collections.abc import Sequence

from carousel.frozen import Frozen
from carousel.records import Array, Bytes, Const, Number, Record

__all__ = ["ALIGNMENT_BYTES", "EFI_SYSTEM", "FAT32", "LINUX", "SECTOR_BYTES", "Partition", "build_mbr"]

SECTOR_BYTES = 512
ALIGNMENT_BYTES = 1 << 20
FAT32, LINUX, EFI_SYSTEM = 0x0C, 0x83, 0xEF
_ANY_CHS = b"\xfe\xff\xff"

EntryFormat = Record(
    "<",
    status=Number(1),
    first_chs=Bytes(3),
    kind=Number(1),
    last_chs=Bytes(3),
    first_sector=Number(4),
    sectors=Number(4),
)
MbrFormat = Record(
    "<",
    code=Bytes(440),
    disk_id=Number(4),
    reserved=Const(0, 2),
    partitions=Array(4, EntryFormat),
    magic=Const(0xAA55, 2),
)
assert MbrFormat.sizeof() == SECTOR_BYTES


class Partition(Frozen):
    """A partition; both numbers are multiples of the alignment."""

    kind: int
    offset_bytes: int
    size_bytes: int
    is_bootable: bool = False


def build_mbr(partitions: Sequence[Partition], disk_id: int) -> bytes:
    """Return the first sector for up to four partitions; `ValueError` for more."""
    if len(partitions) > 4:
        raise ValueError("an MBR has four partitions")
    entries: list[dict[str, bytes | int]] = [
        {
            "status": 0x80 if partition.is_bootable else 0,
            "first_chs": _ANY_CHS,
            "kind": partition.kind,
            "last_chs": _ANY_CHS,
            "first_sector": partition.offset_bytes // SECTOR_BYTES,
            "sectors": partition.size_bytes // SECTOR_BYTES,
        }
        for partition in partitions
    ]
    empty: dict[str, bytes | int] = {
        "status": 0,
        "first_chs": bytes(3),
        "kind": 0,
        "last_chs": bytes(3),
        "first_sector": 0,
        "sectors": 0,
    }
    entries += [empty] * (4 - len(entries))
    return MbrFormat.build({"code": bytes(440), "disk_id": disk_id, "partitions": entries})
