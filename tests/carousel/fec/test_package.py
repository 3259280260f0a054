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
        (7001 * SIZE, []),
        (10 * SIZE, [(0, b"short")]),
        (10 * SIZE, [(1 << 24, bytes(SIZE))]),
        (10 * SIZE, [(-1, bytes(SIZE))]),
    ],
)
def test_what_would_make_the_package_panic_is_refused_before(block_bytes, pairs):
    with pytest.raises(ValueError, match=r"block|symbol"):
        fec.decode_block(block_bytes, SIZE, pairs)


def test_a_flipped_bit_decodes_to_wrong_bytes():
    """Why digests are checked after decoding: the decoder can't tell."""
    block = noise(20 * SIZE)
    repair = fec.encode_repair(block, SIZE, 20)
    pairs = [(20 + esi, repair[esi * SIZE : (esi + 1) * SIZE]) for esi in range(20)]
    pairs[3] = (pairs[3][0], bytes([pairs[3][1][0] ^ 1]) + pairs[3][1][1:])
    assert fec.decode_block(len(block), SIZE, pairs) not in (None, block)


def test_the_largest_block_is_one_sub_block():
    """Above about 7400 symbols the package would split symbols; up to our limit it must not."""
    block = noise(7000 * 8)
    pairs = [(esi, block[esi * 8 : esi * 8 + 8]) for esi in range(7000)]
    assert fec.encode_repair(block, 8, 0) == b""
    assert fec.decode_block(len(block), 8, pairs) == block
