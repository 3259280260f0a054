"""Test vectors: one small release, and the bytes of every format that docs/protocol.md lays out.

`python -m bench.vectors` writes docs/vectors.md (`make vectors`); a test holds the page and the code together. All is
drawn from fixed inputs that the page names, so that somebody who writes a receiver or a head-end can check each step.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carousel.bulletin import Bulletin, Stage, threshold_of
from carousel.flute.alc import split_payload_id
from carousel.flute.fdt import bulletin_packet, fdt_packets, header_packet
from carousel.flute.releasefile import PREAMBLE_BYTES, Release
from carousel.gate import LEAST_TICKS, GateState, GateView, Tick, chain_id_of, hashed
from carousel.release.blocks import FecId
from carousel.release.digests import SYMBOL_DIGEST_BYTES, BlockHash, symbol_digest
from carousel.release.identity import Hardware, Version
from carousel.report import Report, ReportKind, box_key
from carousel.ssu.dsmcc import CompatibilityKind, Device, Group, ddb, dsi
from carousel.ssu.modules import HEADER_MODULE, group_id_of
from carousel.ssu.transport import cut_section
from headend.pack.packing import PackRequest, pack
from settop.store.choice import confirmed, on_trial, staged, writing
from settop.store.staterecord import StateRecord

__all__ = ["PAGE", "page", "vectors"]

PAGE = Path(__file__).parent.parent / "docs" / "vectors.md"
KEY_SEED = b"k" * 32
IMAGE = bytes(number * number % 251 for number in range(2_600))
REQUEST = PackRequest(Hardware(0x00A1B2, 7), Version(1, 4, 0), 1_750_000_000, "vector", 9, 256, 1.0)
BULLETIN_KEY_SEED = b"b" * 32
DSI_TRANSACTION, SSU_PID = 0xBFFF_0000, 0x101
FDT_INSTANCE, FDT_EXPIRES_UNIX_S = 0x12345, 2_000_000_000
BYTES_A_LINE = 32

INTRODUCTION = f"""# Test vectors

Made by `make vectors` from the code, and tested against it: don't edit. One release, packed from

- the image: {len(IMAGE):,} bytes, byte n = n² mod 251
- the Ed25519 key whose 32-byte seed is {len(KEY_SEED)} times `0x{KEY_SEED[0]:02x}`
- the Ed25519 key for bulletins, {len(BULLETIN_KEY_SEED)} times `0x{BULLETIN_KEY_SEED[0]:02x}`
- hardware {REQUEST.hardware}, version {REQUEST.version}, counter {REQUEST.security_counter}, name "{REQUEST.name}",
  created {REQUEST.created_unix_s}, T = {REQUEST.symbol_size}, R = K, TSI {REQUEST.tsi:#010x}

[protocol.md](protocol.md) lays the formats out. Bytes are in hexadecimal, {BYTES_A_LINE} a line.
"""


class Vector(NamedTuple):
    """One format's bytes, with what there is to say of them."""

    title: str
    text: str
    content: bytes


def vectors() -> Iterator[Vector]:
    """Yield the vectors of every format."""
    release = _release()
    header = release.header
    text = f"Its SHA-256 begins with the release's id, {header.release_id}."
    yield Vector("The signed header", text, header.raw)
    yield Vector("The announcement", "A FLUTE packet, TOI base + 7: the header as one symbol.", header_packet(release))
    yield from _packets(release)
    yield from _digests(release)
    fdt = fdt_packets([release], release.tsi, FDT_INSTANCE, FDT_EXPIRES_UNIX_S)
    for number, packet in enumerate(fdt):
        text = f"Instance {FDT_INSTANCE:#x}, expires at unix time {FDT_EXPIRES_UNIX_S}."
        yield Vector(f"The FDT, packet {number + 1} of {len(fdt)}", text, packet)
    preamble = bytes(release.buffer[:PREAMBLE_BYTES]).rstrip(b"\0")
    yield Vector("The release file's preamble", f"Zero-padded to {PREAMBLE_BYTES} bytes in the file.", preamble)
    yield from _bulletins(release)
    yield from _gate_and_report(release)
    yield from _sections(release)
    yield from _state_records(release)


def _release() -> Release:
    with tempfile.TemporaryDirectory() as folder:
        image, packed = Path(folder) / "image", Path(folder) / "release"
        image.write_bytes(IMAGE)
        pack(image, packed, Ed25519PrivateKey.from_private_bytes(KEY_SEED), REQUEST)
        return Release.parse(memoryview(packed.read_bytes()))


def _packets(release: Release) -> Iterator[Vector]:
    for number, what in ((0, "first source symbol"), (release.image_packets - 1, "last repair symbol")):
        packet = bytes(release.packet_bytes(number, 1))
        sbn, esi = split_payload_id(int.from_bytes(packet[24:28], "big"), FecId.RAPTORQ)
        text = f"SBN {sbn}, ESI {esi}: the {what} in transmit order."
        yield Vector(f"A data packet of the image, {what}", text, packet)


def _digests(release: Release) -> Iterator[Vector]:
    image = release.layout.objects[0]
    block = IMAGE.ljust(image.source_symbols * image.symbol_size, b"\0")
    digest = symbol_digest(0, 0, 0, block[: image.symbol_size])
    text = f"The first {SYMBOL_DIGEST_BYTES} bytes of SHA-256(level 0, SBN 0, ESI 0, symbol)."
    yield Vector("The digest of symbol 0", text, digest)
    yield Vector(
        "The digest of block 0", "BLAKE3 of its padded bytes; level 1 begins with it.", BlockHash(block).digest()
    )


def _bulletins(release: Release) -> Iterator[Vector]:
    key = Ed25519PrivateKey.from_private_bytes(BULLETIN_KEY_SEED)
    stage = Stage(release.header.release_id, threshold_of(0.25), b"saltsalt", is_halted=True, why="it hangs")
    raw = Bulletin(3, 1_750_000_123_456, (stage,)).sign(key)
    text = "Epoch 3, signed by the bulletin key: the release is for a quarter of the boxes, and halted."
    yield Vector("A bulletin", text, raw)
    yield Vector("A bulletin's packet", "The bulletin as an object of one symbol.", bulletin_packet(release.tsi, raw))


def _sections(release: Release) -> Iterator[Vector]:
    """Yield what is ours in an update service; the image itself is cut as any maker's."""
    header = release.header
    main, sidecar = group_id_of(header.release_id), group_id_of(header.release_id, is_sidecar=True)
    device = Device(CompatibilityKind.HARDWARE, header.hardware.oui, header.hardware.model, header.hardware.version)
    section = dsi(DSI_TRANSACTION, Group(main, header.image_size, (device,), header.raw))
    text = f"The group {main:#010x} follows from the release's id; its private data are the signed header."
    yield Vector("The DSI of an update service", text, section)
    text = f"Module {HEADER_MODULE} of the sidecar {sidecar:#010x}, module version 9, block 0 of 1."
    yield Vector("The sidecar's block with the header", text, ddb(sidecar, HEADER_MODULE, 9, 0, 1, header.raw))
    packets = cut_section(section, SSU_PID)
    text = f"PID {SSU_PID:#x}, continuity counters 0: the DSI above in {len(packets)} packets."
    yield Vector("Transport packets", text, packets.tobytes())


def _gate_and_report(release: Release) -> Iterator[Vector]:
    values = [hashlib.sha256(b"secret").digest()]
    for _ in range(LEAST_TICKS):
        values.append(hashed(values[-1], 1))
    chain = chain_id_of(values[-1])
    gate = GateView(GateState.TICKING, chain, LEAST_TICKS, 2, values[-3])
    raw = Bulletin(4, 1_750_000_124_456, (), gate).sign(Ed25519PrivateKey.from_private_bytes(BULLETIN_KEY_SEED))
    text = f'Epoch 4, at tick 2 of {LEAST_TICKS:,} of the chain that ends in SHA-256("secret").'
    yield Vector("A bulletin with a gate", text, raw)
    yield Vector("A tick", "Tick 3 of that chain.", Tick(chain, 3, values[-4]).build())
    report = Report(ReportKind.STARTING, release.header.release_id, "serial-1").build(box_key(bytes(32), "serial-1"))
    yield Vector("A report", "Of box serial-1, which starts; the head-end's secret is 32 zeros.", report)


def _state_records(release: Release) -> Iterator[Vector]:
    digest = release.header.image_sha256[:8]
    trial = on_trial(staged(writing(StateRecord(seq=7), 0, digest, REQUEST.security_counter), 0), 0)
    yield Vector("A state record, slot A on trial", "seq 7, three tries left.", trial.build())
    yield Vector("A state record, slot A confirmed", "The floor is the image's counter.", confirmed(trial, 0).build())


def page() -> str:
    """Return the page with all vectors."""
    parts = [INTRODUCTION]
    for title, text, content in vectors():
        lines = [content[at : at + BYTES_A_LINE].hex() for at in range(0, len(content), BYTES_A_LINE)]
        parts.append(f"## {title}\n\n{text} {len(content)} bytes:\n\n```\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
