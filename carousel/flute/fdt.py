"""The FDT Instance (RFC 6726 3.4) that lets every other FLUTE receiver take the carousel.

Our own box never reads it: all it needs follows from the signed header.
"""

import base64
import xml.etree.ElementTree as ET

from carousel.flute.alc import Extension, ExtFdt, ExtFtiNoCode, join_payload_id, render_packet
from carousel.flute.releasefile import Release
from carousel.flute.toi import BULLETIN_TOI, FDT_TOI, toi_base
from carousel.release.blocks import FecId, ObjectGeometry
from carousel.release.header import SignedHeader

__all__ = ["NTP_OFFSET_S", "bulletin_packet", "fdt_packets", "fdt_xml", "header_packet"]

NTP_OFFSET_S = 2208988800
"""From the NTP era of 1900 to the unix epoch."""
_NAMESPACE = "urn:ietf:params:xml:ns:fdt"
_FLUTE_VERSION = 2


def header_packet(release: Release) -> bytes:
    """Return the announcement: the signed header as an object of one 256-byte symbol, without a code."""
    return render_packet(release.tsi, release.header_toi, FecId.NO_CODE, 0, release.header.raw)


def bulletin_packet(tsi: int, raw: bytes) -> bytes:
    """Return a bulletin, or a gate's tick, as an object of one symbol, without a code. The FDT does not list it."""
    return render_packet(tsi, BULLETIN_TOI, FecId.NO_CODE, 0, raw)


def fdt_packets(releases: list[Release], tsi: int, instance: int, expires_unix_s: int) -> list[bytes]:
    """Return the packets of one FDT Instance that lists all objects of these releases."""
    body = fdt_xml(releases, expires_unix_s)
    symbol_size = min(release.layout.symbol_size for release in releases)
    count = -(-len(body) // symbol_size)
    fti = ExtFtiNoCode.build({"transfer_length": len(body), "symbol_size": symbol_size, "max_block_symbols": count})
    extensions = (
        (int(Extension.FDT), ExtFdt.build({"version": _FLUTE_VERSION, "instance": instance})),
        (int(Extension.FTI), fti),
    )
    return [
        render_packet(
            tsi,
            FDT_TOI,
            FecId.NO_CODE,
            join_payload_id(0, esi, FecId.NO_CODE),
            body[esi * symbol_size : (esi + 1) * symbol_size],
            extensions,
        )
        for esi in range(count)
    ]


def fdt_xml(releases: list[Release], expires_unix_s: int) -> bytes:
    """Return the XML of an FDT Instance that is good until `expires_unix_s`."""
    ET.register_namespace("", _NAMESPACE)
    root = ET.Element(f"{{{_NAMESPACE}}}FDT-Instance", Expires=str(expires_unix_s + NTP_OFFSET_S))
    for release in releases:
        stem = _location(release.header)
        for level, geometry in enumerate(release.layout.objects):
            suffix = "" if level == 0 else f".digests{level}"
            toi = release.toi_base + level
            fec = release.layout.objects[0].fec
            _add_file(root, stem + suffix, toi, geometry, fec, release.md5[level])
        _add_file(
            root,
            stem + ".header",
            release.header_toi,
            ObjectGeometry(len(release.header.raw), len(release.header.raw), 1, 0),
            FecId.NO_CODE,
            None,
        )
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root)


def _location(header: SignedHeader) -> str:
    stem = "".join(char if char.isalnum() or char in "-_." else "_" for char in header.name) or "image"
    return f"{stem}-{header.version}-{toi_base(header.release_id):08x}"


def _add_file(
    root: ET.Element, location: str, toi: int, geometry: ObjectGeometry, fec: FecId, md5: bytes | None
) -> None:
    file = ET.SubElement(
        root,
        f"{{{_NAMESPACE}}}File",
        {
            "Content-Location": location,
            "TOI": str(toi),
            "Content-Length": str(geometry.transfer_length),
            "Transfer-Length": str(geometry.transfer_length),
            "FEC-OTI-FEC-Encoding-ID": str(int(fec)),
            "FEC-OTI-Maximum-Source-Block-Length": str(geometry.largest_block),
            "FEC-OTI-Encoding-Symbol-Length": str(geometry.symbol_size),
            "FEC-OTI-Max-Number-of-Encoding-Symbols": str(geometry.largest_block + geometry.repair_per_block),
        },
    )
    if md5 is not None:
        file.set("Content-MD5", base64.b64encode(md5).decode())
    if fec is FecId.RAPTORQ:
        scheme = bytes([geometry.blocks]) + (1).to_bytes(2, "big") + bytes([8])
        file.set("FEC-OTI-Scheme-Specific-Info", base64.b64encode(scheme).decode())
