from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.link.rfc3357 import LONGEST, LossPatterns


def brute(lost):
    places = np.flatnonzero(lost).tolist()
    distances, periods = {}, {}
    for before, after in pairwise(places):
        key = str(min(after - before, LONGEST))
        distances[key] = distances.get(key, 0) + 1
    run = 0
    for flag in [*lost, False]:
        if flag:
            run += 1
        elif run:
            key = str(min(run, LONGEST))
            periods[key] = periods.get(key, 0) + 1
            run = 0
    return {"loss_distance": distances, "loss_period": periods}


@given(
    st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=300), st.lists(st.integers(1, 40))
)
def test_histograms_are_those_counted_one_by_one(verdicts, cuts):
    lost = np.array(verdicts)
    patterns, at = LossPatterns(2), 0
    for cut in [*cuts, len(lost)]:
        if at < len(lost):
            patterns.see(lost[at : at + cut])
        at += cut
    for link in (0, 1):
        found, expected = patterns.report(link), brute(lost[:, link].tolist())
        assert {name: dict(sorted(counts.items())) for name, counts in found.items()} == {
            name: dict(sorted(counts.items())) for name, counts in expected.items()
        }


def test_the_example_of_the_rfc():
    """RFC 3357 section 5: packets 1..10, lost are 3, 6, 7, 9."""
    lost = np.zeros((10, 1), dtype=bool)
    lost[[2, 5, 6, 8]] = True
    patterns = LossPatterns(1)
    patterns.see(lost)
    assert patterns.report(0) == {"loss_distance": {"1": 1, "2": 1, "3": 1}, "loss_period": {"1": 2, "2": 1}}


def test_long_runs_share_the_last_bin():
    patterns = LossPatterns(1)
    patterns.see(np.ones((1000, 1), dtype=bool))
    assert patterns.report(0)["loss_period"] == {str(LONGEST): 1}
