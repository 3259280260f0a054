"""PAT, PMT, SDT and NIT (ISO/IEC 13818-1 2.4.4, EN 300 468), as far as a software update service needs them.

How a box finds the carousel: the NIT (or BAT) names the service by a linkage descriptor of type 0x09; the PAT leads to
the service's PMT; in it, each elementary stream of a carousel has a `data_broadcast_id` descriptor of value 0x000A with
the OUI of the makers whose boxes it is for (TS 102 006 7.1).
"""

from collections.abc import Sequence
from enum import IntEnum

from construct import Const, ExprAdapter, GreedyBytes, GreedyRange, Int8ub, Int16ub, Prefixed, Struct

from carousel.frozen import Frozen
from carousel.ssu.sections import Length12, Oui, Pid, Section, build_descriptor, build_section, each_descriptor, parsed

__all__ = [
    "ANY_OUI",
    "NIT_PID",
    "PAT_PID",
    "SDT_PID",
    "SSU_DATA_BROADCAST_ID",
    "DescriptorTag",
    "Program",
    "Stream",
    "TableId",
    "UpdateType",
    "nit",
    "parse_nit_ouis",
    "parse_pat",
    "parse_pmt",
    "parse_sdt_names",
    "pat",
    "pmt",
    "sdt",
]

PAT_PID = 0x0000
NIT_PID = 0x0010
SDT_PID = 0x0011
NO_PCR_PID = 0x1FFF
ANY_OUI = 0x00015A
"""DVB's own OUI: a service for boxes of any maker."""
SSU_DATA_BROADCAST_ID = 0x000A
DSMCC_STREAM_TYPE = 0x0B
SSU_LINKAGE = 0x09
DATA_SERVICE = 0x0C
RUNNING = 4


class TableId(IntEnum):
    """Tables by their id."""

    PAT = 0x00
    PMT = 0x02
    MESSAGES = 0x3B
    """DSI and DII."""
    BLOCKS = 0x3C
    """DDB."""
    NIT = 0x40
    SDT = 0x42


class DescriptorTag(IntEnum):
    """Descriptors by their tag."""

    NETWORK_NAME = 0x40
    SERVICE = 0x48
    LINKAGE = 0x4A
    STREAM_IDENTIFIER = 0x52
    DATA_BROADCAST_ID = 0x66


class UpdateType(IntEnum):
    """How an elementary stream carries updates (TS 102 006 7.1)."""

    PROPRIETARY = 0
    STANDARD = 1
    """A standard update carousel without return channel."""


Pat = GreedyRange(Struct("program" / Int16ub, "pid" / Pid))

Pmt = Struct(
    "pcr_pid" / Pid,
    "descriptors" / Prefixed(Length12, GreedyBytes),
    "streams"
    / GreedyRange(Struct("stream_type" / Int8ub, "pid" / Pid, "descriptors" / Prefixed(Length12, GreedyBytes))),
)

_StatusLength = ExprAdapter(Int16ub, lambda number, _: number & 0xFFF, lambda number, _: number | RUNNING << 13)
Sdt = Struct(
    "original_network_id" / Int16ub,
    "reserved" / Const(0xFF, Int8ub),
    "services"
    / GreedyRange(
        Struct(
            "service_id" / Int16ub,
            "no_schedule" / Int8ub,
            "descriptors" / Prefixed(_StatusLength, GreedyBytes),
        )
    ),
)

Nit = Struct(
    "descriptors" / Prefixed(Length12, GreedyBytes),
    "streams"
    / Prefixed(
        Length12,
        GreedyRange(
            Struct(
                "ts_id" / Int16ub,
                "original_network_id" / Int16ub,
                "descriptors" / Prefixed(Length12, GreedyBytes),
            )
        ),
    ),
)

UpdateInfo = Struct(
    "data_broadcast_id" / Int16ub,
    "makers"
    / Prefixed(
        Int8ub,
        GreedyRange(
            Struct(
                "oui" / Oui,
                "update_type" / ExprAdapter(Int8ub, lambda byte, _: byte & 0xF, lambda number, _: number | 0xF0),
                "update_version"
                / ExprAdapter(Int8ub, lambda byte, _: byte & 0x1F, lambda number, _: number % 32 | 0xE0),
                "selector" / Prefixed(Int8ub, GreedyBytes),
            )
        ),
    ),
    "private" / GreedyBytes,
)
"""data_broadcast_id descriptor 0x66 with system_software_update_info; the versioning flag is set."""

Linkage = Struct(
    "ts_id" / Int16ub,
    "original_network_id" / Int16ub,
    "service_id" / Int16ub,
    "linkage_type" / Int8ub,
    "makers" / Prefixed(Int8ub, GreedyRange(Struct("oui" / Oui, "selector" / Prefixed(Int8ub, GreedyBytes)))),
    "private" / GreedyBytes,
)
"""linkage descriptor 0x4A of type 0x09: the service carries updates for boxes of these makers."""

Service = Struct(
    "service_type" / Int8ub, "provider" / Prefixed(Int8ub, GreedyBytes), "name" / Prefixed(Int8ub, GreedyBytes)
)


class Program(Frozen):
    """Where a service stands in a network: the numbers that an operator gives."""

    service_id: int = 1
    ts_id: int = 1
    network_id: int = 1
    pmt_pid: int = 0x100
    name: str = "System software update"
    provider: str = "bootcast"


class Stream(Frozen):
    """One elementary stream that carries updates for one maker's boxes."""

    pid: int
    component_tag: int
    oui: int
    update_type: UpdateType
    update_version: int
    selector: bytes = b""


def pat(program: Program, version: int = 0) -> bytes:
    """Render the section that leads to the PMT, and to the NIT as program 0."""
    programs = [{"program": 0, "pid": NIT_PID}, {"program": program.service_id, "pid": program.pmt_pid}]
    return build_section(TableId.PAT, program.ts_id, Pat.build(programs), version)


def pmt(program: Program, streams: Sequence[Stream], version: int, pcr_pid: int = NO_PCR_PID) -> bytes:
    """Render the section that lists a service's elementary streams; `ValueError` where they are too many."""
    entries = [
        {"stream_type": DSMCC_STREAM_TYPE, "pid": stream.pid, "descriptors": _stream_descriptors(stream)}
        for stream in streams
    ]
    body = Pmt.build({"pcr_pid": pcr_pid, "descriptors": b"", "streams": entries})
    return build_section(TableId.PMT, program.service_id, body, version)


def _stream_descriptors(stream: Stream) -> bytes:
    maker = {
        "oui": stream.oui,
        "update_type": stream.update_type,
        "update_version": stream.update_version,
        "selector": stream.selector,
    }
    update = UpdateInfo.build({"data_broadcast_id": SSU_DATA_BROADCAST_ID, "makers": [maker], "private": b""})
    identifier = build_descriptor(DescriptorTag.STREAM_IDENTIFIER, bytes([stream.component_tag]))
    return identifier + build_descriptor(DescriptorTag.DATA_BROADCAST_ID, update)


def sdt(program: Program, version: int = 0) -> bytes:
    """Render the section that names the service to people."""
    fields = {"service_type": DATA_SERVICE, "provider": program.provider.encode(), "name": program.name.encode()}
    service = {
        "service_id": program.service_id,
        "no_schedule": 0xFC,
        "descriptors": build_descriptor(DescriptorTag.SERVICE, Service.build(fields)),
    }
    body = Sdt.build({"original_network_id": program.network_id, "services": [service]})
    return build_section(TableId.SDT, program.ts_id, body, version, private=True)


def nit(program: Program, ouis: Sequence[int], version: int) -> bytes:
    """Render the section by which boxes of these makers find the service."""
    linkage = Linkage.build(
        {
            "ts_id": program.ts_id,
            "original_network_id": program.network_id,
            "service_id": program.service_id,
            "linkage_type": SSU_LINKAGE,
            "makers": [{"oui": oui, "selector": b""} for oui in ouis],
            "private": b"",
        }
    )
    descriptors = build_descriptor(DescriptorTag.NETWORK_NAME, program.provider.encode())
    descriptors += build_descriptor(DescriptorTag.LINKAGE, linkage)
    stream = {"ts_id": program.ts_id, "original_network_id": program.network_id, "descriptors": b""}
    body = Nit.build({"descriptors": descriptors, "streams": [stream]})
    return build_section(TableId.NIT, program.network_id, body, version, private=True)


def parse_pat(section: Section) -> dict[int, int]:
    """Return the PMT's PID of each program."""
    return {entry.program: entry.pid for entry in Pat.parse(section.body) if entry.program}


def parse_pmt(section: Section) -> list[Stream]:
    """Return the streams that carry software updates, one entry for each maker; `FormatError("pmt")`."""
    found: list[Stream] = []
    for entry in parsed(Pmt, section.body, "pmt").streams:
        tag = 0
        for kind, body in each_descriptor(entry.descriptors):
            if kind == DescriptorTag.STREAM_IDENTIFIER and body:
                tag = body[0]
            if kind == DescriptorTag.DATA_BROADCAST_ID:
                found += _update_streams(entry.pid, tag, body)
    return found


def _update_streams(pid: int, tag: int, body: bytes) -> list[Stream]:
    info = parsed(UpdateInfo, body, "pmt")
    if info.data_broadcast_id != SSU_DATA_BROADCAST_ID:
        return []
    return [
        Stream(pid, tag, maker.oui, _update_type(maker.update_type), maker.update_version, maker.selector)
        for maker in info.makers
    ]


def _update_type(number: int) -> UpdateType:
    """Return how a stream carries updates; types that need more than a broadcast count as proprietary here."""
    return UpdateType.STANDARD if number == UpdateType.STANDARD else UpdateType.PROPRIETARY


def parse_nit_ouis(section: Section) -> list[int]:
    """Return the OUIs that a NIT's linkage descriptors of type 0x09 name; `FormatError("nit")`."""
    found: list[int] = []
    for tag, body in each_descriptor(parsed(Nit, section.body, "nit").descriptors):
        if tag == DescriptorTag.LINKAGE and len(body) > 6 and body[6] == SSU_LINKAGE:
            found += [maker.oui for maker in parsed(Linkage, body, "nit").makers]
    return found


def parse_sdt_names(section: Section) -> dict[int, str]:
    """Return the name of each service; `FormatError("sdt")`."""
    names: dict[int, str] = {}
    for service in parsed(Sdt, section.body, "sdt").services:
        for tag, body in each_descriptor(service.descriptors):
            if tag == DescriptorTag.SERVICE:
                names[service.service_id] = parsed(Service, body, "sdt").name.decode(errors="replace")
    return names
