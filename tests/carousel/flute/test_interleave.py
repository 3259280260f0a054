import numpy as np
import pytest
from hypothesis import given

from carousel.flute.interleave import transmit_places
from carousel.release.blocks import ObjectGeometry
from tests.carousel.release.test_blocks import geometries


def order_of(geometry: ObjectGeometry) -> tuple[np.ndarray, np.ndarray]:
    """The (SBN, ESI) of each place in turn."""
    sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
    order = np.argsort(transmit_places(geometry, sbn, esi))
    return sbn[order], esi[order]


@given(geometries)
def test_every_symbol_has_a_place_of_its_own(geometry):
    sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
    places = transmit_places(geometry, sbn, esi)
    assert sorted(places.tolist()) == list(range(geometry.rows))
    assert (places[: geometry.source_symbols] < geometry.source_symbols).all()


@given(geometries)
def test_neighbours_are_of_different_blocks(geometry):
    sbn, _ = order_of(geometry)
    for begin, end in ((0, geometry.source_symbols), (geometry.source_symbols, geometry.rows)):
        phase = sbn[begin:end]
        rounds = len(phase) // geometry.blocks
        full = phase[: rounds * geometry.blocks].reshape(rounds, geometry.blocks)
        assert all(len(set(row)) == geometry.blocks for row in full.tolist())


@pytest.mark.parametrize("period", [2, 3, 4, 8, 16, 44, 64])
@pytest.mark.parametrize("blocks", [4, 16, 44])
def test_periodic_loss_starves_no_block(period, blocks):
    """Seen in the field: 16 blocks, every 16th packet lost, one block never completed."""
    geometry = ObjectGeometry(blocks * 400 * 8, 8, blocks, 400)
    sbn, _ = order_of(geometry)
    lost = np.bincount(sbn[::period], minlength=blocks) / 800
    assert lost.max() < 2 / period
    if period > 2:
        assert lost.max() < 0.6


def test_the_order_is_part_of_the_format():
    """These places are what release files in the field were written with: they must never change."""
    geometry = ObjectGeometry(29 * 8, 8, 4, 3)
    sbn, esi = geometry.symbols_of(np.arange(geometry.rows))
    places = transmit_places(geometry, sbn, esi).tolist()
    assert places == FROZEN_PLACES


FROZEN_PLACES = [
    3,
    4,
    11,
    12,
    19,
    22,
    25,
    28,
    0,
    5,
    8,
    13,
    16,
    23,
    26,
    1,
    6,
    9,
    14,
    17,
    20,
    27,
    2,
    7,
    10,
    15,
    18,
    21,
    24,
    29,
    36,
    39,
    30,
    33,
    40,
    31,
    34,
    37,
    32,
    35,
    38,
]
