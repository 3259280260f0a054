"""Impairments in virtual time, against closed forms."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bench.link.impairments import Corrupt, Delay, Duplicate, Outage, RateLimit, Reorder, TraceRate
from bench.link.traffic import Traffic


def rng(seed=1):
    return np.random.default_rng(seed)


def traffic(arrival_s, size=1000, links=1):
    arrival_s = np.asarray(arrival_s, dtype=float)
    return Traffic.arriving(arrival_s, np.full(len(arrival_s), size, dtype=np.int64), links)


def test_a_burst_leaves_at_the_line_rate():
    burst = traffic(np.zeros(50), size=972)
    assert RateLimit(8e6, 1.0, 1).apply(burst).tolist() == [0]
    assert burst.due_s[:, 0] == pytest.approx(np.arange(1, 51) * 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_waiting_is_that_of_an_m_d_1_queue(load):
    """Poisson arrivals, fixed service: mean wait = service * load / (2 (1 - load)) (Pollaczek-Khinchine)."""
    service_s, n = 1e-3, 3_000_000
    arrivals = np.cumsum(rng().exponential(service_s / load, n))
    passing = traffic(arrivals, size=972)
    RateLimit(8e6, 1e9, 1).apply(passing)
    waited = passing.due_s[:, 0] - arrivals - service_s
    assert waited.mean() == pytest.approx(service_s * load / (2 * (1 - load)), rel=0.05)


def test_a_full_queue_drops_and_the_rate_holds():
    """Twice the line's rate: half is dropped, what passes is at the rate, nobody waits longer than the queue."""
    arrivals = np.arange(20_000) * 0.5e-3
    passing = traffic(arrivals, size=972)
    dropped = RateLimit(8e6, 0.05, 1).apply(passing)
    alive = passing.copies[:, 0] > 0
    assert dropped[0] == pytest.approx(10_000, rel=0.01)
    assert alive.sum() / passing.due_s[alive, 0].max() == pytest.approx(1000, rel=0.01)
    assert (passing.due_s[alive, 0] - arrivals[alive]).max() <= 0.05 + 1.001e-3


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(0, 0.02), min_size=1, max_size=60), st.floats(0, 0.01), st.lists(st.integers(1, 20), min_size=1)
)
@example([0.0, 0.015625, 0.0], 0.0011, [3])
def test_the_queue_is_the_same_whole_packet_by_packet_and_in_any_batches(gaps, queue_s, cuts):
    arrivals = np.cumsum(gaps)
    free_s, expected = 0.0, []
    for arrival in arrivals:
        begin = max(arrival, free_s)
        assume(abs(begin - arrival - queue_s) > 1e-9 or begin == arrival)  # rounding decides what is just full
        if begin - arrival > queue_s:
            expected.append(None)
            continue
        free_s = begin + 1e-3
        expected.append(free_s)
    line, found, at = RateLimit(8e6, queue_s, 2), [], 0
    while at < len(arrivals):
        for cut in cuts:
            part = traffic(arrivals[at : at + cut], size=972, links=2)
            if not len(part.arrival_s):
                break
            at += cut
            line.apply(part)
            found += [due if kept else None for due, kept in zip(part.due_s[:, 1], part.copies[:, 1], strict=True)]
    assert [each is None for each in found] == [each is None for each in expected]
    assert [each for each in found if each is not None] == pytest.approx(
        [each for each in expected if each is not None]
    )


def test_delay_and_jitter():
    passing = traffic(np.arange(50_000) * 1e-4)
    Delay(0.02, 0.005, rng()).apply(passing)
    waits = passing.due_s[:, 0] - passing.arrival_s
    assert waits.min() >= 0.015
    assert waits.max() <= 0.025
    assert waits.mean() == pytest.approx(0.02, abs=1e-4)
    assert waits.std() == pytest.approx(0.005 * 2 / np.sqrt(12), rel=0.02)


def test_reordered_packets_skip_the_delay():
    passing = traffic(np.arange(20_000) * 1e-3, links=2)
    Delay(0.02, 0.0, rng()).apply(passing)
    early = Reorder(0.1, 0.02, rng(2)).apply(passing)
    waits = passing.due_s - passing.arrival_s[:, None]
    assert set(np.round(np.unique(waits), 9)) == {0.0, 0.02}
    assert (waits < 0.01).sum(axis=0).tolist() == early.tolist()
    assert early / 20_000 == pytest.approx(0.1, abs=0.01)


def test_duplicates_and_flipped_bits_are_as_many_as_asked_for():
    passing = traffic(np.zeros(50_000), size=100)
    doubled = Duplicate(0.03, rng()).apply(passing)
    assert (passing.copies == 2).sum() == doubled[0]
    assert doubled[0] / 50_000 == pytest.approx(0.03, abs=0.004)
    flipped = Corrupt(0.02, rng(3)).apply(passing)
    bits = passing.corrupt_bit[passing.corrupt_bit >= 0]
    assert len(bits) == flipped[0] == pytest.approx(1000, abs=150)
    assert bits.max() < 800
    assert bits.mean() == pytest.approx(400, abs=40)


def test_what_is_lost_is_not_doubled_or_flipped():
    passing = traffic(np.zeros(1000))
    passing.copies[::2] = 0
    assert Duplicate(1.0, rng()).apply(passing)[0] == 500
    assert Corrupt(1.0, rng()).apply(passing)[0] == 500
    assert (passing.copies[::2] == 0).all()


def test_an_outage_begins_and_ends():
    passing = traffic(np.arange(100) * 0.1)
    down = Outage(((2.0, 1.0), (5.0, 0.5))).apply(passing)
    gone = passing.arrival_s[passing.copies[:, 0] == 0]
    assert down.tolist() == [15]
    assert gone.min() == pytest.approx(2.0)
    assert gone.max() == pytest.approx(5.4)


def test_a_mahimahi_trace_gives_its_opportunities():
    """Two opportunities a millisecond, then a gap of 8 ms: 24 kB in 10 ms... each takes 1500 bytes."""
    line = TraceRate([1, 1, 2, 2, 10], 10.0, 1)
    assert line.rate_bps == pytest.approx(5 * 1500 * 8 / 0.01)
    passing = traffic(np.zeros(7), size=1500)
    line.apply(passing)
    assert passing.due_s[:, 0] == pytest.approx([0.001, 0.001, 0.002, 0.002, 0.010, 0.011, 0.011])


def test_small_packets_share_an_opportunity_and_idle_ones_are_gone():
    line = TraceRate([1, 2, 3, 4], 10.0, 1)
    passing = traffic([0, 0, 0, 0.0025], size=500)
    line.apply(passing)
    assert passing.due_s[:, 0] == pytest.approx([0.001, 0.001, 0.001, 0.003])


def test_a_trace_has_a_queue_too():
    line = TraceRate([10], 0.05, 1)
    passing = traffic(np.zeros(20), size=1500)
    assert line.apply(passing)[0] == 15
    assert (passing.copies[:, 0] > 0).sum() == 5
