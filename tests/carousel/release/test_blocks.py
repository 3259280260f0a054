import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.release.blocks import ObjectGeometry, partition


@given(st.integers(1, 10**6), st.integers(1, 255))
def test_partition_follows_rfc_6330(items, parts):
    large, small, large_count, small_count = partition(items, parts)
    assert large * large_count + small * small_count == items
    assert large_count + small_count == parts
    assert large - small in (0, 1)
    assert large_count >= 0
    assert (large_count == 0) == (large == small)


def test_partition_example():
    """RFC 6330 4.4.1.2: 10 symbols in 4 blocks are 3, 3, 2, 2."""
    assert partition(10, 4) == (3, 2, 2, 2)


geometries = st.builds(
    lambda symbols, blocks, repair, rest: ObjectGeometry(symbols * 8 - rest, 8, min(blocks, symbols), repair),
    st.integers(1, 400),
    st.integers(1, 40),
    st.integers(0, 20),
    st.integers(0, 7),
)


@given(geometries)
def test_rows_and_symbols_are_one_to_one(geometry):
    rows = np.arange(geometry.rows)
    sbn, esi = geometry.symbols_of(rows)
    assert (geometry.row_of(sbn, esi) == rows).all()
    by_block = np.concatenate([geometry.block_rows(block) for block in range(geometry.blocks)])
    assert sorted(by_block.tolist()) == rows.tolist()


@given(geometries)
def test_source_rows_lie_as_in_the_object(geometry):
    for sbn in range(geometry.blocks):
        size = int(geometry.block_sizes[sbn])
        rows = geometry.block_rows(sbn)[:size]
        first = int(geometry.block_sizes[:sbn].sum())
        assert rows.tolist() == list(range(first, first + size))


def test_the_smallest_object_is_a_byte():
    assert ObjectGeometry(1, 1, 1, 0).rows == 1


@pytest.mark.parametrize("fields", [(0, 8, 1, 0), (8, 0, 1, 0), (8, 8, 2, 0), (8, 8, 1, -1), (8, 8, 0, 0)])
def test_impossible_objects_are_refused(fields):
    with pytest.raises(ValueError, match=r"impossible|blocks"):
        ObjectGeometry(*fields)
