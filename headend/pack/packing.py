"""Turn a boot image into a release file: one pass over the image, FEC and rendering paid once.

The image is read block by block, so memory does not grow with it (but for 32 bytes a symbol of digests); the
packets go to their places in transmit order through a memory map.
"""

import hashlib
import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from carousel import fec
from carousel.console.files import beside
from carousel.errors import OperatorError, UsageError
from carousel.flute.alc import PLAIN_DTYPE, PLAIN_HEADER_BYTES, crc_of_packet, plain_header
from carousel.flute.interleave import transmit_places
from carousel.flute.releasefile import PREAMBLE_BYTES, build_preamble, digest_places
from carousel.flute.toi import RESERVED_BASE, toi_base
from carousel.flute.tsi import DEFAULT_TSI
from carousel.release.blocks import FecId, IntArray, ObjectGeometry
from carousel.release.digests import BlockHash, symbol_digests
from carousel.release.header import ReleaseHeader, SignedHeader
from carousel.release.identity import Hardware, Version
from carousel.release.layout import ReleaseLayout, blocks_of_image
from carousel.release.limits import MAX_BLOCK_SYMBOLS, MAX_BLOCKS, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES
from carousel.ssu.annex import build_annex
from carousel.ssu.crc import crc32_mpeg2
from carousel.ssu.modules import MAX_MODULE_BLOCKS
from headend.pack.render import render_block
from headend.pack.ssuplan import SsuProfile, plan_ssu

__all__ = ["DEFAULT_SYMBOL_BYTES", "PackRequest", "pack", "plan_image"]

DEFAULT_SYMBOL_BYTES = 1440
"""With all headers 1496 bytes: within Ethernet's MTU."""

Packets = NDArray[np.uint8]


@dataclass(frozen=True)
class PackRequest:
    """What `headend pack` is asked for. `repair_ratio` is repair symbols over source symbols, 0 to 4."""

    hardware: Hardware
    version: Version
    created_unix_s: int
    name: str = ""
    security_counter: int = 0
    symbol_size: int = DEFAULT_SYMBOL_BYTES
    repair_ratio: float = 1.0
    tsi: int = DEFAULT_TSI
    ssu_profile: SsuProfile | None = None
    """Pack for DVB-SSU as well: then the image's size says the symbol size."""


@dataclass(frozen=True)
class _Packed:
    """An object as packed: its SHA-256 and MD5, and the digests that the level above will hold.

    `module_crcs` are the CRC-32/MPEG-2 of its modules, unpadded, where the release is for SSU.
    """

    sha256: bytes
    md5: bytes
    module_crcs: list[int]
    block_digests: bytes
    symbol_digests: bytes


def plan_image(image_size: int, request: PackRequest) -> ObjectGeometry:
    """Cut an image of this size into blocks; `OperatorError` where the request can't be met."""
    size = request.symbol_size
    if image_size == 0:
        raise OperatorError("the image is empty; give the file that the box should boot")
    if not 0 <= request.repair_ratio <= 4:
        raise UsageError(f"--repair {request.repair_ratio} is not between 0 and 4 repair symbols a source symbol")
    if request.ssu_profile is not None:
        return plan_ssu(image_size, request.repair_ratio, request.ssu_profile)
    if size % 8 or not MIN_SYMBOL_BYTES <= size <= MAX_SYMBOL_BYTES:
        raise UsageError(f"--symbol-size {size} is not a multiple of 8 from {MIN_SYMBOL_BYTES} to {MAX_SYMBOL_BYTES}")
    symbols = -(-image_size // size)
    try:
        blocks = blocks_of_image(symbols)
    except ValueError:
        limit = MAX_BLOCKS * MAX_BLOCK_SYMBOLS * size
        raise OperatorError(
            f"the image of {image_size} bytes is larger than {limit} bytes, the most that {MAX_BLOCKS} blocks of "
            f"{size}-byte symbols hold; compress it, or take larger symbols where the network's MTU allows"
        ) from None
    repair = math.ceil(-(-symbols // blocks) * request.repair_ratio)
    return ObjectGeometry(image_size, size, blocks, repair)


def pack(
    image: Path,
    output: Path,
    key: Ed25519PrivateKey,
    request: PackRequest,
    on_progress: Callable[[int], None] = lambda image_bytes: None,
) -> SignedHeader:
    """Write `output` whole or not at all (a file beside it, renamed); return the signed header.

    `on_progress` is called with the image bytes done so far.
    """
    with image.open("rb") as source:
        layout = ReleaseLayout.of_image(plan_image(os.fstat(source.fileno()).st_size, request))
        stride = PLAIN_HEADER_BYTES + layout.symbol_size
        unfinished = beside(output)
        try:
            with unfinished.open("w+b") as file:
                os.posix_fallocate(file.fileno(), 0, PREAMBLE_BYTES + stride * layout.rows)
                packets: Packets = np.memmap(file, np.uint8, "r+", PREAMBLE_BYTES, shape=(layout.rows, stride))
                header, packed = _pack_objects(source, packets, layout, key, request, on_progress)
                annex = build_annex(packed[0].module_crcs) if request.ssu_profile is not None else b""
                file.seek(0)
                file.write(build_preamble(header, layout, request.tsi, [each.md5 for each in packed], annex))
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    return header


def _pack_objects(
    image: BinaryIO,
    packets: Packets,
    layout: ReleaseLayout,
    key: Ed25519PrivateKey,
    request: PackRequest,
    on_progress: Callable[[int], None],
) -> tuple[SignedHeader, list[_Packed]]:
    """Render the image and its digest levels, sign the header, and stamp its TOIs on all packets."""
    geometry = layout.objects[0]
    blocks = _with_progress(_read_blocks(image, geometry), on_progress)
    is_for_ssu = request.ssu_profile is not None
    packed = [_pack_object(blocks, packets, layout, 0, request.tsi, is_for_ssu)]
    for level in range(1, layout.top + 1):
        body = (packed[0].block_digests if level == 1 else b"") + packed[-1].symbol_digests
        blocks_of_level = _read_blocks(io.BytesIO(body), layout.objects[level])
        packed.append(_pack_object(blocks_of_level, packets, layout, level, request.tsi))
    unsigned = ReleaseHeader(
        hardware=request.hardware,
        security_counter=request.security_counter,
        version=request.version,
        created_unix_s=request.created_unix_s,
        image_size=geometry.transfer_length,
        symbol_size=geometry.symbol_size,
        source_blocks=geometry.blocks,
        repair_per_block=geometry.repair_per_block,
        image_sha256=packed[0].sha256,
        top_sha256=packed[-1].sha256,
        name=request.name,
    )
    header = _sign(unsigned, key)
    _stamp_tois(packets, request.tsi, toi_base(header.release_id), geometry.fec)
    return header, packed


def _sign(unsigned: ReleaseHeader, key: Ed25519PrivateKey) -> SignedHeader:
    """Sign a header; a second later where its TOIs would fall on those of the FDT and the bulletin."""
    header = unsigned.sign(key)
    while toi_base(header.release_id) == RESERVED_BASE:
        unsigned = unsigned.but(created_unix_s=unsigned.created_unix_s + 1)
        header = unsigned.sign(key)
    return header


def _read_blocks(source: BinaryIO, geometry: ObjectGeometry) -> Iterator[bytes]:
    """Yield an object's blocks, unpadded: the last one may be short."""
    left = geometry.transfer_length
    for size in geometry.block_sizes.tolist():
        wanted = min(size * geometry.symbol_size, left)
        block = source.read(wanted)
        if len(block) != wanted:
            raise OperatorError("the image shrank while it was packed; pack a file that nobody writes to")
        left -= wanted
        yield block


def _with_progress(blocks: Iterator[bytes], on_progress: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        on_progress(done)


def _pack_object(
    blocks: Iterator[bytes], packets: Packets, layout: ReleaseLayout, level: int, tsi: int, has_crcs: bool = False
) -> _Packed:
    """Render one object's packets to their places, with the level as TOI; return its digests."""
    geometry = layout.objects[level]
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    block_digests, digests, crcs = [], [], []
    for sbn, unpadded in enumerate(blocks):
        sha256.update(unpadded)
        md5.update(unpadded)
        if has_crcs:
            module_bytes = MAX_MODULE_BLOCKS * geometry.symbol_size
            crcs += [crc32_mpeg2(unpadded[at : at + module_bytes]) for at in range(0, len(unpadded), module_bytes)]
        block = unpadded.ljust(int(geometry.block_sizes[sbn]) * geometry.symbol_size, b"\0")
        repair = fec.encode_repair(block, geometry.symbol_size, geometry.repair_per_block)
        symbols = np.frombuffer(block + repair, dtype=np.uint8).reshape(-1, geometry.symbol_size)
        block_digests.append(BlockHash(block).digest())
        esis = np.arange(len(symbols))
        digests.append(symbol_digests(level, np.full(len(esis), sbn), esis, symbols).tobytes())
        packets[_packet_numbers(layout, level, sbn, len(symbols))] = render_block(
            symbols, tsi, toi=level, sbn=sbn, fec=layout.objects[0].fec
        )
    return _Packed(sha256.digest(), md5.digest(), crcs, b"".join(block_digests), b"".join(digests))


def _packet_numbers(layout: ReleaseLayout, level: int, sbn: int, symbols: int) -> IntArray:
    """Return the packet numbers, in the release file, of one block's symbols."""
    block, esi = np.full(symbols, sbn), np.arange(symbols)
    if level == 0:
        return transmit_places(layout.objects[0], block, esi)
    return layout.objects[0].rows + digest_places(layout, level, block, esi)


def _stamp_tois(packets: Packets, tsi: int, base: int, fec_id: FecId) -> None:
    """Give all packets their final TOI: the base, which hangs on the header, joined to the level in place.

    The base hangs on every symbol, so it is known last. CRC-32 is affine: setting the same bits in packets of
    one length changes all their CRCs by the same difference, so no symbol is read again.
    """
    body = bytes(packets.shape[1] - PLAIN_HEADER_BYTES)
    blank = crc_of_packet(plain_header(tsi, 0, fec_id) + body)
    difference = crc_of_packet(plain_header(tsi, base, fec_id) + body) ^ blank
    headers = packets[:, :PLAIN_HEADER_BYTES].view(PLAIN_DTYPE)[:, 0]
    headers["toi"] |= base
    headers["crc"] ^= difference
