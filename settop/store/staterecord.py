"""The state record: 64 bytes that say what each slot is, appended to two erase sectors (design: boot.md).

     0  magic "BCST"       16  active slot, last failure, pad      56  reserved
     4  layout, size       20  slot A (16 bytes)                   60  CRC-32 of bytes 0..59
     8  seq                36  slot B (16 bytes)
    12  floor

Flash logic, pure: `newest_record` reads two sectors, `plan_append` says which operations append a record. The
newest valid seq wins, wraparound included. A full sector is never erased while it holds the newest record: the
other one is, and the record goes there. A torn record fails its CRC, and the earlier state holds.
"""

from enum import IntEnum
from functools import lru_cache

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.records import Array, Bytes, Const, Number, Record

__all__ = [
    "NO_SLOT",
    "RECORD_BYTES",
    "SECTORS",
    "TRIES",
    "Erase",
    "Failure",
    "FlashOperation",
    "Program",
    "SlotRecord",
    "SlotState",
    "StateRecord",
    "newest_record",
    "plan_append",
]

RECORD_BYTES = 64
SECTORS = 2
TRIES = 3
NO_SLOT = 0xFF
_ERASED = 0xFF


class SlotState(IntEnum):
    """EMPTY → WRITING → STAGED → TRIAL → CONFIRMED, or FAILED."""

    EMPTY = 0
    WRITING = 1
    STAGED = 2
    TRIAL = 3
    CONFIRMED = 4
    FAILED = 5


class Failure(IntEnum):
    """Why a slot failed."""

    NONE = 0
    TRIES_USED_UP = 1
    HEADER_DAMAGED = 2
    SIGNATURE = 3
    HARDWARE = 4
    SECURITY_COUNTER = 5
    IMAGE_DAMAGED = 6
    UNRECORDABLE = 7
    """A try could not be written down (a read-only store), and an uncounted try might never end."""
    HALTED = 8
    """Its roll-out was halted while it was on trial; a resumed one installs it again."""
    MARKED_BAD = 9
    """A person, or the image itself, says that it is no good."""
    UNREADABLE = 10
    """The medium does not give it, today; never recorded, since tomorrow it may."""


SlotFormat = Record(
    "<",
    state=Number(1),
    tries_left=Number(1),
    failure=Number(1),
    reserved=Const(0, 1),
    security_counter=Number(4),
    digest=Bytes(8),
)
RecordFormat = Record(
    "<",
    magic=Const(b"BCST", 4),
    layout=Const(1, 2),
    record_size=Const(RECORD_BYTES, 2),
    seq=Number(4),
    floor=Number(4),
    active=Number(1),
    last_failure=Number(1),
    padding=Const(0, 2),
    slots=Array(2, SlotFormat),
    reserved=Const(bytes(8), 8),
    crc=Number(4),
)
_MAGIC, _SEQ = b"BCST", slice(8, 12)
assert RecordFormat.sizeof() == RECORD_BYTES


class SlotRecord(Frozen):
    """What the record says of one slot; `digest` is the first 8 bytes of its image's SHA-256."""

    state: SlotState = SlotState.EMPTY
    tries_left: int = 0
    failure: Failure = Failure.NONE
    security_counter: int = 0
    digest: bytes = bytes(8)


class StateRecord(Frozen):
    """One state of the box. `active` is the confirmed slot that boots (0: A, 1: B), or `NO_SLOT`."""

    seq: int = 0
    floor: int = 0
    active: int = NO_SLOT
    last_failure: Failure = Failure.NONE
    slots: tuple[SlotRecord, SlotRecord] = (SlotRecord(), SlotRecord())

    def with_slot(self, index: int, slot: SlotRecord) -> "StateRecord":
        """Return this record with one slot changed."""
        slots = (slot, self.slots[1]) if index == 0 else (self.slots[0], slot)
        return self.but(slots=slots)

    def build(self) -> bytes:
        """Return the 64 bytes."""
        fields = {
            "seq": self.seq,
            "floor": self.floor,
            "active": self.active,
            "last_failure": self.last_failure,
            "slots": [vars(slot) for slot in self.slots],
            "crc": 0,
        }
        body: bytes = RecordFormat.build(fields)[:-4]
        return body + crc32(body).to_bytes(4, "little")

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, raw: bytes) -> "StateRecord | None":
        """Read 64 bytes; None if they are no valid record."""
        try:
            fields = RecordFormat.parse(raw)
            if fields.crc != crc32(raw[: RECORD_BYTES - 4]) or fields.active not in (0, 1, NO_SLOT):
                return None
            first, second = (
                SlotRecord(
                    SlotState(slot.state),
                    slot.tries_left,
                    Failure(slot.failure),
                    slot.security_counter,
                    slot.digest,
                )
                for slot in fields.slots
            )
            return cls(fields.seq, fields.floor, fields.active, Failure(fields.last_failure), (first, second))
        except (FormatError, ValueError):
            return None


class Erase(Frozen):
    """Set a sector to ones."""

    sector: int


class Program(Frozen):
    """Write a record at an erased place; `offset` counts from the first sector's begin."""

    offset: int
    data: bytes


FlashOperation = Erase | Program


def _is_newer(seq: int, than: int) -> bool:
    """Compare sequence numbers as RFC 1982 does: half the ring ahead is newer."""
    return 0 < ((seq - than) & 0xFFFFFFFF) < 0x80000000


def _find_newest(flash: bytes) -> tuple[int, StateRecord] | None:
    """Return the newest valid record and its offset."""
    newest: tuple[int, StateRecord] | None = None
    for offset in range(0, len(flash), RECORD_BYTES):
        raw = flash[offset : offset + RECORD_BYTES]
        if raw[:4] != _MAGIC or int.from_bytes(raw[-4:], "little") != crc32(raw[:-4]):
            continue
        if newest is None or _is_newer(int.from_bytes(raw[_SEQ], "little"), newest[1].seq):
            record = StateRecord.parse(raw)
            newest = (offset, record) if record is not None else newest
    return newest


def newest_record(flash: bytes) -> StateRecord | None:
    """Return the newest valid record of two sectors, or None."""
    found = _find_newest(flash)
    return found[1] if found else None


def plan_append(flash: bytes, record: StateRecord) -> list[FlashOperation]:
    """Return the operations that append a record behind the newest one; its `seq` is set here."""
    sector_bytes = len(flash) // SECTORS
    found = _find_newest(flash)
    data = record.but(seq=(found[1].seq + 1) & 0xFFFFFFFF if found else 1).build()
    if found is None:
        return [Erase(0), Program(0, data)]
    offset, _ = found
    sector = offset // sector_bytes
    end = (sector + 1) * sector_bytes
    for place in range(offset + RECORD_BYTES, end, RECORD_BYTES):
        if flash[place:end].count(_ERASED) == end - place:
            return [Program(place, data)]
    other = 1 - sector
    return [Erase(other), Program(other * sector_bytes, data)]
