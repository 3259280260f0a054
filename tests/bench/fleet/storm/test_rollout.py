"""Roll-outs: what a bad image costs hangs on how it begins."""

from dataclasses import replace

import pytest

from bench.fleet.scenario.values import Rollout
from bench.fleet.storm.rollout import run_rollout
from tests.bench.fleet.fleets import scenario

BAD = Rollout(failing_share=0.5, recovering_share=0.8, reporting_share=0.01, report_delay_s=900.0)


def lost(stages, rollout=BAD, boxes=1_000_000):
    fleet = scenario(boxes, horizon_s=12 * 3600.0, rollout=rollout)
    story = run_rollout(fleet, 3, stages)
    assert (sum(story.phases.values()) == boxes).all()
    assert story.tally.all_boot().total == boxes
    assert story.tally.events["up"].sum() == boxes
    return int(story.phases["lost"][-1]), int(story.phases["on the new image"][-1])


def test_a_bad_image_costs_what_its_first_stage_lets_it():
    canaries, tenth, all_at_once = (lost(stages)[0] for stages in ((0.01, 1.0), (0.1, 1.0), (1.0,)))
    assert canaries <= 0.01 * 1e6 * 0.5 * 0.2 * 1.1
    assert tenth < 0.1 * 1e6 * 0.5 * 0.2 * 1.1
    # All at once, within an hour: reports come a quarter of an hour late, and by then a quarter has it.
    assert 0.2 < all_at_once / (1e6 * 0.5 * 0.2) < 0.35


def test_a_good_image_reaches_all():
    assert lost((0.01, 0.1, 1.0), replace(BAD, failing_share=0.0)) == (0, 1_000_000)


def test_where_nobody_can_report_nothing_stops_it():
    assert lost((0.01, 1.0), replace(BAD, reporting_share=0.0))[0] == pytest.approx(1e5, rel=0.02)
