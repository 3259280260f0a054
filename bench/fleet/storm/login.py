"""The login after boot, in two steps: a super node with a free slot, then the login server (the outage of 2007).

    booted -> looking for a super node -> asking the login server -> online, holding its slot
                ^   dead, full, overloaded     |  dropped, or answered too late
                +--- waits, by the retry policy ---+

Two things make it a collapse and not a queue. A server that answers in turn answers requests that nobody waits for any
more, once its queue is longer than the clients' patience. And super nodes that are asked more than they can answer
fall out, which leaves more for the others. Self-healing makes new super nodes of clients that are online.

What a server may do about it is its discipline (`Discipline`); queue.py has what each does.
"""

from collections import deque
from dataclasses import dataclass
from math import exp, expm1

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS
from bench.fleet.scenario.values import BoxClass, Discipline, Group, Login, Region, Retry, RetryKind, Scenario
from bench.fleet.storm.crowd import (
    LOGIN_START,
    STEPS_A_TIME,
    Clock,
    Load,
    Story,
    WaitingRoom,
    draw_some,
    thinned,
    total_of,
)
from bench.fleet.storm.engine import run_converged
from bench.fleet.storm.fates import Fates
from bench.fleet.storm.gate import SECOND_S, GateModel
from bench.fleet.storm.queue import LoginQueue
from bench.link.spec import LinkSpec
from carousel.release.blocks import IntArray

__all__ = ["run_login"]

FloatArray = NDArray[np.float64]
LOGIN_STREAM = 23
ROOM_FOR_S = 10.0
NOBODYS_LINK = BoxClass("login", 1.0, "", LinkSpec(), LinkSpec())


def run_login(
    scenario: Scenario, seed: int, retry: Retry, is_healing: bool, discipline: Discipline, up: IntArray, after: str
) -> Story:
    """Let boxes log in that start as `up` says, by bin of the horizon (`Tally.events`)."""
    assert scenario.login is not None
    login = scenario.login
    case = _Case(scenario, login, retry, is_healing, discipline, seed, up, after)
    if discipline is Discipline.CAROUSEL_GATE:
        return _run_gated(case)
    drain_s = login.queue_per_million / login.logins_per_s_per_million
    shortest_s = min(login.timeout_s, max(drain_s, login.timeout_s / 4))
    return run_converged(lambda clock: _Storm(case, clock), scenario.horizon_s, shortest_s)


def _run_gated(case: "_Case") -> Story:
    """Run in steps of a second at most: so often the gate hears of its server, and halving steps would change that."""
    clock = Clock.of(case.scenario.horizon_s, STEPS_A_TIME * SECOND_S)
    storm = _Storm(case, clock)
    for index in range(clock.count):
        storm.step(index)
    story = storm.story()
    story.step_s = clock.step_s
    return story


@dataclass(frozen=True)
class _Case:
    """What is run; `up` as for `run_login`."""

    scenario: Scenario
    login: Login
    retry: Retry
    is_healing: bool
    discipline: Discipline
    seed: int
    up: IntArray
    after: str


def _spread_out(up: IntArray, clock: Clock) -> IntArray:
    """Return who starts in each step, evenly within the bin: (steps, 1)."""
    each = clock.count // STEPS
    parts = np.arange(1, each + 1)
    reached = (up[:-1, None] * parts) // each
    return np.diff(reached, prepend=0, axis=1).reshape(-1, 1)


class _Storm:
    def __init__(self, case: _Case, clock: Clock) -> None:
        self._case, self._clock, self._login = case, clock, case.login
        self._boxes = case.scenario.boxes
        kinds = (list(RetryKind).index(case.retry.kind), list(Discipline).index(case.discipline), int(case.is_healing))
        self._rng = np.random.default_rng([case.seed, LOGIN_STREAM, *kinds])
        came, total, login = _spread_out(case.up, clock), int(case.up.sum()), case.login
        self._fates = Fates(clock, (Group(0, Region("login", 1.0), NOBODYS_LINK, total),), came, ["login"])
        self._room = WaitingRoom(case.retry, login.timeout_s, 1, clock.step_s)
        self._comes: list[int] = came[:, 0].tolist()
        self._known = login.supernode_share * self._boxes
        self._alive = self._known * (1 - login.restart_share)
        self._rate = login.logins_per_s_per_million * self._boxes / 1e6
        most = int(login.queue_per_million * self._boxes / 1e6)
        self._queue = LoginQueue(case.discipline, self._rate, most, login.timeout_s)
        self._gate = GateModel(self._rng) if case.discipline is Discipline.CAROUSEL_GATE else None
        self._online = 0
        self._eligible: deque[tuple[float, int]] = deque()
        self._seasoned = 0
        self._requests, self._good, self._nodes, self._asked = (np.zeros(STEPS) for _ in range(4))
        self._phases = {
            name: np.zeros(STEPS, dtype=np.int64) for name in ("not up", "searching", "logging in", "online")
        }

    @property
    def is_over(self) -> bool:
        """Never: what is online stays to be shown."""
        return False

    def step(self, index: int) -> None:
        """Go one step on."""
        step_s, at = self._clock.step_s, self._clock.bin_of(index)
        now_s = (index + 1) * step_s
        asked = 0 if self._online == self._boxes else self._log_some_in(index, at, now_s, step_s)
        self._tend_nodes(now_s, step_s, asked)
        self._nodes[at] = self._alive
        waiting, queued = self._room.total, self._queue.total
        waiting += self._gate.waiting if self._gate is not None else 0
        self._phases["not up"][at] = self._boxes - self._online - queued - waiting
        self._phases["searching"][at] = waiting
        self._phases["logging in"][at] = queued
        self._phases["online"][at] = self._online

    def _log_some_in(self, index: int, at: int, now_s: float, step_s: float) -> int:
        """Return how many looked for a super node."""
        come = self._comes[index]
        if self._gate is not None:
            come = self._gate.admit(come, now_s, step_s)
        searching, asked = self._ask_again(come, step_s, index)
        if self._gate is not None:
            self._gate.feed(asked, self._capacity_per_s(), now_s)
        self._asked[at] += asked
        if asked or self._queue.total:
            self._log_in(*self._find_node(searching, asked, step_s), now_s, index, at)
        return asked

    def _capacity_per_s(self) -> float:
        """Return what the log-in system takes: its server's rate, and what super nodes have room for in a while."""
        free = max(0.0, self._alive * self._login.slots - self._online - self._queue.total)
        reached = min(1.0, self._alive / max(1.0, self._known))
        return float(min(self._rate, free / ROOM_FOR_S, self._alive * self._login.probes_per_s) * reached)

    def _ask_again(self, come: int, step_s: float, index: int) -> tuple[IntArray, int]:
        """Return who asks now, and how many: newcomers, and who waited; behind a gate, as many as the server takes."""
        room, rng, discipline = self._room, self._rng, self._case.discipline
        if discipline is Discipline.GATE:
            room.turn_away(room.newcomers(np.array([come])), come)
            return self._called(0, step_s)
        if discipline is Discipline.RETRY_AFTER:
            asking, asked = self._called(come, step_s)
        else:
            asking, asked = room.callers(come, come, rng)
        if self._gate is None:  # else those that come have waited for their turn
            self._fates.ask(asked, index)
        return asking, asked

    def _called(self, come: int, step_s: float) -> tuple[IntArray, int]:
        """Return as many that wait as the server takes, and who comes, and how many these are."""
        waiting = self._room.total
        asking = self._room.leave_some(int(self._rng.poisson(self._rate * step_s)), self._rng)
        asking[0] += come
        return asking, waiting - self._room.total + come

    def _find_node(self, searching: IntArray, asked: int, step_s: float) -> tuple[IntArray, int]:
        """Return who found a super node that lives, answers, and has a free slot, and how many did."""
        login = self._login
        is_alive = min(1.0, self._alive / max(1.0, self._known))
        answered = min(1.0, self._alive * login.probes_per_s * step_s / max(1.0, asked * is_alive))
        reached = thinned(searching, is_alive * answered, self._rng)
        count = total_of(reached)
        free = int(max(0.0, self._alive * login.slots - self._online - self._queue.total))
        found = reached if count <= free else draw_some(reached, free, self._rng)
        count = min(count, free)
        self._room.turn_away(searching - found, asked - count)
        return found, count

    def _log_in(self, crowd: IntArray, asked: int, now_s: float, index: int, at: int) -> None:
        """Let the server take and answer requests. Who has waited too long has given up: the answer is wasted."""
        step_s, rng = self._clock.step_s, self._rng
        self._requests[at] += asked
        answers = int(rng.poisson(self._rate * step_s))
        rejected = self._queue.take(crowd, asked, now_s, step_s, index, answers, rng)
        if rejected is not None:
            self._room.turn_away(rejected)
        for served in self._queue.serve(now_s, step_s, answers, rng):
            if not served.is_in_time:
                self._room.turn_away(served.crowd, served.count)
            elif served.count:
                self._good[at] += served.count
                self._online += served.count
                self._eligible.append((now_s + self._login.promote_after_s, served.count))
                self._fates.finish(served.count, served.asked_at, served.waited_s, now_s - step_s / 2)

    def _tend_nodes(self, now_s: float, step_s: float, asked: int) -> None:
        """Let overloaded super nodes fall out, and new ones come up."""
        login = self._login
        while self._eligible and self._eligible[0][0] <= now_s:
            self._seasoned += self._eligible.popleft()[1]
        load = asked * min(1.0, self._alive / max(1.0, self._known))
        load /= max(1.0, self._alive * login.probes_per_s * step_s)
        self._alive *= exp(-login.overload_loss_per_s * min(10.0, max(0.0, load - 1)) * step_s)
        wanted = min(self._known - self._alive, login.eligible_share * self._seasoned)
        if wanted > 0:
            share = login.heal_share_per_s * (1.0 if self._case.is_healing else 0.02)
            self._alive += wanted * -expm1(-share * step_s)

    def story(self) -> Story:
        """Return what happened; times count from the started system to being online."""
        tally = self._fates.tally(np.inf, np.zeros(1))
        bin_s = self._clock.bin_s
        alive = np.maximum(1e-9, self._nodes)
        loads = [
            Load("login requests", "1/s", self._requests / bin_s, self._rate),
            Load("logins answered in time", "1/s", self._good / bin_s, self._rate),
            Load("super nodes", "", self._nodes, float(self._known)),
            Load("looking for a super node", "1/s", self._asked / bin_s, alive * self._login.probes_per_s),
        ]
        case, healing = self._case, "on" if self._case.is_healing else "off"
        told = "" if case.discipline is Discipline.QUEUE else f", {case.discipline.value}"
        label = f"login after {case.after}, {case.retry.kind.value} retry, healing {healing}{told}"
        return Story(label, case.seed, tally, self._phases, loads, None, LOGIN_START)
