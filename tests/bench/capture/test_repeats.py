import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capture.repeats import Repeats

SYMBOLS = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 500)), min_size=1, max_size=20, unique=True))


def take(repeats, symbols, now_s, room=1 << 20):
    sbn, esi = np.array(symbols, dtype=np.int64).T
    repeats.take(sbn, esi, now_s, room)


@pytest.mark.slow
@given(SYMBOLS)
def test_it_says_what_a_plain_table_says(batches):
    repeats, last, gaps, packets = Repeats(), {}, [], 0
    for now_s, batch in enumerate(batches):
        take(repeats, batch, float(now_s))
        for symbol in batch:
            if symbol in last:
                gaps.append((now_s - last[symbol][0], packets - last[symbol][1]))
            last[symbol] = now_s, packets
            packets += 1
    assert (repeats.packets, repeats.distinct, repeats.unfollowed) == (packets, len(last), 0)
    if gaps:
        assert repeats.cycle == (
            pytest.approx(np.median([gap[0] for gap in gaps])),
            int(np.median([g[1] for g in gaps])),
        )
    else:
        assert repeats.cycle is None


def test_numbers_off_the_air_do_not_make_it_grow_without_end():
    repeats = Repeats()
    take(repeats, [(0, 1), (0, 2)], 0.0)
    take(repeats, [(200, (1 << 24) - 1), (0, 2)], 1.0)
    assert repeats.size == 64
    assert (repeats.packets, repeats.distinct, repeats.unfollowed) == (4, 2, 1)
    assert repeats.cycle == (1.0, 2)
