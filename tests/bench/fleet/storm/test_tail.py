"""A unicast tail: whoever is late has the image from the server or off the air, whichever is first; nobody is lost."""

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model.histogram import Histogram
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Retry, RetryKind, Server
from bench.fleet.storm.tail import run_tail
from carousel.errors import OperatorError
from tests.bench.fleet.fleets import scenario
from tests.bench.fleet.scenario.test_reading import GOOD, parse_scenario

BOXES, BACKOFF = 100_000, Retry(RetryKind.BACKOFF)
AMPLE = Server(
    rate_bps_per_million=1e15, connections_per_million=1e6, requests_per_s_per_million=1e9, request_timeout_s=8.0
)
FLEET = scenario(BOXES, 1_000_000, down="rate=100M", horizon_s=200.0, deadline_s=20.0, server=AMPLE, spread_s=10.0)


def tally_of(late_share, after_all_s=None):
    """All power up at 0; a share has the image at 5 s, the others at `after_all_s`, or never."""
    late = int(BOXES * late_share)
    tally, never = Tally(200.0), late if after_all_s is None else 0
    times_s, counts = np.array([5.0, after_all_s or 5.0]), np.array([BOXES - late, late - never])
    tally.boot["here"] = Histogram.of_counts(times_s, counts, BOXES)
    end_s = after_all_s or np.inf
    for name, at_s, count in (("power", 0.0, BOXES), ("fallback", 20.0, late), ("verified", 5.0, BOXES - late),
                              ("up", 5.0, BOXES - late), ("return", end_s, late - never),
                              ("verified", end_s, late), ("up", end_s, late)):  # fmt: skip
        tally.count(name, np.array([at_s]), np.array([count]))
    return tally


def run(tally, server=AMPLE):
    story = run_tail(replace(FLEET, server=server), 3, BACKOFF, (("c", tally),))
    assert story.tally.boxes == BOXES
    assert (sum(story.phases.values()) == BOXES).all()
    assert all((counts >= 0).all() for counts in story.phases.values())
    for name in ("power", "verified", "up"):
        assert story.tally.events[name].sum() == BOXES
    return story


def test_without_anybody_late_the_tail_is_idle():
    story = run(tally_of(0.0))
    assert "idle" in story.notes[0]
    assert (story.wire_bytes_per_box, story.loads) == (0.0, [])


def test_who_would_never_have_the_image_has_it_from_the_server():
    times = run(tally_of(0.1)).tally.all_boot()
    assert times.unfinished == 0
    assert times.quantile(0.5) == pytest.approx(5.0, rel=0.01)
    assert times.quantile(1.0) == pytest.approx(20.1, abs=0.5)


def test_who_waits_at_a_small_server_has_it_off_the_air_when_that_is_sooner():
    small = replace(AMPLE, rate_bps_per_million=8e9, connections_per_million=10_000)  # 100 s for all that are late
    alone, both = run(tally_of(0.1), small), run(tally_of(0.1, 60.0), small)
    assert (alone.tally.all_boot().quantile(0.97) or np.inf) > 65
    assert both.tally.all_boot().quantile(1.0) == pytest.approx(60.0, abs=1.0)
    assert both.wire_bytes_per_box < 0.7 * alone.wire_bytes_per_box
    assert both.tally.all_boot().quantile(0.92) < 55  # some have it from the server


@pytest.mark.parametrize(("late_share", "after_all_s"), [(0.1, 60.0), (0.3, 100.0), (0.1, 25.0)])
def test_a_tail_makes_nobody_later_than_the_carousel_alone(late_share, after_all_s):
    alone = tally_of(late_share, after_all_s)
    both = run(alone, replace(AMPLE, rate_bps_per_million=8e9, connections_per_million=10_000))
    reached = [np.cumsum(each.all_boot().counts) for each in (both.tally, alone)]
    assert (reached[0] >= reached[1]).all()
    assert both.tally.all_boot().total == BOXES


def test_classes_without_a_way_back_have_the_carousel_alone():
    deaf = replace(FLEET.classes[0], up=replace(FLEET.classes[0].up, loss=1.0))
    story = run_tail(replace(FLEET, classes=(deaf,)), 3, BACKOFF, (("c", tally_of(0.1)),))
    assert story.tally.all_boot().unfinished == BOXES // 10
    assert int(story.phases["up"][STEPS - 1]) == BOXES * 9 // 10


def test_a_tail_needs_its_carousel_and_a_server():
    with pytest.raises(OperatorError, match="list 'carousel' as well"):
        parse_scenario(GOOD.replace('title = "a test"', 'title = "t"\nstrategies = ["carousel-tail"]'), "x")
    with pytest.raises(OperatorError, match=r"'carousel-tail' needs a table \[unicast\]"):
        parse_scenario(GOOD.replace('title = "a test"', 'title = "t"\nstrategies = ["carousel", "carousel-tail"]'), "x")
