from dataclasses import replace

from bench.fleet.scenario.values import Peers, Server
from bench.fleet.tornado import turns_of
from tests.bench.fleet.fleets import scenario


def test_every_parameter_is_turned_both_ways_and_nothing_else():
    fleet = scenario(1000, down="loss=1%", server=Server(), peers=Peers(), strategies=("carousel", "unicast", "p2p"))
    turns = turns_of(fleet, 0.2)
    assert [turn.what for turn in turns].count(None) == 3
    by_what = {}
    for turn in turns:
        if turn.what is not None:
            by_what.setdefault((turn.strategy, turn.what), []).append(turn.factor)
    assert all(factors == [0.8, 1.2] for factors in by_what.values())
    base = next(turn.scenario for turn in turns if turn.strategy == "unicast" and turn.what is None)
    up = next(turn for turn in turns if turn.what == "server rate" and turn.factor == 1.2)
    assert up.scenario.server.rate_bps_per_million == 1.2 * base.server.rate_bps_per_million
    assert replace(up.scenario, server=base.server) == base
