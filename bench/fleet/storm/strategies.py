"""Which storms a scenario asks for, by strategy. A new strategy: a class like `engine.Storm`, and a kind here."""

from dataclasses import dataclass

import numpy as np

from bench.fleet.model.tally import Tally
from bench.fleet.scenario.values import Discipline, RetryKind, Scenario, Server
from bench.fleet.storm.crowd import Story
from bench.fleet.storm.engine import NotConvergedError
from bench.fleet.storm.login import run_login
from bench.fleet.storm.p2p import run_p2p
from bench.fleet.storm.rollout import run_rollout
from bench.fleet.storm.stages import run_ruled_rollout
from bench.fleet.storm.tail import run_tail
from bench.fleet.storm.unicast import run_unicast
from carousel.release.blocks import IntArray

__all__ = ["StormRun", "cost_of", "logins_of", "run_storm", "servers_of", "storms_of"]


@dataclass(frozen=True)
class StormRun:
    """One run of a strategy on servers or peers, or of the login after one: a shard by itself."""

    scenario: Scenario
    seed: int
    kind: str
    retry: int
    is_healing: bool = False
    discipline: Discipline = Discipline.QUEUE
    up: tuple[int, ...] = ()
    after: str = ""
    stages: tuple[float, ...] = ()
    rule: str = ""
    by_class: tuple[tuple[str, Tally], ...] = ()


def servers_of(scenario: Scenario) -> dict[str, Server]:
    """Return the servers of a scenario, by strategy."""
    found = {"unicast": scenario.server, "datacentres": scenario.datacentres, "elastic": scenario.elastic}
    return {name: server for name, server in found.items() if server is not None and name in scenario.strategies}


def storms_of(scenario: Scenario, seeds: list[int]) -> list[StormRun]:
    """Return the storms on servers and peers that a scenario asks for."""
    storms = []
    for seed in seeds:
        for retry in range(len(scenario.retries)):
            storms += [StormRun(scenario, seed, name, retry) for name in servers_of(scenario)]
            if "p2p" in scenario.strategies:
                storms += [StormRun(scenario, seed, "p2p", retry, healing) for healing in scenario.healing]
        if "rollout" in scenario.strategies and scenario.rollout is not None:
            storms += [StormRun(scenario, seed, "rollout", 0, stages=stages) for stages in scenario.rollout.plans]
            storms += [StormRun(scenario, seed, "rollout", 0, rule=rule) for rule in scenario.rollout.rules]
    return storms


def logins_of(scenario: Scenario) -> list[StormRun]:
    """Return the logins that follow on one carousel, without who starts when."""
    if scenario.login is None:
        return []
    return [
        StormRun(scenario, 0, "login", retry, healing, discipline)
        for retry in range(len(scenario.retries))
        for healing in scenario.healing
        for discipline in scenario.login.disciplines
        if not (retry and discipline is Discipline.CAROUSEL_GATE)  # who waits for a turn hardly ever retries
    ]


def cost_of(storm: StormRun) -> int:
    """Return how dear a run is beside others, roughly: a back-off tells many tries apart, what nobody heals lasts."""
    is_backoff = storm.scenario.retries[storm.retry].kind is RetryKind.BACKOFF
    return (1 + is_backoff) * (1 + (not storm.is_healing))


def run_storm(storm: StormRun) -> Story | str:
    """Run one storm; a sentence says why it is refused, where its figures hang on the step."""
    try:
        return _run(storm)
    except NotConvergedError as error:
        return str(error)


def _run(storm: StormRun) -> Story:
    scenario, retry = storm.scenario, storm.scenario.retries[storm.retry]
    if storm.kind == "login":
        up: IntArray = np.array(storm.up, dtype=np.int64)
        return run_login(scenario, storm.seed, retry, storm.is_healing, storm.discipline, up, storm.after)
    if storm.kind == "rollout" and storm.rule:
        return run_ruled_rollout(scenario, storm.seed, storm.rule)
    if storm.kind == "rollout":
        return run_rollout(scenario, storm.seed, storm.stages)
    if storm.kind == "carousel-tail":
        return run_tail(scenario, storm.seed, retry, storm.by_class)
    if storm.kind == "p2p":
        return run_p2p(scenario, storm.seed, retry, storm.is_healing)
    return run_unicast(scenario, storm.seed, retry, servers_of(scenario)[storm.kind], storm.kind)
