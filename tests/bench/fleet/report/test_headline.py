"""The sentence on top of a report, and what its table says of times that nobody waits."""

import numpy as np
import pytest

from bench.fleet.model.histogram import Histogram
from bench.fleet.model.tally import Tally
from bench.fleet.report.data import percent, summary_rows
from bench.fleet.report.headline import headline
from bench.fleet.report.rollouts import rollout_rows, rollout_table
from bench.fleet.run import FleetRun
from bench.fleet.scenario.values import Rollout
from bench.fleet.storm.crowd import Story
from bench.fleet.storm.rollout import run_rollout
from tests.bench.fleet.fleets import scenario

BOXES = 1000


def story(label, finished, time_s, counts_from="power-on"):
    tally = Tally(600.0)
    tally.boot["here"] = Histogram.of_counts(np.array([time_s]), np.array([finished]), BOXES)
    return Story(label, 7, tally, {}, [], counts_from=counts_from)


def run(*logins):
    stories = [story("carousel", BOXES, 10.0)]
    for healing, finished in logins:
        label = f"login after carousel, immediate retry, healing {healing}"
        stories.append(story(label, finished, 1e-3, "start of the system"))
    return FleetRun(scenario(BOXES), "sampled", [7], stories)


@pytest.mark.parametrize(
    ("logins", "words"),
    [
        ((("on", BOXES), ("off", BOXES)), "of the logins after it all come through within 10 min."),
        (
            (("on", BOXES), ("off", 100)),
            "of the logins after it 10 % (immediate retry, healing off) to all (immediate retry, healing on) come",
        ),
    ],
)
def test_logins_are_told_apart_where_they_differ(logins, words):
    assert words in headline(run(*logins))


def test_who_is_let_in_at_once_waits_no_millisecond():
    head, rows = summary_rows(run(("on", BOXES)))
    assert [row[head.index("p50")] for row in rows] == ["9.999 s", "at once"]


def test_a_refused_tail_is_not_told_as_boxes_that_do_not_run():
    carousel = story("carousel", BOXES, 10.0)
    carousel.tally.boot["here"].shown = 0.1
    assert headline(FleetRun(scenario(BOXES), "sampled", [7], [carousel])).startswith(
        "By carousel all 1,000 boxes run, 90 % within 10 s of power-on"
    )


def test_boxes_that_never_run_are_not_none():
    few = FleetRun(scenario(BOXES), "sampled", [7], [story("carousel", BOXES * 1000 - 3, 10.0)])
    few.stories[0].tally.boot["here"].unfinished = 3
    head, rows = summary_rows(few)
    assert rows[0][head.index("never")] == "3 (under 0.01 %)"


def test_roll_outs_are_told_by_boxes_lost_and_have_a_table_of_their_own():
    fleet = scenario(100_000_000, horizon_s=43200.0, rollout=Rollout(), strategies=("rollout",))
    stories = [run_rollout(fleet, 7, stages) for stages in ((0.01, 1.0), (1.0,))]
    rollouts = FleetRun(fleet, "sampled", [7], stories)
    lost = [int(each.phases["lost"][-1]) for each in stories]
    assert lost[1] > 10 * lost[0]
    assert headline(rollouts) == (
        f"A bad image loses {lost[1]:,} of 100,000,000 boxes where all have it at once; {lost[0]:,} by 1 % → 100 %."
    )
    head, rows = rollout_rows(rollouts)
    assert head == ["roll-out", "boxes lost", "back on the old image", "on the new image", "not offered", "it ended"]
    assert sum(int(cell.replace(",", "")) for cell in rows[0][1:5]) == 100_000_000
    assert summary_rows(rollouts)[1] == []  # a time of power-on means nothing here
    assert rollout_table(rollouts).count("<rect") == 2


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (3e-7, "under 0.01 %"), (0.0025, "0.25 %"), (0.25, "25 %"), (0.75, "75 %"), (0.99999, "99.999 %")],
)
def test_shares_are_written_alike(share, words):
    assert percent(share) == words
