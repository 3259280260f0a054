"""Write the C declarations from the one place where each format is declared; `--check` only compares.

core/wire.h           from the `construct` formats of carousel and settop, the CRC-32 table from crcmod
ports/qemu/board.h    from ports/qemu/board.toml
docs/board.md         its flash map, between the markers
"""

import argparse
import sys
import tomllib
from collections.abc import Iterator
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from construct import Array, Bytes, Const, FormatField, Renamed, Struct
from crcmod import Crc

from carousel.release import header
from carousel.release.identity import ANY_VERSION, Hardware
from settop.flasher import frames
from settop.stitch import policy
from settop.store import choice, staterecord

STUB = Path(__file__).parents[1]
BOARD = STUB / "ports" / "qemu"
DOCS = STUB.parent / "docs" / "board.md"
CRC32_POLYNOMIAL = 0x104C11DB7
C_TYPES = {"B": "uint8_t", "H": "uint16_t", "L": "uint32_t", "Q": "uint64_t"}
STRUCTS = {
    "signed_header": header.HeaderFormat.as_construct,
    "slot_record": staterecord.SlotFormat.as_construct,
    "state_record": staterecord.RecordFormat.as_construct,
    "frame_head": frames.FrameHead,
    "frame_tail": frames.FrameTail,
    "stub_head": frames.StubHead,
    "announce": frames.Announce,
    "baud": frames.Baud,
    "begin": frames.Begin,
    "begin_stub": frames.BeginStub,
    "begun": frames.Begun,
    "sums": frames.Sums,
    "sums_are": frames.SumsAre,
    "data": frames.Data,
    "skip": frames.Skip,
    "offset": frames.Offset,
    "done": frames.Done,
    "inspect": frames.Inspect,
    "inspected": frames.Inspected,
    "busy": frames.Busy,
    "refused": frames.Refused,
}
ENUMS: dict[str, type[IntEnum]] = {
    "slot_state": staterecord.SlotState,
    "failure": staterecord.Failure,
    "message": frames.Message,
    "place": frames.Place,
    "refusal": frames.Refusal,
}
NUMBERS = {
    "TRIES": staterecord.TRIES,
    "LAST_SLOT_STATE": max(staterecord.SlotState),
    "LAST_FAILURE": max(staterecord.Failure),
    "NO_SLOT": staterecord.NO_SLOT,
    "RECORD_SECTORS": staterecord.SECTORS,
    "ANY_VERSION": ANY_VERSION,
    "HEADER_CRC_OFFSET": header.CRC_OFFSET,
    "DIGEST_PREFIX_BYTES": policy.DIGEST_PREFIX_BYTES,
    "PROTOCOL": frames.PROTOCOL,
    "INITIAL_BAUD": frames.INITIAL_BAUD,
    "BLOCK_BYTES": frames.BLOCK_BYTES,
    "MAX_SUMS": frames.MAX_SUMS,
    "MAX_FRAME_BYTES": frames.MAX_FRAME_BYTES,
    "STUB_HEAD_OFFSET": frames.STUB_HEAD_OFFSET,
}
FREE_SLOT_ORDER = choice.FREE_SLOT_ORDER


def c_field(name: str, declared: Any) -> tuple[str, Any]:
    """Return a field's C declaration and the constant it must hold, or None."""
    if isinstance(declared, Renamed):
        return c_field(name, declared.subcon)
    if isinstance(declared, Const):
        text, _ = c_field(name, declared.subcon)
        return text, declared.value
    if isinstance(declared, Array):
        text, _ = c_field(name, declared.subcon)
        return f"{text.removesuffix(';')}[{declared.count}];", None
    if isinstance(declared, FormatField):
        order, letter = declared.fmtstr
        assert order == "<" or declared.length == 1, f"{name}: the C side reads little-endian"
        return f"{C_TYPES[letter]} {name};", None
    if isinstance(declared, Struct):
        named = next(c_name for c_name, each in STRUCTS.items() if each is declared)
        return f"struct {named} {name};", None
    assert isinstance(declared, Bytes), f"{name}: no C for {declared}"
    return f"uint8_t {name}[{declared.length}];", None


def struct_lines(c_name: str, declared: Struct) -> Iterator[str]:
    """Declare a struct, its size and what its constant fields hold."""
    constants = []
    yield f"struct {c_name} {{"
    for field in declared.subcons:
        text, constant = c_field(field.name, field)
        yield f"    {text}"
        if isinstance(constant, int) and constant:
            constants.append((field.name, f"{constant}u"))
        elif isinstance(constant, bytes) and any(constant):
            constants.append((field.name, '"' + constant.decode() + '"'))
    yield "} __attribute__((packed));"
    yield f'_Static_assert(sizeof(struct {c_name}) == {declared.sizeof()}, "{c_name}");'
    yield f"#define {c_name.upper()}_BYTES {declared.sizeof()}u"
    for name, value in constants:
        yield f"#define {c_name.upper()}_{name.upper()} {value}"
    yield ""


def wire_lines() -> Iterator[str]:
    """Write wire.h."""
    yield "/* Made by generate.py from the declarations in carousel/ and settop/: change those, then `make wire`. */"
    yield "#ifndef WIRE_H"
    yield "#define WIRE_H"
    yield ""
    yield "#include <stdint.h>"
    yield ""
    yield "#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__"
    yield '#error "the formats are little-endian, and so must the CPU be"'
    yield "#endif"
    yield ""
    yield from (f"#define {name} {int(value)}u" for name, value in NUMBERS.items())
    yield ""
    for c_name, enum in ENUMS.items():
        yield f"enum {c_name} {{"
        yield from (f"    {c_name.upper()}_{member.name} = {member.value}," for member in enum)
        yield "};"
        yield ""
    order = ", ".join(f"SLOT_STATE_{state.name}" for state in FREE_SLOT_ORDER)
    yield "/* Which slot to install into: the first of these states, the active slot left out. */"
    yield f"#define FREE_SLOT_ORDER {{{order}}}"
    yield ""
    for c_name, declared in STRUCTS.items():
        if declared.sizeof():
            yield from struct_lines(c_name, declared)
    yield "/* CRC-32/ISO-HDLC, reflected, one byte at a time. */"
    yield "#define CRC32_TABLE { \\"
    table = Crc(CRC32_POLYNOMIAL, initCrc=0, rev=True, xorOut=0xFFFFFFFF).table
    for first in range(0, len(table), 6):
        row = ", ".join(f"0x{word:08x}u" for word in table[first : first + 6])
        yield f"    {row}, \\"
    yield "}"
    yield ""
    yield "#endif"


def load_board(path: Path = BOARD / "board.toml") -> dict[str, Any]:
    """Read a board's description; whatever overlaps or is no whole sector is an error."""
    board = tomllib.loads(path.read_text())
    sector_bytes = board["flash"]["sector_bytes"]
    places = sorted((place["offset"], place["size"], name) for name, place in board["map"].items())
    for offset, size, name in places:
        if offset % sector_bytes or size % sector_bytes:
            raise SystemExit(f"{path}: {name} does not begin and end at a sector of {sector_bytes} bytes")
    for (offset, size, name), (next_offset, _, next_name) in pairwise(places):
        if offset + size > next_offset:
            raise SystemExit(f"{path}: {name} overlaps {next_name}")
    return board


def board_lines(board: dict[str, Any]) -> Iterator[str]:
    """Write board.h."""
    hardware = Hardware.parse(board["hardware"])
    key = bytes.fromhex(board["public_key"]).ljust(32, b"\0")
    yield "/* Made by generate.py from board.toml: change that, then `make wire`. */"
    yield "#ifndef BOARD_H"
    yield "#define BOARD_H"
    yield ""
    yield f"#define BOARD_HARDWARE_OUI 0x{hardware.oui:06x}"
    yield f"#define BOARD_HARDWARE_MODEL {hardware.model}"
    yield f"#define BOARD_HARDWARE_VERSION {hardware.version}"
    yield "#define BOARD_PUBLIC_KEY { \\"
    yield from ("    " + ", ".join(f"0x{byte:02x}" for byte in key[row : row + 16]) + ", \\" for row in (0, 16))
    yield "}"
    for section in ("flash", "memory"):
        yield from (f"#define BOARD_{name.upper()} 0x{value:08x}u" for name, value in board[section].items())
    for name, place in board["map"].items():
        yield f"#define BOARD_{name.upper()} {{0x{place['offset']:08x}u, 0x{place['size']:08x}u}}"
    yield ""
    yield "#endif"


def map_lines(board: dict[str, Any]) -> Iterator[str]:
    """Write the table for the docs."""
    what = {
        "stub": "this program; the CPU starts at its first byte",
        "records": "two areas of state records, 64 bytes each, appended in turn",
        "eeprom": "the EEPROM image: never counted, never written by an update",
        "slot_a": "slot A: header sector, then the image",
        "slot_b": "slot B, the same",
    }
    yield "| from | to | KiB | what |"
    yield "|---|---|---|---|"
    for name, place in board["map"].items():
        begin, size = place["offset"], place["size"]
        yield f"| `0x{begin:08x}` | `0x{begin + size - 1:08x}` | {size // 1024:,} | {what[name]} |"


def outputs() -> dict[Path, str]:
    """Return every generated file's content."""
    board = load_board()
    begin, end = "<!-- flash map: made by firmware_stub/tools/generate.py -->\n", "<!-- end of the flash map -->"
    before, _, rest = DOCS.read_text().partition(begin)
    _, _, after = rest.partition(end)
    return {
        STUB / "core" / "wire.h": "\n".join(wire_lines()) + "\n",
        BOARD / "board.h": "\n".join(board_lines(board)) + "\n",
        DOCS: before + begin + "\n".join(map_lines(board)) + "\n" + end + after,
    }


def main() -> int:
    """Write the files, or say which have drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file has drifted")
    only_check = parser.parse_args().check
    drifted = [path for path, text in outputs().items() if not path.exists() or path.read_text() != text]
    for path in drifted:
        if only_check:
            print(f"{path.name} does not follow from the declarations any more: run `make wire`", file=sys.stderr)
        else:
            path.write_text(outputs()[path])
    return int(only_check and bool(drifted))


if __name__ == "__main__":
    raise SystemExit(main())
