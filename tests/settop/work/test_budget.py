"""A bound on memory is kept by fewer threads first, then by taking on fewer releases."""

import pytest

from carousel.release.blocks import ObjectGeometry
from carousel.release.layout import ReleaseLayout
from settop.work.budget import LEAST_BYTES, MemoryBudget

MIB = 1 << 20


def layout_of(size_bytes, symbols_a_block=2500):
    symbols = -(-size_bytes // 1440)
    return ReleaseLayout.of_image(ObjectGeometry(size_bytes, 1440, -(-symbols // symbols_a_block), symbols_a_block))


def test_without_a_limit_everything_goes():
    budget = MemoryBudget(None)
    assert budget.threads(16) == 16
    assert budget.allows([layout_of(2_000_000_000, 6000)] * 3, 16)


@pytest.mark.parametrize(("limit", "threads"), [(48, 2), (96, 6), (32, 1), (1, 1)])
def test_a_small_board_has_fewer_threads(limit, threads):
    assert MemoryBudget(limit * MIB).threads(16) == threads


def test_a_gibibyte_fits_a_small_board():
    layout = layout_of(1 << 30, 2980)
    assert MemoryBudget(48 * MIB).allows([layout], 2)
    assert MemoryBudget(96 * MIB).allows([layout], 4)
    assert not MemoryBudget(32 * MIB).allows([layout], 1)


def test_what_is_needed_grows_with_everything():
    budget, small, large = MemoryBudget(None), layout_of(10_000_000), layout_of(100_000_000)
    assert budget.needed_bytes([small], 1) < budget.needed_bytes([large], 1)
    assert budget.needed_bytes([small], 1) < budget.needed_bytes([small], 2)
    assert budget.needed_bytes([small], 1) < budget.needed_bytes([small, small], 1)


def test_with_less_than_the_least_nothing_is_received():
    smallest = layout_of(1)
    assert not MemoryBudget(LEAST_BYTES).allows([smallest], 1)
    assert MemoryBudget(LEAST_BYTES + MIB).allows([smallest], 1)
