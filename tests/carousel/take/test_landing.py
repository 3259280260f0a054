import numpy as np
import pytest

from carousel.take import Target, Targets
from tests.carousel.take.test_taker import SIZE, object_of, packet, symbol_of, take_all


@pytest.fixture
def take():
    from carousel.take import taker

    return taker().take


def test_restored_rows_are_held_and_not_wanted():
    landing = object_of().landing
    landing.restore(np.array([0, 1, 8, 8]))
    landing.restore(np.array([1]))
    assert landing.source_held.tolist() == [2, 1, 0]
    assert landing.wanted.tolist() == [7, 8, 8]
    assert landing.missing(0).tolist() == [2, 3, 4, 5, 6]


def test_discarded_symbols_are_wanted_again_and_their_slots_free(take):
    target = object_of(slots=2)
    landing = target.landing
    take_all(take, target, [packet(0, 0), packet(0, 1), packet(0, 7), packet(0, 8)])
    landing.discard(0, np.array([1, 8, 5]))
    assert landing.wanted[0] == 7 + 2 - 2
    assert (landing.source_held[0], landing.repair_held[0]) == (1, 1)
    taken = take_all(take, target, [packet(0, 1), packet(1, 9)])
    assert (taken.taken, taken.no_room) == (2, 0)
    assert landing.repair_symbols(1)[1].tolist() == [9]
    assert landing.block(0)[1].tobytes() == symbol_of(0, 1)


def test_a_target_table_is_judged_when_it_is_made():
    target = object_of()
    with pytest.raises(ValueError, match="same prefix"):
        Targets([target, target])
    with pytest.raises(ValueError, match="targets"):
        Targets([object_of(toi=toi) for toi in range(33)])
    with pytest.raises(ValueError, match="prefix"):
        Target(b"short", target.landing)


@pytest.mark.parametrize("shape", [(19, SIZE), (20, SIZE - 8), (20 * SIZE,)])
def test_rows_that_do_not_fit_the_object_are_refused(shape):
    from carousel.take import Landing

    with pytest.raises(ValueError, match="source"):
        Landing(object_of().landing.geometry, np.zeros(shape, dtype=np.uint8))
