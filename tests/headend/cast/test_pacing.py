import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.cast.pacing import BURST_S, LeadPacer, Pacer, packets_per_burst


@given(st.floats(1e5, 1e10), st.integers(0, 2**32))
def test_the_rate_holds_whatever_the_scheduler_does(rate_bps, seed):
    """Within 1 % over a second, with wake-ups up to 0.3 ms late."""
    rng = np.random.default_rng(seed)
    burst_bytes = 1468 * packets_per_burst(rate_bps, 1468, 44)
    pacer, now, sent_bytes = Pacer(rate_bps, 0.0), 0.0, 0
    steps = min(2000, max(200, int(rate_bps / 8 / burst_bytes)))
    for _ in range(steps):
        due = pacer.due(now)
        if due > now:
            now = due + rng.uniform(0, 3e-4)
        pacer.sent(burst_bytes, now)
        sent_bytes += burst_bytes
    sent_s = sent_bytes * 8 / rate_bps
    assert now == pytest.approx(sent_s, rel=0.01, abs=1e-3 + burst_bytes * 8 / rate_bps)


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=30), st.floats(1e7, 1e9))
def test_no_burst_beyond_a_millisecond_or_two(stalls, rate_bps):
    """However late the sender wakes, what it sends in any millisecond is bounded: twice the rate, and one burst."""
    burst_bytes = 1468 * packets_per_burst(rate_bps, 1468, 44)
    pacer, now, times = Pacer(rate_bps, 0.0), 0.0, []
    for stall in stalls:
        now += stall
        for _ in range(40):
            now = max(now, pacer.due(now))
            pacer.sent(burst_bytes, now)
            times.append(now)
    array = np.array(times)
    most = max(np.count_nonzero((array >= time) & (array < time + BURST_S)) for time in times)
    allowed_bytes = 3 * rate_bps * BURST_S / 8 + 2 * burst_bytes
    assert most * burst_bytes <= allowed_bytes


@pytest.mark.parametrize(("rate_bps", "packets"), [(1e6, 1), (50e6, 4), (100e6, 9), (1e9, 44)])
def test_a_burst_is_about_a_millisecond(rate_bps, packets):
    assert packets_per_burst(rate_bps, 1468, 44) == packets


def test_a_long_stall_is_forgiven():
    pacer = Pacer(1e6, 0.0)
    pacer.sent(1250, 0.0)
    burst = sum(1 for _ in range(1000) if pacer.due(100.0) <= 100.0 and pacer.sent(1250, 100.0) is None)
    assert burst <= 2


@pytest.mark.slow
@given(st.floats(1e6, 1e10), st.integers(0, 2**32))
def test_a_lead_keeps_the_rate_wakes_up_seldom_and_never_overfills_the_kernel(rate_bps, seed):
    """With wake-ups up to 1 ms late; what the kernel holds is what was handed over but is not due yet."""
    rng, lead_s = np.random.default_rng(seed), 16e-3
    burst_bytes = 1468 * packets_per_burst(rate_bps, 1468, 44, lead_s / 4)
    burst_s = burst_bytes * 8 / rate_bps
    pacer, now, handed_s, wakes = LeadPacer(rate_bps, lead_s, 0.0), 0.0, 0.0, 0
    while handed_s < 1.0:
        due = pacer.due(now)
        if due > now:
            now = due + rng.uniform(0, 1e-3)
            wakes += 1
            continue
        pacer.sent(burst_bytes, now)
        handed_s += burst_s
        assert handed_s - now <= lead_s + burst_s + 1e-9
    assert handed_s - now >= lead_s / 4 - 1e-3 - burst_s
    assert wakes <= 1.0 / (lead_s * 3 / 4 - 1e-3) + 2 or burst_s > lead_s / 4


def test_a_lead_after_a_long_stall_is_not_made_up_for():
    pacer, handed_s = LeadPacer(1e8, 16e-3, 0.0), 0.0
    while pacer.due(5.0) <= 5.0:
        pacer.sent(12500, 5.0)
        handed_s += 1e-3
    assert handed_s <= 2 * 16e-3 + 2e-3
