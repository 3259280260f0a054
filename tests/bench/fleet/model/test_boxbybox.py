"""Where no curve holds: boxes packet by packet stand for all, and what they don't know is refused."""

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model import boxbybox
from bench.fleet.model.boxbybox import why_box_by_box
from bench.fleet.model.onair import OnAirClock
from bench.fleet.model.packet import packet_shards, run_packet_shard
from bench.fleet.model.sampled import run_sampled_shard, sampled_shards
from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Cut, Region, Spread, SpreadKind
from tests.bench.fleet.fleets import scenario

REGION = Region("here", 1.0, 0.0, Spread(SpreadKind.UNIFORM, 3.0))


def tally_of(fleet, shards, run):
    tally = Tally(fleet.horizon_s)
    for shard in shards:
        tally.add(run(shard))
    return tally


@pytest.mark.parametrize(
    ("down", "cuts", "why"),
    [
        ("loss=1%", (), None),
        ("rate=100M,loss=1%", (), None),
        ("loss=1%", (Cut(1.0, 1.0),), "its power fails"),
        ("rate=4M", (), "its line is slower than the carousel"),
        ("outage=1s+2s", (), "its link has outages"),
        ("p13=1%,p31=20%,p32=10%,p23=10%,p14=0%", (), "of 4-state loss"),
    ],
)
def test_what_has_no_curve_says_why(down, cuts, why):
    fleet = scenario(100, down=down, regions=(replace(REGION, cuts=cuts),))
    assert why_box_by_box(fleet, fleet.groups()[0]) == why


@pytest.mark.slow
def test_millions_are_drawn_from_boxes_that_were_followed_and_the_deep_tail_is_refused(monkeypatch):
    monkeypatch.setattr(boxbybox, "MOST_BOXES", 400)
    fleet = scenario(2_000_000, down="loss=2%,outage=1s+500ms", regions=(replace(REGION, cuts=(Cut(2.0, 1.0),)),))
    sampled = tally_of(fleet, sampled_shards(fleet, 3), run_sampled_shard)
    whole = sampled.all_boot()
    assert (whole.total, whole.unfinished) == (2_000_000, 0)
    assert whole.quantile(0.9999) is None
    assert sampled.counted_boxes == 400
    assert "drawn from 400 boxes packet by packet, since its power fails" in next(iter(sampled.notes))
    few = replace(fleet, boxes=400)
    packet = tally_of(few, packet_shards(few, 3), run_packet_shard)
    counts = [np.cumsum(each.counts) / each.total for each in (whole, packet.all_boot())]
    assert np.abs(counts[0] - counts[1]).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("down", ["rate=5M,loss=2%", "p13=1%,p31=20%,p32=10%,p23=10%,p14=0%"])
def test_hours_of_power_on_cost_no_more_than_a_few_turns_and_change_nothing(down, monkeypatch):
    monkeypatch.setattr(boxbybox, "MOST_BOXES", 400)
    regions = [Region("here", 1.0, 0.0, Spread(SpreadKind.UNIFORM, over_s)) for over_s in (30.0, 7200.0)]
    fleets = [scenario(400_000, down=down, regions=(each,), horizon_s=9000.0) for each in regions]
    monkeypatch.setattr(boxbybox, "WIDE_INTERVALS", 1000)  # none may begin anew: all of the half minute is followed
    followed = tally_of(fleets[0], sampled_shards(fleets[0], 3), run_sampled_shard)
    monkeypatch.undo()
    monkeypatch.setattr(boxbybox, "MOST_BOXES", 400)
    heard, real = [], OnAirClock.times_s

    def counting(clock, on_air_s):
        heard.append(len(on_air_s))
        return real(clock, on_air_s)

    monkeypatch.setattr(OnAirClock, "times_s", counting)
    soon = tally_of(fleets[1], sampled_shards(fleets[1], 3), run_sampled_shard)
    assert sum(heard) < 60 * 5e6 / 8 / 272  # packets of a minute at most, not of two hours
    shares = [np.cumsum(each.counts) / each.total for each in (soon.all_boot(), followed.all_boot())]
    assert np.abs(shares[0] - shares[1]).max() < 1.63 * (2 / 400) ** 0.5  # Kolmogorov-Smirnov, 1 %
    powered = np.cumsum(soon.events["power"])
    assert powered[400] == pytest.approx(200_000, rel=0.03)  # an hour of two


@pytest.mark.slow
def test_boxes_behind_trunks_of_their_own_stand_for_streets():
    fleet = scenario(128, down="outage=900s+1s", trunk="loss=10%,burst=10", street=64)
    alone = replace(fleet, trunks=(replace(fleet.trunks[0], boxes=1),))
    means = [tally_of(each, packet_shards(each, 3), run_packet_shard).all_boot().mean_s for each in (fleet, alone)]
    assert means[0] == pytest.approx(means[1], rel=0.1)
    assert len(packet_shards(alone, 3)) == 2
