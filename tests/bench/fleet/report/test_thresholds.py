import math
from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model.histogram import Histogram
from bench.fleet.model.tally import Tally
from bench.fleet.report.compare import comparison
from bench.fleet.report.svg import Scale, TailScale, time_ticks
from bench.fleet.report.thresholds import broken, parse_threshold, thresholds_of
from bench.fleet.run import FleetRun
from bench.fleet.scenario.values import Login
from bench.fleet.storm.crowd import Story
from carousel.errors import OperatorError, UsageError
from tests.bench.fleet.fleets import scenario


def run(times_s, unfinished=0, label="carousel"):
    tally = Tally(600.0)
    histogram = Histogram.of_times(times_s, unfinished)
    tally.boot["here"] = histogram
    tally.events["fallback"][0] = unfinished
    return FleetRun(scenario(histogram.total), "sampled", [1], [Story(label, 1, tally, {}, [])])


def test_a_broken_threshold_is_said_with_its_figure():
    fleet = run(np.linspace(10, 20, 1000), unfinished=10)
    assert broken(fleet, [parse_threshold("p50 > 10s")])[0].startswith("carousel, seed 1: p50 is 15")
    for words in ("p50 > 20s", "p50 < 10s", "carousel: p90 > 1m", "never > 2%", "in-time < 98%"):
        assert broken(fleet, [parse_threshold(words)]) == []
    for words in ("p50 < 20s", "never > 0.1%", "in-time < 99.5%"):
        assert len(broken(fleet, [parse_threshold(words)])) == 1
    assert "never" in broken(fleet, [parse_threshold("last > 1d")])[0]  # ten boxes never got there


@pytest.mark.parametrize("words", ["p99", "p99 > ", "p101 > 1s", "never > 3", "p0 > 1s", "speed > 3s", "p50 >= 1s"])
def test_what_can_not_be_read_is_refused(words):
    with pytest.raises(OperatorError, match="--fail-if"):
        parse_threshold(words)


def test_a_strategy_that_was_not_run_is_refused():
    with pytest.raises(OperatorError, match="no strategy 'unicast'"):
        broken(run(np.ones(5)), [parse_threshold("unicast: p50 > 1s")])


def test_a_strategy_that_will_not_be_run_is_refused_before_all_is_run():
    fleet = scenario(1000, strategies=("carousel", "unicast"))
    for words in ("p50 > 1s", "carousel: p50 > 1s", "unicast, backoff retry: p50 > 1s"):
        thresholds_of([words], fleet)
    for words in ("p2p: p50 > 1s", "carousel-plain: p50 > 1s", "login: p50 > 1s"):
        with pytest.raises(UsageError, match="there is no strategy"):
            thresholds_of([words], fleet)
    thresholds_of(["login after carousel: p50 > 1s"], replace(fleet, login=Login()))


def test_a_strategy_is_judged_and_none_whose_name_it_begins():
    fleet = run(np.full(1000, 10.0))
    fleet.stories += run(np.full(1000, 90.0), label="carousel-plain").stories
    fleet.stories += run(np.full(1000, 90.0), label="unicast, backoff retry").stories
    for words in ("p50 > 1m", "carousel: p50 > 1m"):
        assert broken(fleet, [parse_threshold(words)]) == []
    for words in ("carousel-plain: p50 > 1m", "unicast: p50 > 1m", "unicast, backoff retry: p50 > 1m"):
        assert len(broken(fleet, [parse_threshold(words)])) == 1


def test_two_runs_are_set_side_by_side():
    def report(p50):
        times = {"never": 0, "boxes": 10, "p50_s": p50, "p99_s": None, "p99.99_s": 3.0, "last_s": 4.0}
        return {"stories": [{"label": "carousel", "in_time": 1.0 if p50 < 3 else 0.995, "time": times}]}

    _, rows = comparison(report(2.0), report(3.0))
    assert rows[0][0] == "carousel"
    assert rows[0][1:3] == ["all → 99.50%", "0"]
    assert "+50.0%" in rows[0][3]
    assert rows[0][4] == "-"


def test_scales_and_ticks():
    scale = Scale(1.0, 100.0, 0.0, 200.0, True)
    assert scale.at(10.0) == pytest.approx(100.0)
    assert time_ticks(0.0, 10.0, False) == [0, 2, 4, 6, 8, 10]
    assert time_ticks(1.0, 10.0, True) == [1.0, 2.0, 5.0, 10.0]
    assert math.isclose(Scale(0, 10, 0, 100).at(5), 50)


def test_shares_go_straight_to_a_tenth_and_by_tenths_below():
    scale = TailScale(1e-6, 0.0, 200.0)
    assert scale(np.array([1.0, 0.55, 0.1, 1e-6])).tolist() == pytest.approx([0, 50, 100, 200])
    assert scale.at(1e-3) - scale.at(1e-2) == pytest.approx(scale.at(1e-5) - scale.at(1e-4))
    assert scale.at(0.956) > 4  # of a rival that boots 4.4 % one sees that it does
    assert TailScale(0.2, 0.0, 200.0)(np.array([1.0, 0.6, 0.2])).tolist() == pytest.approx([0, 100, 200])
