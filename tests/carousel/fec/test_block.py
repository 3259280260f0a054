import numpy as np
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
    chosen = data.draw(st.permutations(range(2 * symbols + 2)))[: symbols + 2]
    missing = np.array(sorted(set(range(symbols)) - set(chosen)), dtype=np.int64)
    rows = np.array([esi - symbols for esi in chosen if esi >= symbols], dtype=np.int64)
    heard = bytearray(block)
    for esi in missing.tolist():
        heard[esi * SIZE : (esi + 1) * SIZE] = bytes(SIZE)
    assert fec.codec().decode(heard, SIZE, missing, repair, rows, rows + symbols)
    assert heard == block


def test_no_repair_is_nothing():
    assert fec.encode_repair(noise(10 * SIZE), SIZE, 0) == b""
