import hashlib
import os

import pytest
from blake3 import blake3

from carousel.errors import OperatorError
from carousel.flute.releasefile import Release
from carousel.release.blocks import ObjectGeometry
from carousel.release.digests import symbol_digest
from carousel.release.header import ReleaseHeader, SignedHeader
from carousel.release.identity import Version
from headend.pack.packing import PackRequest, pack, plan_image
from settop.store.factory import image_of_release
from tests.conftest import HARDWARE, KEY, noise

REQUEST = PackRequest(HARDWARE, Version(1, 0, 0), created_unix_s=0)


def test_packing_twice_gives_the_same_bytes(tmp_path):
    (tmp_path / "image").write_bytes(noise(50_000))
    for name in ("one", "two"):
        pack(tmp_path / "image", tmp_path / name, KEY, REQUEST)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("size", [1, 511, 512, 513, 100_001])
@pytest.mark.parametrize("repair", [0.0, 0.5, 1.0, 4.0])
def test_the_image_comes_out_as_it_went_in(make_release, size, repair):
    release = make_release(size, symbol_size=512, repair_ratio=repair)
    assert b"".join(image_of_release(release)) == noise(size)
    assert release.header.image_sha256 == hashlib.sha256(noise(size)).digest()
    assert release.header.is_signed_by(KEY.public_key())


def test_digest_levels_hold_what_the_design_says(make_release):
    release = make_release(300_000, symbol_size=512)
    image = release.layout.objects[0]
    level_1 = level_bytes(release, 1)
    source = release.source_symbols(0, image.source_symbols)
    first = source[: int(image.block_sizes[0])].tobytes()
    assert level_1[:32] == blake3(first).digest()
    assert level_1[32 * image.blocks :][:16] == symbol_digest(0, 0, 0, source[0].tobytes())
    top = level_bytes(release, release.layout.top)
    assert hashlib.sha256(top).digest() == release.header.top_sha256


def level_bytes(release: Release, level: int) -> bytes:
    """A level's bytes, gathered from its packets."""
    geometry = release.layout.objects[level]
    toi = (release.toi_base + level).to_bytes(4, "big")
    rows = {}
    for packet in release.packets:
        raw = packet.tobytes()
        sbn, esi = raw[24], int.from_bytes(raw[25:28], "big")
        if raw[12:16] == toi and esi < geometry.block_sizes[sbn]:
            rows[int(geometry.first_rows[sbn]) + esi] = raw[28:]
    return b"".join(rows[row] for row in sorted(rows))[: geometry.transfer_length]


@pytest.mark.parametrize(
    ("size", "fields", "words"),
    [
        (0, {}, "empty"),
        (100, {"symbol_size": 1441}, "multiple of 8"),
        (100, {"symbol_size": 64}, "multiple of 8"),
        (100, {"repair_ratio": 5.0}, "between 0 and 4"),
        (3 * 10**9, {}, "larger than"),
    ],
)
def test_impossible_requests_are_explained(size, fields, words):
    with pytest.raises(OperatorError, match=words):
        plan_image(size, PackRequest(HARDWARE, Version(1, 0, 0), 0, **fields))


def test_two_and_a_half_gigabytes_fit():
    geometry = plan_image(2_500_000_000, REQUEST)
    assert isinstance(geometry, ObjectGeometry)
    assert geometry.largest_block <= 7000


def test_a_folder_that_is_not_there_is_named(tmp_path):
    image, output = tmp_path / "image", tmp_path / "nowhere" / "x.release"
    image.write_bytes(b"x" * 5000)
    with pytest.raises(OperatorError, match=r"nowhere/x\.release: there is no folder .*nowhere to write it to"):
        pack(image, output, KEY, PackRequest("img", HARDWARE, Version(1, 0, 0)))


def test_a_failed_pack_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "image").write_bytes(noise(5000))
    (tmp_path / "out.release").write_bytes(b"the old release")

    def fail(*_: object) -> SignedHeader:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ReleaseHeader, "sign", fail)
    with pytest.raises(OSError, match="No space"):
        pack(tmp_path / "image", tmp_path / "out.release", KEY, REQUEST)
    assert (tmp_path / "out.release").read_bytes() == b"the old release"
    assert sorted(os.listdir(tmp_path)) == ["image", "out.release"]
