"""Boards and images for the stub's tests; the model itself is bench/virtual/stubboard.py."""

import hashlib
from functools import cache

from bench.virtual import stubboard
from bench.virtual.stubboard import POWER_WENT, STUB, Cut, Geometry, build, library
from carousel.release.header import ReleaseHeader
from carousel.release.identity import Version
from tests.conftest import HARDWARE, KEY, noise

__all__ = ["POWER_WENT", "STUB", "Board", "Cut", "Geometry", "build", "header_of", "image_of", "library"]


class Board(stubboard.Board):
    def __init__(self, geometry, hardware=HARDWARE, public_key=bytes(32), path=None):
        super().__init__(geometry, hardware, public_key, path)


def image_of(version, size=700):
    return noise(size, version)


@cache
def header_of(version, counter=0, hardware=HARDWARE, key=KEY, size=700):
    image = image_of(version, size)
    digest = hashlib.sha256(image).digest()
    plain = ReleaseHeader(
        hardware, counter, Version.parse(version), 0, len(image), 256, 1, 3, digest, bytes(32), f"v{version}"
    )
    return plain.sign(key)
