"""The image in a release, without a carousel."""

import pytest

from carousel.errors import OperatorError
from settop.store.factory import image_of_release, open_factory
from tests.conftest import noise


@pytest.mark.parametrize("size", [1, 256 * 1024, 256 * 1024 + 1, 600_001])
def test_a_release_gives_its_image_piece_by_piece(make_release, size):
    release = make_release(size, symbol_size=256, repair_ratio=0.0)
    pieces = list(image_of_release(release))
    assert b"".join(pieces) == noise(size)
    assert len(pieces) == -(-size // (256 * 1024))


def test_a_release_file_gives_header_and_image(make_release, release_file):
    release = make_release(2_000, version="0.1.0")
    with open_factory(release_file(release, "eeprom.release")) as (header, image):
        assert header == release.header
        assert b"".join(image) == noise(2_000)


def test_an_image_with_its_header_beside_it_is_as_good(make_release, tmp_path):
    release = make_release(2_000, version="0.1.0")
    (tmp_path / "eeprom.image").write_bytes(noise(2_000))
    (tmp_path / "eeprom.header").write_bytes(release.header.raw)
    with open_factory(tmp_path / "eeprom.image") as (header, image):
        assert header == release.header
        assert b"".join(image) == noise(2_000)
    (tmp_path / "eeprom.header").write_bytes(release.header.raw[:-1])
    with (
        pytest.raises(OperatorError, match=r"eeprom\.header is no signed header"),
        open_factory(tmp_path / "eeprom.image"),
    ):
        pass
