"""Boxes that get the image from each other, from super nodes that restart with everybody.

A box asks super nodes it remembers, most of which are down after a common restart; each asking that meets a dead or
full one costs a time-out. With self-healing, boxes that run are promoted when super nodes are short; without, only
those come back that were ones, after they have booted themselves.
"""

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS, Tally, phases_of_events
from bench.fleet.scenario.values import Peers, Retry, RetryKind, Scenario
from bench.fleet.storm.crowd import Arrivals, Clock, Fates, Load, Story, WaitingRoom, draw_some
from bench.fleet.storm.unicast import fleet_of, line_rate_bps
from carousel.release.blocks import IntArray

__all__ = ["run_p2p"]

FloatArray = NDArray[np.float64]
P2P_STREAM = 22


def run_p2p(scenario: Scenario, seed: int, retry: Retry, is_healing: bool) -> Story:
    """Let all boxes look for peers, and see who gets an image when."""
    assert scenario.peers is not None
    storm = _Storm(scenario, scenario.peers, retry, is_healing, seed)
    for index in range(storm.clock.count):
        storm.step(index)
    return storm.story()


class _Storm:
    def __init__(self, scenario: Scenario, peers: Peers, retry: Retry, is_healing: bool, seed: int) -> None:
        self.clock = Clock.of(scenario.horizon_s, peers.request_timeout_s)
        self._scenario, self._peers, self._retry, self._is_healing = scenario, peers, retry, is_healing
        self._seed = seed
        self._rng = np.random.default_rng([seed, P2P_STREAM, list(RetryKind).index(retry.kind), int(is_healing)])
        self._fleet = fleet = fleet_of(scenario, seed)
        self._arrivals = Arrivals(fleet.starts_s, fleet.widths_s, fleet.counts)
        self._room = WaitingRoom(retry, peers.request_timeout_s, len(fleet.counts), self.clock.step_s)
        self._fates = Fates(Tally(scenario.horizon_s), fleet.regions, scenario.deadline_s)
        self._known = peers.supernode_share * scenario.boxes
        self._alive = self._known * (1 - peers.restart_share)
        self._took = self._durations_s()
        self._done_at: dict[int, IntArray] = {}
        self._busy = 0
        self._promotions = np.zeros(self.clock.count + 1)
        self._sent_bits, self._asked, self._nodes = (np.zeros(STEPS) for _ in range(3))

    def _durations_s(self) -> FloatArray:
        """Return how long a transfer takes for each cohort; infinity where nothing comes back."""
        slot_bps = self._peers.rate_bps / self._peers.slots
        found = []
        for index in self._fleet.group.tolist():
            box_class = self._fleet.groups[index].box_class
            rate_bps = min(slot_bps, line_rate_bps(box_class, "http"))
            bits = self._scenario.release(box_class.release).image_bytes * 8
            found.append(bits / rate_bps if rate_bps else np.inf)
        return np.array(found)

    def step(self, index: int) -> None:
        """Go one substep on."""
        now_s, step_s = (index + 1) * self.clock.step_s, self.clock.step_s
        step = index // self.clock.substeps
        come = self._arrivals.until(now_s, step_s, self._rng)
        self._fates.power_up(now_s - step_s / 2, come)
        asking = self._room.leave(self._rng)
        asking += self._room.newcomers(np.where(np.isfinite(self._took), come, 0))
        self._asked[step] += asking.sum()
        let_in = self._ask(asking)
        self._begin(let_in.sum(axis=0), index)
        self._finish(index, now_s)
        self._alive += self._promotions[index]
        self._sent_bits[step] += self._busy * self._peers.rate_bps / self._peers.slots * step_s
        self._nodes[step] = self._alive
        self._fates.fall_back(now_s)

    def _ask(self, asking: IntArray) -> IntArray:
        """Return whose asking meets a super node that lives, answers in time and has a free slot."""
        total = int(asking.sum())
        free = int(max(0.0, self._alive * self._peers.slots - self._busy))
        answers = self._alive * self._peers.probes_per_s * self.clock.step_s
        is_alive = min(1.0, self._alive / max(1.0, self._known))
        answered = min(1.0, answers / max(1.0, total * is_alive))
        reached = self._rng.binomial(asking, is_alive * answered)
        let_in = draw_some(reached, free, self._rng)
        self._room.turn_away(asking - let_in)
        return let_in

    def _begin(self, counts: IntArray, index: int) -> None:
        self._busy += int(counts.sum())
        steps = np.ceil(np.where(np.isfinite(self._took), self._took, 0) / self.clock.step_s).astype(np.int64)
        for cohort in np.flatnonzero(counts).tolist():
            end = index + int(steps[cohort])
            self._done_at.setdefault(end, np.zeros_like(counts))[cohort] += counts[cohort]

    def _finish(self, index: int, now_s: float) -> None:
        """Let transfers end; who runs may become a super node."""
        counts = self._done_at.pop(index, None)
        if counts is None:
            return
        self._busy -= int(counts.sum())
        self._fates.verify(now_s, counts, self._fleet.start_up_s)
        peers, done = self._peers, float(counts.sum())
        back_s = float(self._fleet.start_up_s.mean())
        self._promote(index, back_s, done * peers.supernode_share * peers.restart_share)
        if self._is_healing and self._alive * peers.slots < self._room.crowd.sum():
            self._promote(index, back_s + peers.promote_after_s, done * 0.5)

    def _promote(self, index: int, after_s: float, nodes: float) -> None:
        at = index + 1 + int(after_s / self.clock.step_s)
        if at < len(self._promotions):
            self._promotions[at] += nodes

    def story(self) -> Story:
        """Return what happened."""
        self._fates.close(self._arrivals.left)
        step_s = self.clock.step_s * self.clock.substeps
        phases = phases_of_events(self._fates.tally.events)
        capacity = float(self._known * self._peers.rate_bps)
        loads = [
            Load("sent by super nodes", "b/s", self._sent_bits / step_s, capacity),
            Load("super nodes", "", self._nodes, float(self._known)),
            Load("requests", "1/s", self._asked / step_s, float(self._known * self._peers.probes_per_s)),
        ]
        label = f"p2p, {self._retry.kind.value} retry, healing {'on' if self._is_healing else 'off'}"
        sent = float(self._sent_bits.sum()) / 8 / self._scenario.boxes
        return Story(label, self._seed, self._fates.tally, phases, loads, sent)
