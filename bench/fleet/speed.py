"""The simulators' own speed on one core, for `make bench`: receiver-packets a second, boxes a second."""

import time
from dataclasses import replace

from bench.fleet.model.air import packed_releases
from bench.fleet.model.packet import packet_shards, run_packet_shard
from bench.fleet.model.sampled import run_sampled_shard, sampled_shards
from bench.fleet.scenario.reading import find_scenario
from carousel.console.quantities import format_count

__all__ = ["main"]

BOXES = 220_000_000


def main() -> None:
    """Measure, and print."""
    for is_real, boxes in ((True, 48), (False, 2000)):
        shelf = replace(find_scenario("lab-shelf"), boxes=boxes)
        packed_releases(shelf.releases)
        begin_s = time.perf_counter()
        packets = sum(run_packet_shard(shard).packets for shard in packet_shards(shelf, 7, is_real))
        each_s = packets / (time.perf_counter() - begin_s)
        kind = "real" if is_real else "counted"
        print(f"fleet, packet fidelity, {kind} receivers: {format_count(each_s)} receiver-packets/s on one core")
    fleet = replace(find_scenario("one-way-satellite"), boxes=BOXES)
    begin_s = time.perf_counter()
    sampled = sum(run_sampled_shard(shard).boxes for shard in sampled_shards(fleet, 7))
    sampled_s = time.perf_counter() - begin_s
    print(f"fleet, sampled fidelity: {format_count(sampled)} boxes in {sampled_s:.1f} s, laws included")


if __name__ == "__main__":
    main()
