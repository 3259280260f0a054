import crcmod.predefined
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.ssu.crc import are_intact, crc32_mpeg2, crcs_of_rows

ORACLE = crcmod.predefined.mkCrcFun("crc-32-mpeg")


@settings(deadline=None)
@given(st.binary(max_size=5000))
def test_it_is_crc_32_mpeg_2(data):
    assert crc32_mpeg2(data) == ORACLE(data)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_rows_have_the_same_crc_and_are_intact_with_it(length, count, seed):
    rows = np.random.default_rng(seed).integers(0, 256, (count, length), dtype=np.uint8)
    crcs = crcs_of_rows(rows)
    assert [crc.tobytes() for crc in crcs] == [ORACLE(row.tobytes()).to_bytes(4, "big") for row in rows]
    sealed = np.concatenate([rows, crcs], axis=1)
    assert are_intact(sealed).all()
    sealed[0, seed % (length + 4)] ^= 1 << seed % 8
    assert are_intact(sealed).tolist() == [False] + [True] * (count - 1)
