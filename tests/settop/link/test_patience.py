"""How long packets may wait for more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settop.link.patience import Patience


def half_way(longest_s=0.02):
    """At a steady pace of 1000 symbols a second, 5 of 10 s are over."""
    patience = Patience(longest_s)
    for second in range(6):
        patience.expect(1000 * second, 10_000, float(second))
    return patience


def test_nothing_waits_where_the_buffer_is_small():
    assert Patience(0.0).gather_s(0.0) == 0.0
    assert half_way(0.0).gather_s(5.0) == 0.0


def test_a_moment_is_waited_while_nobody_knows_the_end():
    patience = Patience(0.02)
    assert patience.gather_s(0.0) == 0.005
    patience.expect(0, 10_000, 1.0)
    patience.expect(0, 10_000, 2.0)
    assert patience.gather_s(2.0) == 0.005


def test_far_from_the_end_it_is_as_patient_as_the_buffer_allows():
    assert half_way().gather_s(5.0) == 0.02


@given(st.floats(5.0, 10.0))
def test_the_nearer_the_end_the_shorter(now):
    wait_s = half_way().gather_s(now)
    assert 0.001 <= wait_s <= max(0.001, (10.0 - now) / 8) + 1e-9


def test_past_the_expected_end_it_hurries():
    assert half_way().gather_s(12.0) == 0.001


def test_another_release_begins_anew():
    patience = half_way()
    patience.expect(10, 90_000, 5.2)
    assert patience.gather_s(5.2) == 0.005


@pytest.mark.parametrize("now", [0.0, 3.0])
def test_a_resumed_image_is_judged_by_its_pace_and_not_by_what_was_there(now):
    patience = Patience(0.02)
    patience.expect(9_000, 10_000, now)
    patience.expect(9_100, 10_000, now + 1.0)
    assert patience.gather_s(now + 1.0) == 0.02
    patience.expect(9_990, 10_000, now + 9.9)
    assert patience.gather_s(now + 9.9) < 0.02
