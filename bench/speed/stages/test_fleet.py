"""The fleet simulators: receiver-packets a second, boxes a second."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.fleet.model.air import packed_releases
from bench.fleet.model.packet import packet_shards, run_packet_shard
from bench.fleet.model.sampled import run_sampled_shard, sampled_shards
from bench.fleet.scenario.reading import find_scenario
from bench.fleet.storm.strategies import run_storm, storms_of

Benchmark = Callable[..., Any]


def test_packet_fidelity(benchmark: Benchmark) -> None:
    """Counted receivers on one core; `packets` a run over its time is receiver-packets a second."""
    shelf = find_scenario("lab-shelf")
    shard = packet_shards(shelf, 7)[0]
    packed_releases(shelf.releases)
    tally = benchmark.pedantic(run_packet_shard, args=(shard,), rounds=3)  # type: ignore[attr-defined]
    benchmark.extra_info["packets"] = tally.packets  # type: ignore[attr-defined]
    assert tally.packets > 50_000


def test_sampled_fidelity(benchmark: Benchmark) -> None:
    """220 million boxes behind independent and bursty links, laws worked out before."""
    fleet = replace(find_scenario("one-way-satellite"), boxes=220_000_000)
    shards = sampled_shards(fleet, 7)
    done = benchmark.pedantic(  # type: ignore[attr-defined]
        lambda: sum(run_sampled_shard(shard).boxes for shard in shards), rounds=2, warmup_rounds=1
    )
    benchmark.extra_info["boxes"] = done  # type: ignore[attr-defined]
    assert done == 220_000_000


def test_unicast_storm(benchmark: Benchmark) -> None:
    """A million boxes at a unicast server for ten minutes of virtual time."""
    storms = storms_of(find_scenario("neighbourhood"), [7])
    story = benchmark.pedantic(run_storm, args=(storms[0],), rounds=2)  # type: ignore[attr-defined]
    assert story.tally.boxes == 1_000_000
