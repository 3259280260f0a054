import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel import fec
from tests.conftest import noise

SIZE = 64


@given(st.integers(1, 60), st.data())
@settings(max_examples=60)
def test_any_k_plus_two_symbols_give_the_block(symbols, data):
    block = noise(symbols * SIZE)
    repair = fec.encode_repair(block, SIZE, symbols + 2)
    everything = block + repair
    chosen = data.draw(st.permutations(range(2 * symbols + 2)))[: symbols + 2]
    pairs = [(esi, everything[esi * SIZE : (esi + 1) * SIZE]) for esi in chosen]
    assert fec.decode_block(len(block), SIZE, pairs) == block


def test_too_few_symbols_give_nothing():
    block = noise(10 * SIZE)
    pairs = [(esi, block[esi * SIZE : (esi + 1) * SIZE]) for esi in range(9)]
    assert fec.decode_block(len(block), SIZE, pairs) is None


@pytest.mark.parametrize(
    ("block_bytes", "pairs"),
    [
        (0, []),
        (SIZE + 1, []),
        (10 * SIZE, [(0, b"short")]),
        (10 * SIZE, [(1 << 24, bytes(SIZE))]),
        (10 * SIZE, [(-1, bytes(SIZE))]),
    ],
)
def test_what_fits_no_block_is_refused(block_bytes, pairs):
    with pytest.raises(ValueError, match=r"block|symbol"):
        fec.decode_block(block_bytes, SIZE, pairs)
