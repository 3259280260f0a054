"""One benchmark a stage; each prints what it did beside the time. Run by `make bench`; in `make test` not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carousel import fec
from carousel.batch import Batch
from carousel.flute.alc import parse_packet, plain_prefix
from carousel.flute.interleave import transmit_places
from carousel.flute.toi import toi_base
from carousel.release.blocks import FecId, ObjectGeometry
from carousel.release.digests import BlockHash
from carousel.release.header import ReleaseHeader
from carousel.release.identity import Hardware, Version
from carousel.release.layout import ReleaseLayout
from carousel.release.trust import TrustRing
from carousel.take import Landing, Piece, Target, Targets, taker
from headend.pack.render import render_block
from settop.store.partfile import PartFile
from settop.wire.flute import FluteWire

Benchmark = Callable[..., Any]
T, K, PACKETS = 1440, 2956, 352
GEOMETRY = ObjectGeometry(200_000_000, T, 47, K)


@pytest.fixture(scope="module")
def symbols() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Give a block of random symbols, shape (K, T)."""
    return np.frombuffer(os.urandom(K * T), dtype=np.uint8).reshape(K, T)


@pytest.fixture(scope="module")
def batch(symbols: np.ndarray[Any, np.dtype[np.uint8]]) -> Batch:
    """Give a batch of plain packets as the socket hands it out under load."""
    packets = render_block(symbols[:PACKETS], 1, 8, 0, FecId.RAPTORQ)
    return Batch(packets.data.cast("B"), packets.shape[1], PACKETS)


def test_render_a_block(benchmark: Benchmark, symbols: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Headers and CRCs of 2956 packets."""
    benchmark(render_block, symbols, 1, 8, 0, FecId.RAPTORQ)


def test_receive_a_wake_up(benchmark: Any, symbols: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """352 packets through the wire, to their places."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    fields = (GEOMETRY.transfer_length, T, GEOMETRY.blocks, K, bytes(32), bytes(32), "stage")
    header = ReleaseHeader(Hardware(1, 1), 0, Version(1, 0, 0), 0, *fields).sign(key)
    layout = ReleaseLayout.of_header(header)
    landings = [Landing(each, np.zeros((each.source_symbols, T), np.uint8)) for each in layout.objects]
    wire, image = FluteWire(1, TrustRing()), landings[0]
    wire.open(header, layout, landings, 0.0)
    packets = render_block(symbols[:PACKETS], 1, toi_base(header.release_id), 0, FecId.RAPTORQ)
    pieces = [Piece(0, packets.shape[1], packets.size)]

    def forget() -> None:
        image.held[:PACKETS] = 0
        image.wanted[0] = image.block_sizes[0]

    (brought,) = benchmark.pedantic(wire.receive, (packets.reshape(-1), pieces, 0.0), setup=forget, rounds=200)
    assert len(brought.rows) == PACKETS


def test_parse_one_packet_on_the_cold_path(benchmark: Benchmark, batch: Batch) -> None:
    """What an odd packet costs."""
    benchmark(parse_packet, batch.packet(0))


def test_transmit_places_of_a_sample(benchmark: Benchmark) -> None:
    """What the loss estimate costs a batch."""
    sbn, esi = np.arange(64) % 47, np.arange(64)
    benchmark(transmit_places, GEOMETRY, sbn, esi)


@pytest.mark.parametrize("name", ["native", "numpy"])
def test_take_a_batch_into_the_part_file(benchmark: Benchmark, tmp_path: Path, batch: Batch, name: str) -> None:
    """352 packets: prefix, bounds, CRC, copy to their rows, marks; pages populated ahead."""
    part = PartFile(tmp_path / "x.part", ReleaseLayout.of_image(GEOMETRY))
    landing = part.landings[0]
    targets = Targets([Target(plain_prefix(1, 8, FecId.RAPTORQ)[0], landing)])
    pieces = [Piece(0, batch.stride, batch.stride * batch.count)]
    take = taker(name).take

    def take_anew() -> int:
        landing.held[:PACKETS] = 0
        landing.wanted[0] = K
        taken = take(targets, batch.buffer, pieces)
        part.make_ready(0, taken.rows[0])
        return taken.taken

    assert benchmark(take_anew) == PACKETS
    part.close()


def test_hash_a_block(benchmark: Benchmark, symbols: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """BLAKE3 of 4.3 MB."""
    block = symbols.tobytes()
    benchmark(lambda: BlockHash(block).digest())


@pytest.mark.parametrize("size", [1000, K])
def test_raptorq_encode(benchmark: Benchmark, symbols: np.ndarray[Any, np.dtype[np.uint8]], size: int) -> None:
    """K repair symbols of one block."""
    benchmark(fec.encode_repair, symbols[:size].tobytes(), T, size)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.5])
def test_raptorq_decode(benchmark: Benchmark, symbols: np.ndarray[Any, np.dtype[np.uint8]], loss: float) -> None:
    """One block of 2956 symbols, part of its source symbols lost."""
    block = symbols.tobytes()
    repair = fec.encode_repair(block, T, K)
    missing = np.flatnonzero(np.random.default_rng(1).random(K) < loss)
    rows = np.arange(len(missing) + 2)
    holed = symbols.copy()
    holed[missing] = 0

    def decode() -> bytearray:
        heard = bytearray(holed)
        assert fec.codec().decode(heard, T, missing, repair, rows, K + rows)
        return heard

    assert benchmark(decode) == block
