"""What an image must read back as, in pieces of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.release.blocks import ObjectGeometry
from carousel.release.digests import BlockHash
from settop.stitch.proof import ImageProof
from tests.conftest import noise

SIZE = 10_007
GEOMETRY = ObjectGeometry(SIZE, 64, 3, 0)
IMAGE = noise(SIZE)


def digests():
    padded, at, found = IMAGE.ljust(GEOMETRY.source_symbols * 64, b"\0"), 0, []
    for symbols in GEOMETRY.block_sizes.tolist():
        found.append(BlockHash(padded[at : at + symbols * 64]).digest())
        at += symbols * 64
    return tuple(found)


PROOF = ImageProof(GEOMETRY, digests())


def pieces(content, size):
    return [content[at : at + size] for at in range(0, len(content), size)]


@given(st.integers(1, SIZE + 5))
def test_the_image_holds_however_it_is_read(size):
    assert PROOF.holds(pieces(IMAGE, size))


@given(st.integers(0, SIZE - 1), st.integers(1, 255))
def test_no_byte_may_differ(at, flipped):
    damaged = bytearray(IMAGE)
    damaged[at] ^= flipped
    assert not PROOF.holds(pieces(bytes(damaged), 4096))


@pytest.mark.parametrize("content", [b"", IMAGE[:-1], IMAGE + b"\0", IMAGE + IMAGE, IMAGE[: SIZE // 2]])
def test_nothing_may_lack_and_nothing_follow(content):
    assert not PROOF.holds(pieces(content, 4096))
