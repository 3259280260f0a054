"""What a reception holds open: part files whose tiles are under way in a worker when they are given up."""

import time

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carousel.console.endpoint import Endpoint
from settop import session as module
from settop.report import JsonReporter
from settop.session import ReceiveOptions
from settop.store import tiles
from settop.store.folder import BoxFolder
from settop.work.workers import WorkerPool
from tests.conftest import HARDWARE, KEY


@pytest.fixture
def session(tmp_path, make_release, release_file, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_BYTES", 4096)
    (tmp_path / "lab.pub").write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    eeprom = release_file(make_release(2_000, version="0.1.0"), "eeprom.release")
    box = BoxFolder.init(tmp_path / "box", HARDWARE, [tmp_path / "lab.pub"], eeprom)
    options = ReceiveOptions(Endpoint.parse("239.255.77.1:5077"), "lo")
    opened = module._Session(box, options, JsonReporter(), time.monotonic)
    opened._workers = WorkerPool(1, opened._paths.__getitem__, opened._finish_tile)
    yield opened
    opened._close_parts()
    opened._workers.close()


def test_a_release_that_is_given_up_while_its_tiles_are_under_way(session, make_release):
    """Its file holds all that came, its memory is free again, and the next release has a part file of its own."""
    first, second = (make_release(60_000, version=version, symbol_size=512) for version in ("1.0.0", "2.0.0"))
    part = session._allocate(first.header, first.layout)
    image = first.layout.objects[0]
    rows = np.arange(image.source_symbols)
    symbols = first.source_symbols(0, image.source_symbols).view("V512")[:, 0]
    part.write_image(*image.symbols_of(rows), symbols)
    assert part._tiles.under_way
    session._allocate(second.header, second.layout)
    assert list(session._parts) == [second.header.release_id]
    assert part.path.read_bytes()[: symbols.nbytes] == symbols.tobytes()
