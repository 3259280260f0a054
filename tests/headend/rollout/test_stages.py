"""Rules: what they read like, and when a roll-out goes on or halts itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import UsageError
from headend.rollout.stages import Counts, Move, Step, Success, parse_rule, wilson_bounds

RULE = parse_rule("1 % 10 min, 10 % 1 h, 100 %")
NONE_FAILED = Counts(confirmed=400)


def test_a_rule_reads_as_it_is_written():
    assert RULE.steps == (Step(0.01, 600.0), Step(0.1, 3600.0), Step(1.0, 0.0))
    assert parse_rule("1% 10min, 10% 1h, 100%") == RULE
    assert parse_rule(str(RULE)) == RULE


@pytest.mark.parametrize("text", ["", "1", "10 %, 1 %", "1 %, 1 %", "101 %", "1 % soon", "1 % 10 min 3 %"])
def test_what_is_no_rule_is_told(text):
    with pytest.raises(UsageError):
        parse_rule(text)


def test_four_hundred_reports_without_a_failure_say_enough():
    assert wilson_bounds(0, 400)[1] < 0.0075
    assert wilson_bounds(0, 0) == (0.0, 1.0)


@given(st.integers(0, 500), st.integers(0, 500))
def test_bounds_are_around_the_share(failed, good):
    low, high = wilson_bounds(failed, failed + good)
    assert 0 <= low <= high <= 1
    if failed + good:
        assert low - 1e-9 <= failed / (failed + good) <= high + 1e-9


def test_a_stage_goes_on_when_its_time_is_over_and_failures_are_proven_few():
    assert RULE.move(0.01, 1000.0, NONE_FAILED, 1599.0) is None
    assert RULE.move(0.01, 1000.0, NONE_FAILED, 1600.0) == Move(share=0.1)
    assert RULE.move(0.1, 1000.0, NONE_FAILED, 4600.0) == Move(share=1.0)
    assert RULE.move(1.0, 1000.0, NONE_FAILED, 1e9) is None
    assert RULE.move(0.01, 1000.0, Counts(confirmed=20), 1e9) is None, "too few to tell"
    assert RULE.move(0.01, 1000.0, Counts(), 1e9) is None, "nobody says anything"


def test_a_share_that_a_person_chose_lasts_as_long_as_the_stage_it_leads_to():
    assert RULE.move(0.02, 1000.0, NONE_FAILED, 4599.0) is None
    assert RULE.move(0.02, 1000.0, NONE_FAILED, 4600.0) == Move(share=0.1)


def test_failures_that_are_proven_many_halt_it_at_any_time():
    assert RULE.move(0.01, 1000.0, Counts(0, 5), 1001.0) == Move(halt="5 of 5 trials failed")
    assert RULE.move(1.0, 1000.0, Counts(900, 100), 1e9).halt
    assert RULE.move(0.01, 1000.0, Counts(400, 4), 1001.0) is None, "one in a hundred is no proof of two"


def test_time_alone_halts_nothing():
    rule = parse_rule("1 % 10 min, 100 %", Success.TIME)
    assert rule.move(0.01, 0.0, Counts(0, 50), 600.0) == Move(share=1.0)
    assert rule.move(0.01, 0.0, Counts(), 599.0) is None


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1e5))
def test_a_rule_never_goes_back(confirmed, failed, passed_s):
    move = RULE.move(0.1, 0.0, Counts(confirmed, failed), passed_s)
    assert move is None or move.halt or move.share > 0.1
