"""Counted receivers beside real ones, which are their oracle: the same packets, the same times to the last bit."""

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model import counted
from bench.fleet.model.counted import worked_s
from bench.fleet.model.packet import packet_shards, simulate
from bench.fleet.scenario.values import Carousel, Cut, Region, ReleaseSpec, Spread, SpreadKind
from tests.bench.fleet.fleets import scenario

LINKS = {
    "independent": (100_000, 1.0, "loss=5%"),
    "bursts": (100_000, 0.25, "loss=20%,burst=4"),
    "no repair": (60_000, 0.0, "loss=10%"),
    "no loss": (100_000, 1.0, ""),
    "corrupted and duplicated": (100_000, 0.5, "loss=1%,corrupt=2%,duplicate=2%"),
    "outages": (100_000, 1.0, "loss=2%,outage=100ms+100ms/500ms+50ms"),
    "a line slower than the carousel": (100_000, 1.0, "rate=4.5M,queue=20ms,delay=10ms"),
    "so small that symbols come round in one look": (20_000, 0.2, "loss=40%"),
}


def both(fleet, seed=3):
    """Return what real and counted receivers come to."""
    real, counts = ([simulate(shard) for shard in packet_shards(fleet, seed, is_real)] for is_real in (True, False))
    for one, other in zip(real, counts, strict=True):
        np.testing.assert_array_equal(one.verified_s, other.verified_s)
        np.testing.assert_array_equal(one.packets, other.packets)
        np.testing.assert_array_equal(one.start_s, other.start_s)
        assert (one.real, other.real) == (len(one.start_s), 0)
    return real


@pytest.mark.slow
@pytest.mark.parametrize("name", LINKS)
def test_the_same_times_to_the_last_bit(name):
    fleet = scenario(8, *LINKS[name], rate_bps=5e6, horizon_s=30.0)
    found = both(fleet)[0]
    assert np.isfinite(found.verified_s).all()


@pytest.mark.slow
def test_the_same_times_with_several_blocks_releases_and_streets():
    fleet = scenario(6, 2_500_000, 1.0, "loss=5%,burst=10", rate_bps=50e6, horizon_s=30.0)
    both(fleet)
    two = (ReleaseSpec("a", 100_000, 1.0, 256), ReleaseSpec("b", 60_000, 0.5, 256))
    both(scenario(6, down="loss=5%", releases=two, horizon_s=30.0))
    both(scenario(6, down="loss=1%", trunk="loss=3%,burst=5", street=3, horizon_s=30.0))


CUTS = (Cut(0.15, 0.4), Cut(0.7, 0.3))


def flapping(keeps_parts):
    region = Region("here", 1.0, 0.0, Spread(SpreadKind.UNIFORM, 0.1), cuts=CUTS)
    fleet = scenario(8, down="loss=5%", regions=(region,), horizon_s=30.0, carousel=Carousel(5e6, 0.05))
    return replace(fleet, keeps_parts=keeps_parts)


def test_the_same_times_through_power_cuts_with_and_without_what_was_kept():
    kept, lost = both(flapping(True))[0], both(flapping(False))[0]
    assert (kept.verified_s <= lost.verified_s).all()
    assert (lost.verified_s > CUTS[-1].end_s).all()  # no span before is as long as an image takes
    assert kept.verified_s.mean() < lost.verified_s.mean() - 0.05


@pytest.mark.slow
def test_the_same_times_where_boxes_take_time_to_decode():
    slow = scenario(4, 1_200_000, 1.0, "loss=5%", rate_bps=50e6, horizon_s=30.0)
    fast = both(slow)[0]
    slow = replace(slow, classes=(replace(slow.classes[0], work_bytes_per_s=1e6),))
    assert both(slow)[0].verified_s == pytest.approx(fast.verified_s + 1.2, abs=0.01)


def test_blocks_are_worked_on_one_after_the_other():
    assert worked_s(np.array([3.0, 1.0, 1.5]), 2e6, 1e6) == 7.0
    assert worked_s(np.array([3.0, 1.0, 9.0]), 2e6, 1e6) == 11.0
    assert worked_s(np.array([3.0, 1.0]), 2e6, None) == 3.0


@pytest.mark.slow
def test_real_receivers_stand_in_where_more_comes_early_than_is_kept(monkeypatch):
    monkeypatch.setattr(counted, "EARLY_BYTES", 80_000)
    fleet = scenario(8, down="loss=5%", horizon_s=30.0, carousel=Carousel(5e6, 0.25))
    found, real = (simulate(packet_shards(fleet, 3, is_real)[0]) for is_real in (False, True))
    assert 0 < found.real < 8
    np.testing.assert_array_equal(found.verified_s, real.verified_s)


def test_a_block_whose_symbols_do_not_determine_it_wants_one_more(monkeypatch):
    """One block in 256 is so unlucky; here each is, at first."""
    asked = []

    def unlucky(esis, size):
        asked.append(len(esis) - size)
        return len(esis) > size

    monkeypatch.setattr(counted, "_can_be_solved", unlucky)
    came_s = np.array([1.0, 4.0, 2.0, 3.0, 9.0, 7.0])
    assert counted._solved_s(came_s, 3, 0.0) == 4.0
    assert counted._solved_s(came_s, 3, 5.0) == 7.0  # what came meanwhile was not wanted
    assert counted._solved_s(np.array([1.0, 2.0, np.inf]), 2, 0.0) == np.inf
    assert asked == [0, 1, 0, 1, 0]
