from dataclasses import replace

import pytest

from bench.fleet.scenario.values import Peers, Server
from bench.fleet.tornado import Outcome, _page, tornado, turns_of
from carousel.errors import OperatorError
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


def test_what_moves_a_strategy_most_is_named_and_comes_first():
    fleet = scenario(1000, down="loss=1%", server=Server(), strategies=("carousel", "unicast"))
    turns = turns_of(fleet, 0.2)
    worse = {
        ("carousel", "carousel rate", 0.8): Outcome(12.5, 0.0),
        ("unicast", "server rate", 0.8): Outcome(None, 0.3),
    }
    found = [worse.get((turn.strategy, turn.what, turn.factor), Outcome(10.0, 0.0)) for turn in turns]
    page = _page(fleet, turns, found, 0.2)
    assert "carousel: carousel rate -20% moves it most (+25%)" in page
    assert "unicast: server rate -20% moves it most (30.00% never run)" in page
    assert page.index(">carousel rate<") < page.index(">loss<")


def test_a_scenario_with_nothing_to_turn_is_refused(tmp_path):
    with pytest.raises(OperatorError, match="no strategy with parameters to turn"):
        tornado("gradual-rollout", output=tmp_path)
