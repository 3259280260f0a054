"""Rates by the time of day, and what they come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import OperatorError
from headend.registry.hours import Hours, check_hours, extremes_bps, most_bps, rate_at

TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda each: f"{each[0]:02d}:{each[1]:02d}")


def is_sound(hours):
    try:
        check_hours(hours)
    except OperatorError:
        return False
    return True


HOURS = st.lists(st.builds(Hours, TIMES, TIMES, st.integers(10**6, 10**9).map(float)), max_size=3).filter(is_sound)
PLANS = st.lists(st.tuples(st.integers(10**6, 10**9).map(float), HOURS), min_size=1, max_size=4)


@pytest.mark.slow
@given(plans=PLANS)
def test_the_most_is_what_every_minute_of_the_day_says(plans):
    minutes = [sum(rate_at(plan, 60.0 * minute) for plan in plans) for minute in range(24 * 60)]
    assert most_bps(plans) == max(minutes)
    rates = [rate_at(plans[0], 60.0 * minute) for minute in range(24 * 60)]
    assert extremes_bps(plans[0]) == (min(rates), max(rates))


def test_a_night_goes_past_midnight():
    plan = (5e6, [Hours("22:30", "06:00", 50e6)])
    told = {22.5: 50e6, 22.49: 5e6, 0: 50e6, 5.99: 50e6, 6: 5e6, 12: 5e6}
    assert {hour: rate_at(plan, hour * 3600) for hour in told} == told


def test_who_casts_by_night_leaves_the_day_to_others():
    night = (1e6, [Hours("22:00", "06:00", 80e6)])
    day = (80e6, [Hours("22:00", "06:00", 1e6)])
    assert most_bps([night, day]) == 81e6
    assert most_bps([night, (80e6, [Hours("22:00", "05:59", 1e6)])]) == 160e6, "they meet for one minute"


@pytest.mark.parametrize(
    ("one", "other"),
    [(("01:00", "03:00"), ("02:00", "04:00")), (("22:00", "02:00"), ("01:00", "01:30")), (("05:00", "05:00"), None)],
)
def test_one_rate_at_a_time(one, other):
    hours = [Hours(*each, 1e6) for each in (one, other) if each]
    with pytest.raises(OperatorError, match=r"lies over|is no time of day"):
        check_hours(hours)


def test_they_may_touch():
    check_hours([Hours("01:00", "03:00", 1e6), Hours("03:00", "04:00", 2e6), Hours("04:00", "01:00", 3e6)])
