"""What a transport stream costs a head-end and a box, burst by burst and wake-up by wake-up."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from carousel.ssu.crc import crcs_of_rows
from carousel.take import Landing, Piece
from headend.cast.ssu import SsuFormat, SsuSettings
from headend.pack.packing import PackRequest, pack
from headend.pack.ssuplan import SsuProfile
from settop.wire.ssu import SsuWire

Benchmark = Callable[..., Any]
ROWS = 19
"""A burst of 1 ms at 200 Mb/s."""
WAKE_UP_ROWS = 352


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Give a release of 1 MB."""
    folder = tmp_path_factory.mktemp("ssu")
    (folder / "image").write_bytes(os.urandom(1_000_000))
    request = PackRequest(Hardware(1, 1, 1), Version(1, 0, 0), 0, ssu_profile=SsuProfile.STANDARD)
    pack(folder / "image", folder / "release", Ed25519PrivateKey.from_private_bytes(bytes(32)), request)
    return Release.parse(memoryview((folder / "release").read_bytes()))


def stream_of(release: Release) -> SsuFormat:
    """Return a stream of one release, its tables sent."""
    stream = SsuFormat(SsuSettings(200e6))
    stream.replace([release], 0.0)
    stream.announcements(0.0)
    return stream


def test_crc_32_mpeg_of_a_burst(benchmark: Benchmark) -> None:
    """19 sections."""
    benchmark(crcs_of_rows, np.frombuffer(os.urandom(ROWS * 1282), dtype=np.uint8).reshape(ROWS, -1))


def test_render_a_burst(benchmark: Benchmark, release: Release) -> None:
    """19 rows of a release file as 133 transport packets: 1 ms at 200 Mb/s."""
    stream = stream_of(release)
    benchmark(stream.render, release, 0, ROWS)


def test_receive_a_wake_up(benchmark: Any, release: Release) -> None:
    """352 datagrams through the wire, to their places."""
    wire = SsuWire(TrustRing(), frozenset([1]))
    layout = release.layout
    landings = [Landing(each, np.zeros((each.source_symbols, each.symbol_size), np.uint8)) for each in layout.objects]
    wire.open(release.header, layout, landings, 0.0)
    image, before = landings[0], landings[0].wanted.copy()
    stream = stream_of(release)
    datagrams = b"".join(bytes(batch.buffer) for batch in stream.render(release, 0, WAKE_UP_ROWS)[:1])
    pieces = [Piece(0, 1316, len(datagrams))]

    def forget() -> None:
        image.held[:] = 0
        image.wanted[:] = before

    (brought,) = benchmark.pedantic(wire.receive, (datagrams, pieces, 0.0), setup=forget, rounds=100)
    assert len(brought.rows) == WAKE_UP_ROWS
