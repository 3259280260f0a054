"""The serial loader's frames, declared once: the C side's structs are generated from here (docs/board.md).

    type u8 | seq u16 | payload | CRC-32 of all before it          in SLIP: 0xC0 ends a frame, DB DC / DB DD

The host asks, the board answers; an answer carries the `seq` of what it answers. DATA is not waited for one by one:
the board says with each OFFSET what it wants next, so a lost frame, a cut cable or a reset only move that offset.
"""

from enum import IntEnum

from construct import Array, Bytes, Const, ConstructError, Container, Int8ul, Int16ul, Int32ul, Struct

from carousel.crc import crc32
from carousel.frozen import Frozen
from carousel.release.header import HEADER_BYTES
from settop.store.staterecord import RECORD_BYTES

__all__ = [
    "BLOCK_BYTES",
    "INITIAL_BAUD",
    "MAX_FRAME_BYTES",
    "MAX_SUMS",
    "PAYLOADS",
    "PROTOCOL",
    "Frame",
    "Message",
    "Place",
    "Refusal",
    "build_frame",
    "parse_frame",
    "parse_payload",
]

PROTOCOL = 1
BLOCK_BYTES = 1024
"""The most image bytes in a DATA frame."""
INITIAL_BAUD = 115200
"""The rate at which a loader starts, and to which it goes back."""
MAX_SUMS = 240
"""The most CRCs in one answer to SUMS."""


class Message(IntEnum):
    """Frame types; answers have the top bit set."""

    HELLO = 0x01
    BAUD = 0x02
    BEGIN = 0x03
    BEGIN_STUB = 0x04
    SUMS = 0x05
    DATA = 0x06
    SKIP = 0x07
    END = 0x08
    INSPECT = 0x09
    BOOT = 0x0A

    ANNOUNCE = 0x81
    OK = 0x82
    BEGUN = 0x83
    SUMS_ARE = 0x85
    OFFSET = 0x86
    DONE = 0x88
    INSPECTED = 0x89
    BUSY = 0x90
    REFUSED = 0x91


class Place(IntEnum):
    """Where an image lies, or shall."""

    SLOT_A = 0
    SLOT_B = 1
    EEPROM = 2
    STUB = 3
    FREE_SLOT = 0xFF
    """Let the board choose: never the slot that is confirmed and active."""


class Refusal(IntEnum):
    """Why the board refuses a request."""

    MALFORMED = 1
    HEADER_DAMAGED = 2
    WRONG_KEY = 3
    WRONG_HARDWARE = 4
    SECURITY_COUNTER = 5
    TOO_BIG = 6
    ACTIVE_SLOT = 7
    NO_TRANSFER = 8
    NOTHING_WRITTEN = 9
    INCOMPLETE = 10
    FLASH_FAULT = 11
    DIGEST_MISMATCH = 12
    BAUD_RATE = 13


FrameHead = Struct("type" / Int8ul, "seq" / Int16ul)
FrameTail = Struct("crc" / Int32ul)

Hello = Struct("protocol" / Int16ul)
Announce = Struct(
    "protocol" / Int16ul,
    "hardware_model" / Int16ul,
    "hardware_oui" / Int32ul,
    "hardware_version" / Int16ul,
    "block_bytes" / Int16ul,
    "stub_version" / Int32ul,
    "stub_digest" / Bytes(8),
    "session" / Int32ul,
    "window_bytes" / Int32ul,
    "sector_bytes" / Int32ul,
    "image_capacity" / Array(3, Int32ul),
    "stub_capacity" / Int32ul,
    "max_baud" / Int32ul,
    "erase_ms" / Int16ul,
    "hash_kib_per_s" / Int16ul,
    "public_key" / Bytes(32),
    "record" / Bytes(RECORD_BYTES),
)
Baud = Struct("baud" / Int32ul)
Begin = Struct("place" / Int8ul, "header" / Bytes(HEADER_BYTES))
BeginStub = Struct("size" / Int32ul, "sha256" / Bytes(32))
Begun = Struct("place" / Int8ul, "is_held" / Int8ul, "offset" / Int32ul)
Sums = Struct("offset" / Int32ul, "span_bytes" / Int32ul, "count" / Int16ul)
SumsAre = Struct("offset" / Int32ul)  # then count CRCs, u32 each
Data = Struct("offset" / Int32ul)  # then the bytes
Skip = Struct("offset" / Int32ul, "to" / Int32ul)
Offset = Struct("offset" / Int32ul, "is_gap" / Int8ul)
Done = Struct("place" / Int8ul, "written_bytes" / Int32ul, "sha256" / Bytes(32))
Inspect = Struct("place" / Int8ul)
Inspected = Struct("place" / Int8ul, "failure" / Int8ul, "header" / Bytes(HEADER_BYTES))
Busy = Struct("done_bytes" / Int32ul, "total_bytes" / Int32ul)
Refused = Struct("refusal" / Int8ul)
Nothing = Struct()

StubHead = Struct(
    "magic" / Const(b"BCSB"),
    "size" / Int32ul,
    "version" / Int32ul,
    "hardware_oui" / Int32ul,
    "hardware_model" / Int16ul,
    "hardware_version" / Int16ul,
)
STUB_HEAD_OFFSET = 32
"""Where a stub binary says what it is, behind its exception vectors."""

PAYLOADS = {
    Message.HELLO: Hello,
    Message.BAUD: Baud,
    Message.BEGIN: Begin,
    Message.BEGIN_STUB: BeginStub,
    Message.SUMS: Sums,
    Message.DATA: Data,
    Message.SKIP: Skip,
    Message.END: Nothing,
    Message.INSPECT: Inspect,
    Message.BOOT: Nothing,
    Message.ANNOUNCE: Announce,
    Message.OK: Nothing,
    Message.BEGUN: Begun,
    Message.SUMS_ARE: SumsAre,
    Message.OFFSET: Offset,
    Message.DONE: Done,
    Message.INSPECTED: Inspected,
    Message.BUSY: Busy,
    Message.REFUSED: Refused,
}
WITH_TAIL = {Message.SUMS_ARE, Message.DATA}
"""Types whose payload goes on behind its fixed fields."""

_FIXED_BYTES = {message: payload.sizeof() for message, payload in PAYLOADS.items()}
_HEAD_BYTES, _TAIL_BYTES = FrameHead.sizeof(), FrameTail.sizeof()
_OVERHEAD_BYTES = _HEAD_BYTES + _TAIL_BYTES
MAX_FRAME_BYTES = _OVERHEAD_BYTES + Data.sizeof() + BLOCK_BYTES
assert _OVERHEAD_BYTES + SumsAre.sizeof() + 4 * MAX_SUMS <= MAX_FRAME_BYTES


class Frame(Frozen):
    """One frame, its CRC good. `payload` still as bytes."""

    type: Message
    seq: int
    payload: bytes


def build_frame(message: Message, seq: int, tail: bytes = b"", **fields: object) -> bytes:
    """Return a frame's bytes, not yet in SLIP; `tail` follows the fixed fields of DATA and SUMS_ARE."""
    body: bytes = FrameHead.build({"type": message, "seq": seq}) + PAYLOADS[message].build(fields) + tail
    crc: bytes = FrameTail.build({"crc": crc32(body)})
    return body + crc


def parse_frame(raw: bytes) -> Frame | None:
    """Read a frame; None if it is none, is damaged, or of a type that nobody knows."""
    if not _OVERHEAD_BYTES <= len(raw) <= MAX_FRAME_BYTES:
        return None
    body = raw[:-_TAIL_BYTES]
    head = FrameHead.parse(body)
    if FrameTail.parse(raw[len(body) :]).crc != crc32(body) or head.type not in PAYLOADS:
        return None
    return Frame(Message(head.type), head.seq, body[_HEAD_BYTES:])


def parse_payload(frame: Frame) -> tuple[Container, bytes] | None:
    """Return the fixed fields and what follows them; None if the length does not fit the type."""
    declared = PAYLOADS[frame.type]
    fixed_bytes = _FIXED_BYTES[frame.type]
    if len(frame.payload) < fixed_bytes or (frame.type not in WITH_TAIL and len(frame.payload) != fixed_bytes):
        return None
    try:
        return declared.parse(frame.payload[:fixed_bytes]), frame.payload[fixed_bytes:]
    except ConstructError:
        return None
