import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import OperatorError
from headend.cast.shares import HALF_LIFE_S, Demand, Turns, shares

RATE_BPS = 8e6
"""A million bytes a second."""
OLD = -math.inf


def mean_wait_s(popularities, lengths_bytes, parts):
    total = sum(popularities)
    lots = zip(popularities, lengths_bytes, parts, strict=True)
    return sum(popularity / total * length * 8 / (part * RATE_BPS) for popularity, length, part in lots)


def test_the_designs_case_waits_5_20_times_as_long_as_a_lone_release():
    """Popularity and length (1/2, 1), (3/8, 2), (1/8, 4): 5.20 against 7.0 by length."""
    popularities, lengths = [1 / 2, 3 / 8, 1 / 8], [1_000_000, 2_000_000, 4_000_000]
    ours = shares([Demand(weight, aired_s=OLD) for weight in popularities], lengths, RATE_BPS, 0.0)
    assert mean_wait_s(popularities, lengths, ours) == pytest.approx(5.20, abs=0.005)
    by_length = [length / sum(lengths) for length in lengths]
    assert mean_wait_s(popularities, lengths, by_length) == pytest.approx(7.0)


demands = st.builds(
    Demand, weight=st.floats(0.01, 100), deadline_s=st.none() | st.floats(30, 3000), aired_s=st.just(OLD)
)
offers = st.lists(st.tuples(demands, st.integers(10_000, 3_000_000)), min_size=1, max_size=8)


@given(offers)
def test_shares_sum_to_one_and_keep_every_deadline(offer):
    wants, lengths = zip(*offer, strict=True)
    floors = [length * 8 / RATE_BPS / want.deadline_s if want.deadline_s else 0 for want, length in offer]
    if sum(floors) > 1:
        with pytest.raises(OperatorError, match="deadlines"):
            shares(wants, lengths, RATE_BPS, 0.0)
        return
    got = shares(wants, lengths, RATE_BPS, 0.0)
    assert sum(got) == pytest.approx(1)
    assert all(part >= floor * (1 - 1e-9) for part, floor in zip(got, floors, strict=True))


@given(offers, st.integers(0, 7), st.integers(0, 7), st.floats(0.01, 0.2))
def test_no_other_shares_wait_less(offer, gives, takes, part):
    """Without deadlines the rule is the optimum: moving some of one's share to another never helps."""
    wants = [Demand(want.weight, aired_s=OLD) for want, _ in offer]
    lengths = [length for _, length in offer]
    best = shares(wants, lengths, RATE_BPS, 0.0)
    gives, takes = gives % len(offer), takes % len(offer)
    other = list(best)
    moved = best[gives] * part
    other[gives] -= moved
    other[takes] += moved
    weights = [want.weight for want in wants]
    assert mean_wait_s(weights, lengths, best) <= mean_wait_s(weights, lengths, other) * (1 + 1e-9)


def test_a_new_release_is_hot_and_cools_down():
    fresh, old = Demand(aired_s=0.0), Demand(aired_s=OLD)
    parts = [shares([fresh, old], [1000, 1000], RATE_BPS, now)[0] for now in (0, HALF_LIFE_S, 100 * HALF_LIFE_S)]
    assert parts == pytest.approx([2 / 3, math.sqrt(2.5) / (1 + math.sqrt(2.5)), 1 / 2])


def test_what_is_no_demand_is_refused():
    for wrong in ({"weight": 0}, {"weight": math.inf}, {"deadline_s": 0.0}, {"deadline_s": -1.0}):
        with pytest.raises(ValueError, match="impossible"):
            Demand(**wrong)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.02, 1), min_size=1),
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.02, 1), min_size=1),
    st.integers(1000, 60_000),
)
def test_nobody_lags_by_more_than_a_round_of_bursts_and_changes_starve_nobody(before, after, burst_bytes):
    turns, rounds = Turns(), 400
    for wanted in (before, after):
        whole = sum(wanted.values())
        parts = {name: part / whole for name, part in wanted.items()}
        turns.set_shares(parts)
        got = dict.fromkeys(parts, 0)
        for number in range(1, rounds + 1):
            name = turns.next()
            turns.sent(name, burst_bytes)
            got[name] += burst_bytes
            for each, part in parts.items():
                behind = part * number * burst_bytes - got[each]
                most = (1 + len(parts)) * burst_bytes * (1 + 1e-6)
                assert behind <= most, f"{each} lags by {behind / burst_bytes:.2f} bursts"
