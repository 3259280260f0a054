"""The login after boot, in two steps: a super node with a free slot, then the login server (the outage of 2007).

    booted -> looking for a super node -> asking the login server -> online, holding its slot
                ^   dead, full, overloaded     |  dropped, or answered too late
                +--- waits, by the retry policy ---+

Two things make it a collapse and not a queue. A server that answers in turn answers requests that nobody waits for any
more, once its queue is longer than the clients' patience. And super nodes that are asked more than they can answer
fall out, which leaves more for the others. Self-healing makes new super nodes of clients that are online.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Login, Retry, RetryKind, Scenario
from bench.fleet.storm.crowd import Arrivals, Clock, Fates, Load, Story, WaitingRoom, draw_some
from carousel.release.blocks import IntArray

__all__ = ["run_login"]

FloatArray = NDArray[np.float64]
LOGIN_STREAM = 23
MOST_COHORTS = 40


def run_login(scenario: Scenario, seed: int, retry: Retry, is_healing: bool, up: IntArray, after: str) -> Story:
    """Let boxes log in that start as `up` says, by step of the horizon (`Tally.events`)."""
    assert scenario.login is not None
    storm = _Storm(scenario, scenario.login, retry, is_healing, seed, up)
    for index in range(storm.clock.count):
        storm.step(index)
    return storm.story(after)


def _cohorts(up: IntArray, horizon_s: float) -> tuple[FloatArray, FloatArray, IntArray]:
    """Put steps in which boxes start together into few cohorts: (middle, width, boxes)."""
    step_s = horizon_s / STEPS
    seen = np.flatnonzero(up[:-1])
    if not len(seen):
        return np.array([horizon_s]), np.array([step_s]), np.array([0])
    parts = np.array_split(np.arange(seen[0], seen[-1] + 1), min(MOST_COHORTS, seen[-1] - seen[0] + 1))
    middles = np.array([(part[0] + part[-1] + 1) / 2 * step_s for part in parts])
    return middles, np.array([len(part) * step_s for part in parts]), np.array([int(up[part].sum()) for part in parts])


class _Storm:
    def __init__(
        self, scenario: Scenario, login: Login, retry: Retry, is_healing: bool, seed: int, up: IntArray
    ) -> None:
        self.clock = Clock.of(scenario.horizon_s, login.timeout_s)
        self._login, self._retry, self._is_healing, self._seed = login, retry, is_healing, seed
        self._rng = np.random.default_rng([seed, LOGIN_STREAM, list(RetryKind).index(retry.kind), int(is_healing)])
        starts_s, widths_s, counts = _cohorts(up, scenario.horizon_s)
        self._boxes = scenario.boxes
        self._arrivals = Arrivals(starts_s, widths_s, counts)
        self._room = WaitingRoom(retry, login.timeout_s, len(counts), self.clock.step_s)
        self._fates = Fates(Tally(scenario.horizon_s), ["login"] * len(counts), np.inf)
        self._known = login.supernode_share * scenario.boxes
        self._alive = self._known * (1 - login.restart_share)
        self._queue: deque[tuple[float, IntArray]] = deque()
        self._queued = 0
        self._online = 0
        self._eligible: deque[tuple[float, int]] = deque()
        self._seasoned = 0
        self._requests, self._good, self._nodes, self._asked = (np.zeros(STEPS) for _ in range(4))
        self._phases = {
            name: np.zeros(STEPS, dtype=np.int64) for name in ("not up", "searching", "logging in", "online")
        }

    def step(self, index: int) -> None:
        """Go one substep on."""
        now_s, step_s = (index + 1) * self.clock.step_s, self.clock.step_s
        step = index // self.clock.substeps
        come = self._arrivals.until(now_s, step_s, self._rng)
        self._fates.power_up(now_s - step_s / 2, come)
        searching = self._room.leave(self._rng) + self._room.newcomers(come)
        self._asked[step] += searching.sum()
        self._enqueue(self._find_node(searching, step_s), now_s, step)
        self._serve(now_s, step)
        self._tend_nodes(now_s, step_s, int(searching.sum()))
        self._nodes[step] = self._alive
        self._phases["not up"][step] = self._boxes - self._online - self._queued - int(self._room.crowd.sum())
        self._phases["searching"][step] = int(self._room.crowd.sum())
        self._phases["logging in"][step] = self._queued
        self._phases["online"][step] = self._online

    def _find_node(self, searching: IntArray, step_s: float) -> IntArray:
        """Return who found a super node that lives, answers, and has a free slot."""
        login = self._login
        is_alive = min(1.0, self._alive / max(1.0, self._known))
        asked = max(1.0, float(searching.sum()) * is_alive)
        answered = min(1.0, self._alive * login.probes_per_s * step_s / asked)
        reached = self._rng.binomial(searching, is_alive * answered)
        free = int(max(0.0, self._alive * login.slots - self._online - self._queued))
        found = draw_some(reached, free, self._rng)
        self._room.turn_away(searching - found)
        return found

    def _enqueue(self, crowd: IntArray, now_s: float, step: int) -> None:
        """Put requests into the server's queue; what does not fit is dropped, and waits."""
        self._requests[step] += crowd.sum()
        room = int(self._login.queue_per_million * self._boxes / 1e6) - self._queued
        taken = draw_some(crowd, max(0, room), self._rng)
        self._room.turn_away(crowd - taken)
        if taken.any():
            self._queue.append((now_s, taken))
            self._queued += int(taken.sum())

    def _serve(self, now_s: float, step: int) -> None:
        """Answer in turn. Who has waited too long has given up: the answer is wasted, the box waits to try again."""
        left = int(self._rng.poisson(self._login.logins_per_s_per_million * self._boxes / 1e6 * self.clock.step_s))
        while left and self._queue:
            asked_s, crowd = self._queue.popleft()
            served = draw_some(crowd, left, self._rng)
            count = int(served.sum())
            left -= count
            self._queued -= count
            if count < int(crowd.sum()):
                self._queue.appendleft((asked_s, crowd - served))
            if now_s - asked_s > self._login.timeout_s:
                self._room.turn_away(served)
                continue
            self._good[step] += count
            self._online += count
            self._eligible.append((now_s + self._login.promote_after_s, count))
            by_cohort = served.sum(axis=0)
            self._fates.verify(now_s, by_cohort, np.zeros(len(by_cohort)))

    def _tend_nodes(self, now_s: float, step_s: float, asked: int) -> None:
        """Let overloaded super nodes fall out, and new ones come up."""
        login = self._login
        while self._eligible and self._eligible[0][0] <= now_s:
            self._seasoned += self._eligible.popleft()[1]
        load = (
            asked * min(1.0, self._alive / max(1.0, self._known)) / max(1.0, self._alive * login.probes_per_s * step_s)
        )
        self._alive *= np.exp(-login.overload_loss_per_s * min(10.0, max(0.0, load - 1)) * step_s)
        wanted = min(self._known - self._alive, 0.5 * self._seasoned)
        if wanted > 0:
            share = login.heal_share_per_s * (1.0 if self._is_healing else 0.02)
            self._alive += wanted * -np.expm1(-share * step_s)

    def story(self, after: str) -> Story:
        """Return what happened; times count from the started system to being online."""
        self._fates.close(self._arrivals.left)
        step_s = self.clock.step_s * self.clock.substeps
        capacity = self._login.logins_per_s_per_million * self._boxes / 1e6
        loads = [
            Load("login requests", "1/s", self._requests / step_s, capacity),
            Load("logins that somebody waited for", "1/s", self._good / step_s, capacity),
            Load("super nodes", "", self._nodes, float(self._known)),
            Load("looking for a super node", "1/s", self._asked / step_s, self._known * self._login.probes_per_s),
        ]
        healing = "on" if self._is_healing else "off"
        label = f"login after {after}, {self._retry.kind.value} retry, healing {healing}"
        return Story(label, self._seed, self._fates.tally, self._phases, loads, None, "start of the system")
