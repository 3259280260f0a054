from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.scenario.values import Peers, Retry, RetryKind, Server
from bench.fleet.tornado import Outcome, _page, _run, tornado, turns_of
from bench.link.chain import loss_model
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
    most = {("p2p", "share that restarts"): [0.8, 1 / 0.95]}  # a share can't be turned beyond all
    assert all(factors == most.get(key, [0.8, 1.2]) for key, factors in by_what.items())
    base = next(turn.scenario for turn in turns if turn.strategy == "unicast" and turn.what is None)
    up = next(turn for turn in turns if turn.what == "server rate" and turn.factor == 1.2)
    assert up.scenario.server.rate_bps_per_million == 1.2 * base.server.rate_bps_per_million
    assert replace(up.scenario, server=base.server) == base


@pytest.mark.parametrize("turned", ["share that restarts", "super nodes"])
def test_shares_that_are_turned_up_stay_shares_and_run(turned):
    peers = Peers(restart_share=0.95, supernode_share=0.9)
    fleet = scenario(1000, peers=peers, strategies=("p2p",), retries=(Retry(RetryKind.BACKOFF),))
    up = next(turn for turn in turns_of(fleet, 0.2) if turn.what == turned and turn.factor > 1)
    assert not _run(up).is_refused
    assert {"share that restarts": up.scenario.peers.restart_share, "super nodes": up.scenario.peers.supernode_share}[
        turned
    ] == pytest.approx(1.0)


def test_a_loss_is_turned_up_as_far_as_bursts_can_make_it_up():
    fleet = scenario(1000, down="loss=60%,burst=2")
    up = next(turn for turn in turns_of(fleet, 0.2) if turn.what == "loss" and turn.factor > 1)
    assert up.scenario.classes[0].down.loss == pytest.approx(2 / 3)
    assert loss_model(up.scenario.classes[0].down, 1, np.random.default_rng(1)) is not None


@pytest.mark.slow
def test_a_tail_is_turned_behind_its_carousel():
    fleet = scenario(1000, down="loss=2%", server=Server(), strategies=("carousel", "carousel-tail"), deadline_s=0.5)
    base = next(turn for turn in turns_of(fleet, 0.2) if turn.strategy == "carousel-tail" and turn.what is None)
    outcome = _run(base)
    assert (outcome.is_refused, outcome.never) == (False, 0.0)


def test_what_moves_a_strategy_most_is_named_and_comes_first():
    fleet = scenario(1000, down="loss=1%", server=Server(), strategies=("carousel", "unicast"))
    turns = turns_of(fleet, 0.2)
    worse = {
        ("carousel", "carousel rate", 0.8): Outcome(12.5, 0.0),
        ("unicast", "server rate", 0.8): Outcome(None, 0.3),
    }
    found = [worse.get((turn.strategy, turn.what, turn.factor), Outcome(10.0, 0.0)) for turn in turns]
    page = _page(fleet, turns, found, 0.2)
    page = page.replace("\N{MINUS SIGN}", "-")
    assert "carousel (10 s): carousel rate -20% moves it most, to 12.5 s" in page
    assert "unicast (10 s): server rate -20% moves it most, to 30.00% never run" in page
    assert ">1 x</text>" in page
    assert "as it is</text>" not in page
    assert page.index(">carousel rate<") < page.index(">loss<")


def test_where_nothing_moves_it_the_page_says_so():
    fleet = scenario(1000, server=Server(), strategies=("carousel-plain", "unicast"))
    turns = turns_of(fleet, 0.2)
    whats = {(turn.strategy, turn.what) for turn in turns}
    assert ("carousel-plain", "repair") not in whats  # it has none
    assert ("unicast", "loss") not in whats  # nothing is lost
    page = _page(fleet, turns, [Outcome(None, 0.25) for _ in turns], 0.2)
    assert "unicast (25.00% never run): nothing moves it" in page


def test_a_scenario_with_nothing_to_turn_is_refused(tmp_path):
    with pytest.raises(OperatorError, match="no strategy with parameters to turn"):
        tornado("gradual-rollout", output=tmp_path)
