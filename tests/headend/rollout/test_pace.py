"""The pace of a gate against fleets in virtual time: log-ins stay below what the server takes, whoever comes when."""

import math

import numpy as np
import pytest

from headend.rollout.pace import Course, Feed, Pace

TICKS = 1 << 16


def logins(boxes, capacity_per_s, over_s, seed, horizon_s=2500, late_s=0):
    """Log-ins of each second, where boxes come evenly over a while and the feed tells of the one before, or later."""
    rng, pace, tick, waiting, found = np.random.default_rng(seed), Pace(TICKS), 0.0, 0, []
    for second in range(horizon_s):
        came = (boxes // over_s if second < over_s else 0) if over_s else (boxes if not second else 0)
        begin = int(tick)
        tick = min(TICKS - 1.0, tick + pace.ticks_per_s)
        at_once = int(rng.binomial(came, begin / TICKS))
        waiting += came - at_once
        left, passed = TICKS - 1 - begin, int(tick) - begin
        admitted = int(rng.binomial(waiting, passed / left)) if passed else 0
        waiting -= admitted
        found.append(at_once + admitted)
        if waiting == 0 and second > over_s:
            break
        told = Feed(found[-2 - late_s] if len(found) > 1 + late_s else 0, capacity_per_s)
        if pace.feed(told, tick, float(second)) is not Course.TICK:
            break
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("boxes", "capacity_per_s", "over_s"),
    [(220_000_000, 132_000, 0), (220_000_000, 132_000, 600), (220_000_000, 132_000, 3600), (100_000, 100, 0)],
)
def test_log_ins_stay_within_the_capacity(boxes, capacity_per_s, over_s, seed):
    found = np.array(logins(boxes, capacity_per_s, over_s, seed)[10:])
    assert (found > 1.1 * capacity_per_s).mean() <= 1e-3


@pytest.mark.parametrize("over_s", [0, 30, 900])
def test_so_they_do_where_the_feed_is_two_seconds_older(over_s):
    found = np.concatenate([logins(1_000_000, 600, over_s, seed, late_s=2)[10:] for seed in range(5)])
    assert (found > 1.1 * 600).mean() <= 1e-3


def test_it_is_not_slower_than_it_has_to_be():
    found = logins(220_000_000, 132_000, 0, 0)
    assert sum(found) > 0.99 * 220_000_000
    assert len(found) < 1.25 * 220_000_000 / 132_000


def test_it_aims_below_a_small_capacity_by_more():
    assert Pace.aim_per_s(1e6) == pytest.approx(0.9e6)
    aim = Pace.aim_per_s(100)
    assert aim + 3 * math.sqrt(aim) < 110
    assert Pace.aim_per_s(4) > 0


def test_where_nobody_is_a_chain_is_not_run_through_in_a_moment():
    pace, tick = Pace(TICKS), 0.0
    for second in range(90):
        tick += pace.ticks_per_s
        pace.feed(Feed(0, 100), tick, float(second))
    assert tick < TICKS - 1


def test_without_a_feed_it_comes_to_rest():
    pace = Pace(TICKS, 64.0)
    pace.feed(Feed(1, 100), 0.0, 0.0)
    for second in range(1, 40):
        assert pace.feed(None, 0.0, float(second)) is Course.TICK
    assert pace.ticks_per_s < 0.01


def test_a_sick_server_holds_the_gate():
    pace = Pace(TICKS, 64.0)
    assert pace.feed(Feed(50, 100, is_healthy=False), 10.0, 0.0) is Course.HOLD
    assert pace.ticks_per_s == 32
    assert pace.feed(Feed(0, 100), 10.0, 1.0) is Course.TICK


def test_at_its_end_a_chain_is_drawn_anew_or_the_gate_opens():
    pace = Pace(TICKS, 64.0)
    assert pace.feed(Feed(150, 100), TICKS - 1, 0.0) is Course.REDRAW
    assert pace.feed(Feed(5, 100), TICKS - 1, 1.0) is Course.TICK
    assert pace.feed(Feed(5, 100), TICKS - 1, 31.0) is Course.OPEN


def test_an_overload_is_answered_in_proportion_and_at_once():
    pace = Pace(TICKS, 64.0)
    pace.feed(Feed(400, 100), 0.0, 0.0)
    assert pace.ticks_per_s == pytest.approx(64 * Pace.aim_per_s(100) / 400)
