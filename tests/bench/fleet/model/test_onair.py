import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.fleet.model.onair import OnAirClock
from bench.fleet.model.packet import packet_shards, run_packet_shard
from bench.fleet.model.sampled import run_sampled_shard, sampled_shards
from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Carousel, Silence
from tests.bench.fleet.fleets import scenario

SILENCES = st.lists(st.builds(Silence, st.floats(0, 100), st.floats(0.01, 50), st.sampled_from([0.0, 0.5])), max_size=4)


def test_a_carousel_without_silences_keeps_the_scenarios_time():
    clock, times_s = OnAirClock([]), np.array([0.0, 0.3, 1e6])
    assert clock.is_steady
    assert (clock.on_air_s(times_s) == times_s).all()
    assert (clock.times_s(times_s) == times_s).all()


def test_time_stands_still_in_a_silence_and_crawls_while_half_is_missing():
    clock = OnAirClock([Silence(10.0, 5.0), Silence(20.0, 4.0, 0.5)])
    assert not clock.is_steady
    assert clock.on_air_s(np.array([5.0, 10.0, 12.0, 15.0, 20.0, 22.0, 24.0, 30.0])) == pytest.approx(
        [5, 10, 10, 10, 15, 16, 17, 23]
    )
    assert clock.times_s(np.array([9.9, 10.0, 10.1, 16.0, 23.0])) == pytest.approx([9.9, 15.0, 15.1, 22.0, 30.0])
    at_s = np.array([0.0, 12.0, 16.0, 21.0])
    shares = (clock.on_air_s(at_s + 0.5) - clock.on_air_s(at_s)) / 0.5
    assert shares == pytest.approx([1.0, 0.0, 1.0, 0.5])


@given(SILENCES, st.lists(st.floats(0, 300), min_size=1, max_size=20))
def test_what_the_carousel_turned_is_mapped_back_to_when_it_did(silences, on_air_s):
    clock = OnAirClock(silences)
    wanted_s = np.sort(on_air_s)
    times_s = clock.times_s(wanted_s)
    assert clock.on_air_s(times_s) == pytest.approx(wanted_s, abs=1e-6)
    assert (np.diff(times_s) >= 0).all()
    assert (times_s >= wanted_s - 1e-9).all(), "a silence never makes anything earlier"


@pytest.mark.slow
@pytest.mark.parametrize("rate_share", [0.0, 0.5])
def test_both_fidelities_tell_the_same_of_a_head_end_that_dies(rate_share):
    """Half of the boxes power up before it falls silent; a box that waited is done soon after it is back."""
    carousel = Carousel(5e6, silences=(Silence(2.5, 8.0, rate_share),))
    fleet = scenario(200, down="loss=2%", carousel=carousel)
    packet, sampled = Tally(fleet.horizon_s), Tally(fleet.horizon_s)
    for shard in packet_shards(fleet, 5):
        packet.add(run_packet_shard(shard))
    for shard in sampled_shards(fleet, 5):
        sampled.add(run_sampled_shard(shard))
    counts = [np.cumsum(each.all_boot().counts) / 200 for each in (packet, sampled)]
    assert np.abs(counts[0] - counts[1]).max() < 1.95 / (200 / 2) ** 0.5
    for tally in (packet, sampled):
        last_s = tally.all_boot().quantile(1.0)
        assert last_s is not None
        assert (last_s > 8) == (rate_share == 0)
    assert packet.all_boot().total == sampled.all_boot().total == 200
