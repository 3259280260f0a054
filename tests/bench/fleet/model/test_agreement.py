"""Packet and sampled fidelity agree: real receivers' times follow the law, by the Kolmogorov-Smirnov distance."""

import numpy as np
import pytest

from bench.fleet.model.air import carousel_offset_s
from bench.fleet.model.law import law_of_class
from bench.fleet.model.packet import packet_shards, run_packet_shard, simulate
from bench.fleet.model.sampled import run_sampled_shard, sampled_shards
from bench.fleet.model.tally import Tally
from tests.bench.fleet.fleets import scenario

CRITICAL = 1.95
"""sqrt(n) times the distance passes this once in a thousand runs; runs are fixed by their seed."""
GRID = [
    (100_000, 1.0, "loss=5%"),
    (100_000, 1.0, "loss=5%,burst=4"),
    (100_000, 1.0, "loss=30%"),
    (100_000, 0.1, "loss=5%"),
    (100_000, 0.25, "loss=20%,burst=4"),
    (60_000, 0.0, "loss=10%"),
    (60_000, 0.0, "loss=10%,burst=4"),
    (1_500_000, 1.0, "loss=5%,burst=10"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("image_bytes", "repair", "down"), GRID, ids=str)
def test_real_receivers_take_as_long_as_the_law_says(image_bytes, repair, down, record_property):
    boxes, seed = (128, 11) if image_bytes < 1_000_000 else (64, 11)
    rate_bps = 5e6 if image_bytes < 1_000_000 else 50e6
    fleet = scenario(boxes, image_bytes, repair, down, rate_bps=rate_bps)
    found = [simulate(shard) for shard in packet_shards(fleet, seed)]
    starts_s = np.concatenate([each.start_s for each in found])
    law = law_of_class(fleet, fleet.classes[0])
    offset_s = carousel_offset_s(seed, law.timeline.period_s / law.timeline.cycles)
    times_s = np.sort(np.concatenate([each.verified_s for each in found]) - starts_s)
    late = np.mean([law.late(offset_s + start_s, times_s) for start_s in starts_s.tolist()], axis=0)
    steps = np.arange(boxes + 1) / boxes
    distance = max((steps[1:] - (1 - late)).max(), ((1 - late) - steps[:-1]).max())
    record_property("receiver packets", sum(int(each.packets.sum()) for each in found))
    assert distance * boxes**0.5 < CRITICAL


@pytest.mark.slow
@pytest.mark.parametrize("trunk", [None, "loss=3%,burst=5"], ids=["own links", "shared trunk"])
def test_both_fidelities_tell_of_the_same_fleet(trunk):
    """Two samples of one scenario through the whole machinery, phases and histograms included.

    Over 30 s boxes meet some seventy cycles: over few, they share the luck of these shuffles, and are not 300 samples.
    """
    fleet = scenario(300, down="loss=2%", trunk=trunk, street=20, spread_s=30.0)
    seed = 5
    packet, sampled = Tally(fleet.horizon_s), Tally(fleet.horizon_s)
    for shard in packet_shards(fleet, seed):
        packet.add(run_packet_shard(shard))
    for shard in sampled_shards(fleet, seed):
        sampled.add(run_sampled_shard(shard))
    counts = [np.cumsum(each.all_boot().counts) / 300 for each in (packet, sampled)]
    effective = 300 if trunk is None else 15  # a street's boxes have one fate, as far as its trunk goes
    assert np.abs(counts[0] - counts[1]).max() < CRITICAL / (effective / 2) ** 0.5
    means = [each.all_boot().mean_s for each in (packet, sampled)]
    assert means[0] == pytest.approx(means[1], rel=0.05)
    assert packet.all_boot().total == sampled.all_boot().total == 300


@pytest.mark.slow
def test_a_packet_run_is_fixed_by_its_seed():
    fleet = scenario(8, down="loss=5%,jitter=2ms,delay=5ms,duplicate=1%,corrupt=1%")
    runs = [run_packet_shard(packet_shards(fleet, seed)[0]) for seed in (3, 3, 4)]
    assert (runs[0].all_boot().counts == runs[1].all_boot().counts).all()
    assert (runs[0].all_boot().counts != runs[2].all_boot().counts).any()
    assert runs[0].packets == runs[1].packets > 8 * 400


def test_boxes_that_are_late_run_their_eeprom_and_then_the_image():
    fleet = scenario(6, down="loss=40%", spread_s=0.0, deadline_s=0.2, horizon_s=20.0)
    tally = run_packet_shard(packet_shards(fleet, 1)[0])
    assert tally.events["fallback"].sum() == tally.events["power"].sum() == 6
    assert tally.events["return"][:-1].sum() == 6
