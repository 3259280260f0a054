"""DSM-CC messages (ISO/IEC 13818-6 7.3, TR 101 202 4.7): DSI, DII and DDB of a software update carousel.

    DSI, table 0x3B: one group ──groupId──► DII, table 0x3B: its modules ──moduleId──► DDB, table 0x3C: their blocks

The GroupInfoIndication has three layouts in the field (private data in each group, behind all groups, or groups behind
it). With one group they are the same bytes, so ours has one: a stream for each kind of hardware.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from construct import Bytes, Const, GreedyBytes, Int8ub, Int16ub, Int32ub, Prefixed, PrefixedArray, Struct
from numpy.typing import NDArray

from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.ssu.psi import TableId
from carousel.ssu.sections import (
    SECTION_HEADER_BYTES,
    Oui,
    Section,
    SectionHeader,
    build_descriptor,
    build_section,
    dtype_of,
    parsed,
)

__all__ = [
    "DDB_DTYPE",
    "DDB_OVERHEAD_BYTES",
    "DDB_PREFIX_BYTES",
    "MAX_DII_BYTES",
    "Blocks",
    "CompatibilityKind",
    "Device",
    "DownloadInfo",
    "Group",
    "MessageHeader",
    "MessageId",
    "Module",
    "ModuleTag",
    "ddb",
    "dii",
    "dsi",
    "module_descriptors",
    "parse_dii",
    "parse_dsi",
    "parse_message",
    "read_blocks",
]


class MessageId(IntEnum):
    """DSM-CC messages of a carousel."""

    DII = 0x1002
    DDB = 0x1003
    DSI = 0x1006


class CompatibilityKind(IntEnum):
    """What a compatibility descriptor describes."""

    HARDWARE = 1
    SOFTWARE = 2


class ModuleTag(IntEnum):
    """Descriptors of a module (TS 102 006 9.1, EN 301 192 10.2)."""

    LINK = 0x04
    CRC32 = 0x05


MessageHeader = Struct(
    "protocol" / Const(0x11, Int8ub),
    "message_type" / Const(0x03, Int8ub),
    "message_id" / Int16ub,
    "transaction_id" / Int32ub,
    "reserved" / Int8ub,
    "adaptation_length" / Int8ub,
    "message_length" / Int16ub,
)
"""dsmccMessageHeader; in a DDB, where it is called dsmccDownloadDataHeader, the transaction is the downloadId."""
MESSAGE_HEADER_BYTES = 12
assert MessageHeader.sizeof() == MESSAGE_HEADER_BYTES

BlockHeader = Struct("module_id" / Int16ub, "module_version" / Int8ub, "block_reserved" / Int8ub, "block" / Int16ub)
BLOCK_HEADER_BYTES = 6
assert BlockHeader.sizeof() == BLOCK_HEADER_BYTES

DDB_DTYPE = dtype_of(SectionHeader, MessageHeader, BlockHeader)
"""What stands before the data in a section of a DDB, one behind the other."""
DDB_PREFIX_BYTES = SECTION_HEADER_BYTES + MESSAGE_HEADER_BYTES + BLOCK_HEADER_BYTES
DDB_OVERHEAD_BYTES = DDB_PREFIX_BYTES + 4
assert DDB_DTYPE.itemsize == DDB_PREFIX_BYTES
MAX_DII_BYTES = 4096 - SECTION_HEADER_BYTES - MESSAGE_HEADER_BYTES - 4
"""The most that a DII may have, so that it is one section."""

CompatibilityEntry = Struct(
    "kind" / Int8ub,
    "entry"
    / Prefixed(
        Int8ub,
        Struct(
            "specifier_type" / Int8ub,
            "oui" / Oui,
            "model" / Int16ub,
            "version" / Int16ub,
            "sub_descriptors" / Prefixed(Int8ub, GreedyBytes),
        ),
    ),
)
Compatibility = PrefixedArray(Int16ub, CompatibilityEntry)
"""compatibilityDescriptor behind its length (ISO/IEC 13818-6 6.1); specifier type 1 is an OUI."""

GroupInfo = Struct(
    "group_id" / Int32ub,
    "group_size" / Int32ub,
    "compatibility" / Prefixed(Int16ub, GreedyBytes),
    "info" / Prefixed(Int16ub, GreedyBytes),
)
Dsi = Struct(
    "server_id" / Bytes(20),
    "compatibility" / Prefixed(Int16ub, GreedyBytes),
    "indication"
    / Prefixed(
        Int16ub, Struct("groups" / PrefixedArray(Int16ub, GroupInfo), "private" / Prefixed(Int16ub, GreedyBytes))
    ),
)
Dii = Struct(
    "download_id" / Int32ub,
    "block_size" / Int16ub,
    "window" / Int8ub,
    "ack_period" / Int8ub,
    "download_window" / Int32ub,
    "download_scenario" / Int32ub,
    "compatibility" / Prefixed(Int16ub, GreedyBytes),
    "modules"
    / PrefixedArray(
        Int16ub,
        Struct(
            "module_id" / Int16ub, "size" / Int32ub, "version" / Int8ub, "descriptors" / Prefixed(Int8ub, GreedyBytes)
        ),
    ),
    "private" / Prefixed(Int16ub, GreedyBytes),
)
ModuleLink = Struct("position" / Int8ub, "module_id" / Int16ub)
"""Position 0: the first of a chain, 1: in its middle, 2: its last; then the module that follows."""


class Device(Frozen):
    """A hardware or software that a group is for: OUI, model, version."""

    kind: CompatibilityKind
    oui: int
    model: int
    version: int


class Group(Frozen):
    """A DSI's only group. `private` may be the signed header of the release."""

    group_id: int
    size_bytes: int
    devices: tuple[Device, ...]
    private: bytes = b""


class Module(Frozen):
    """A module of a group; `crc` is the CRC-32/MPEG-2 of its bytes, `next_id` the module behind it in a chain."""

    module_id: int
    size_bytes: int
    version: int
    descriptors: bytes = b""


class DownloadInfo(Frozen):
    """What a DII says."""

    transaction_id: int
    download_id: int
    block_size: int
    modules: tuple[Module, ...]


def _message(table_id: TableId, message_id: MessageId, transaction_id: int, body: bytes) -> bytes:
    head = MessageHeader.build(
        {
            "message_id": message_id,
            "transaction_id": transaction_id,
            "reserved": 0xFF,
            "adaptation_length": 0,
            "message_length": len(body),
        }
    )
    return build_section(table_id, transaction_id & 0xFFFF, head + body)


def dsi(transaction_id: int, group: Group) -> bytes:
    """Render the section of a DSI with one group."""
    entries = [
        {
            "kind": device.kind,
            "entry": {
                "specifier_type": 1,
                "oui": device.oui,
                "model": device.model,
                "version": device.version,
                "sub_descriptors": b"",
            },
        }
        for device in group.devices
    ]
    info = {
        "group_id": group.group_id,
        "group_size": group.size_bytes,
        "compatibility": Compatibility.build(entries),
        "info": b"",
    }
    fields = {
        "server_id": b"\xff" * 20,
        "compatibility": b"",
        "indication": {"groups": [info], "private": group.private},
    }
    return _message(TableId.MESSAGES, MessageId.DSI, transaction_id, Dsi.build(fields))


def dii(transaction_id: int, block_size: int, modules: Sequence[Module]) -> bytes:
    """Render the section of a DII; its transaction is the group's id and the downloadId."""
    body = Dii.build(
        {
            "download_id": transaction_id,
            "block_size": block_size,
            "window": 0,
            "ack_period": 0,
            "download_window": 0,
            "download_scenario": 0,
            "compatibility": b"",
            "modules": [
                {
                    "module_id": module.module_id,
                    "size": module.size_bytes,
                    "version": module.version,
                    "descriptors": module.descriptors,
                }
                for module in modules
            ],
            "private": b"",
        }
    )
    return _message(TableId.MESSAGES, MessageId.DII, transaction_id, body)


def module_descriptors(crc: int, link: tuple[int, int] | None = None) -> bytes:
    """Render a module's descriptors: the CRC-32/MPEG-2 of its bytes, and (position, next module) of a chain."""
    descriptors = build_descriptor(ModuleTag.CRC32, crc.to_bytes(4, "big"))
    if link is None:
        return descriptors
    position, next_id = link
    return descriptors + build_descriptor(
        ModuleTag.LINK, ModuleLink.build({"position": position, "module_id": next_id})
    )


def ddb(download_id: int, module_id: int, module_version: int, block: int, blocks: int, data: bytes) -> bytes:
    """Render the section of one DDB: for odd ones and tests; batches are rendered by NumPy."""
    head = MessageHeader.build(
        {
            "message_id": MessageId.DDB,
            "transaction_id": download_id,
            "reserved": 0xFF,
            "adaptation_length": 0,
            "message_length": BLOCK_HEADER_BYTES + len(data),
        }
    )
    place = {"module_id": module_id, "module_version": module_version, "block_reserved": 0xFF, "block": block}
    body = head + BlockHeader.build(place) + data
    return build_section(TableId.BLOCKS, module_id, body, module_version % 32, block % 256, (blocks - 1) & 0xFF)


class Blocks(Frozen):
    """Blocks of DDB sections of one length: shape (n,) each, `data` (n, bytes of a block)."""

    download_id: NDArray[np.int64]
    module: NDArray[np.int64]
    block: NDArray[np.int64]
    data: NDArray[np.uint8]


def read_blocks(sections: NDArray[np.uint8]) -> Blocks:
    """Read whole sections of one length, shape (n, L); those that are no DDB as `ddb` renders it are left out.

    moduleId, module version and block number stand in the section header, too, and must agree.
    """
    size = sections.shape[1] - DDB_OVERHEAD_BYTES
    if size < 1:
        sections, size = sections[:0, :DDB_PREFIX_BYTES], 0
    heads = np.ascontiguousarray(sections[:, :DDB_PREFIX_BYTES]).view(DDB_DTYPE)[:, 0]
    good = (heads["table_id"] == TableId.BLOCKS) & (heads["size"] & 0xC000 == 0x8000)
    good &= (heads["protocol"] == 0x11) & (heads["message_type"] == 0x03) & (heads["message_id"] == MessageId.DDB)
    good &= (heads["adaptation_length"] == 0) & (heads["message_length"] == BLOCK_HEADER_BYTES + size)
    good &= (heads["extension"] == heads["module_id"]) & (heads["section"] == heads["block"] & 0xFF)
    if not good.all():
        heads, sections = heads[good], sections[good]
    return Blocks(
        heads["transaction_id"].astype(np.int64),
        heads["module_id"].astype(np.int64),
        heads["block"].astype(np.int64),
        sections[:, DDB_PREFIX_BYTES : DDB_PREFIX_BYTES + size],
    )


def parse_message(section: Section) -> tuple[int, int, bytes]:
    """Return (message id, transaction id, message); `FormatError("dsmcc_message")`."""
    head = parsed(MessageHeader, section.body, "dsmcc_message")
    start = MESSAGE_HEADER_BYTES + head.adaptation_length
    if start + head.message_length - head.adaptation_length > len(section.body):
        raise FormatError("dsmcc_message")
    return head.message_id, head.transaction_id, section.body[start:]


def parse_dsi(message: bytes) -> list[Group]:
    """Return the groups of a DSI, the private data behind them with the last one; `FormatError("dsi")`."""
    indication = parsed(Dsi, message, "dsi").indication
    groups = [Group(info.group_id, info.group_size, _devices(info.compatibility)) for info in indication.groups]
    if groups:
        last = groups[-1]
        groups[-1] = Group(last.group_id, last.size_bytes, last.devices, indication.private)
    return groups


def _devices(compatibility: bytes) -> tuple[Device, ...]:
    if not compatibility:
        return ()
    return tuple(
        Device(CompatibilityKind(one.kind), one.entry.oui, one.entry.model, one.entry.version)
        for one in parsed(Compatibility, compatibility, "compatibility")
        if one.kind in (CompatibilityKind.HARDWARE, CompatibilityKind.SOFTWARE) and one.entry.specifier_type == 1
    )


def parse_dii(transaction_id: int, message: bytes) -> DownloadInfo:
    """Return what a DII says; `FormatError("dii")`."""
    fields = parsed(Dii, message, "dii")
    modules = tuple(
        Module(module.module_id, module.size, module.version, module.descriptors) for module in fields.modules
    )
    return DownloadInfo(transaction_id, fields.download_id, fields.block_size, modules)
