"""Boxes that get the image from each other, from super nodes that restart with everybody.

A box asks super nodes it remembers, most of which are down after a common restart; each asking that meets a dead or
full one costs a time-out. Nodes that restarted come back once they have booted themselves. With self-healing, boxes
that run take the place of nodes that lack, as far as they can be reached from outside (`eligible_share`): there are
never more super nodes than there were before.
"""

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS, phases_of_events
from bench.fleet.scenario.values import Peers, Retry, RetryKind, Scenario, Server
from bench.fleet.storm.crowd import Clock, Load, Story, WaitingRoom, arrivals_of, by_group, draw_some, total_of
from bench.fleet.storm.engine import run_converged
from bench.fleet.storm.fates import Fates
from bench.fleet.storm.unicast import line_rate_bps, start_up_s
from carousel.release.blocks import IntArray

__all__ = ["run_p2p"]

FloatArray = NDArray[np.float64]
P2P_STREAM = 22


def run_p2p(scenario: Scenario, seed: int, retry: Retry, is_healing: bool) -> Story:
    """Let all boxes look for peers, and see who gets an image when."""
    assert scenario.peers is not None
    peers, took = scenario.peers, _durations_s(scenario, scenario.peers)
    return run_converged(
        lambda clock: _Storm(scenario, peers, retry, is_healing, seed, clock, took),
        scenario.horizon_s,
        peers.request_timeout_s,
    )


def _durations_s(scenario: Scenario, peers: Peers) -> FloatArray:
    """Return how long a transfer takes for each group; infinity where nothing comes back."""
    found = []
    for group in scenario.groups():
        rate_bps = min(peers.rate_bps / peers.slots, line_rate_bps(group.box_class, Server()))
        bits = scenario.release(group.box_class.release).image_bytes * 8
        found.append(bits / rate_bps if rate_bps else np.inf)
    return np.array(found)


class _Storm:
    def __init__(
        self, scenario: Scenario, peers: Peers, retry: Retry, is_healing: bool, seed: int, clock: Clock,
        took: FloatArray,
    ) -> None:  # fmt: skip
        self._clock, self._scenario, self._peers, self._retry = clock, scenario, peers, retry
        self._is_healing, self._seed = is_healing, seed
        self._start_up_s = start_up_s(scenario, scenario.groups())
        self._rng = np.random.default_rng([seed, P2P_STREAM, list(RetryKind).index(retry.kind), int(is_healing)])
        self._groups = groups = scenario.groups()
        came = arrivals_of(groups, clock, self._rng)
        self._fates = Fates(clock, groups, came, [each.region.name for each in groups])
        self._room = WaitingRoom(retry, peers.request_timeout_s, len(groups), clock.step_s)
        reachable = np.isfinite(took)
        self._come = came * reachable
        self._comes: list[int] = self._come.sum(axis=1).tolist()
        self._to_come = sum(self._comes)
        self._known = peers.supernode_share * scenario.boxes
        self._alive = self._known * (1 - peers.restart_share)
        self._took = np.where(reachable, took, 0.0)
        lasts = np.maximum(1.0, self._took / clock.step_s)
        self._whole = lasts.astype(np.int64)
        self._part = lasts - self._whole
        self._all = np.arange(len(groups))
        self._ends = np.zeros((clock.count + 1, len(groups)), dtype=np.int64)
        self._busy = 0
        self._backs, self._chances = [0.0] * (clock.count + 1), [0.0] * (clock.count + 1)
        self._eligible = 0.0
        self._sent_bits, self._asked, self._nodes = (np.zeros(STEPS) for _ in range(3))

    @property
    def is_over(self) -> bool:
        """Whether everybody who can have it has it."""
        return not (self._to_come or self._room.total or self._busy)

    def step(self, index: int) -> None:
        """Go one step on."""
        clock, at = self._clock, self._clock.bin_of(index)
        self._finish(index)
        self._tend_nodes(index)
        self._to_come -= self._comes[index]
        asking, asked = self._room.callers(self._come[index], self._comes[index], self._rng)
        if asked:
            self._asked[at] += asked
            self._fates.ask(by_group(asking), index)
            self._begin(by_group(self._ask(asking, asked)), index)
        self._sent_bits[at] += self._busy * self._peers.rate_bps / self._peers.slots * clock.step_s
        self._nodes[at] = self._alive

    def _ask(self, asking: IntArray, total: int) -> IntArray:
        """Return whose asking meets a super node that lives, answers in time and has a free slot."""
        free = int(max(0.0, self._alive * self._peers.slots - self._busy))
        answers = self._alive * self._peers.probes_per_s * self._clock.step_s
        is_alive = min(1.0, self._alive / max(1.0, self._known))
        answered = min(1.0, answers / max(1.0, total * is_alive))
        reached = self._rng.binomial(asking, is_alive * answered)
        let_in = draw_some(reached, free, self._rng)
        self._room.turn_away(asking - let_in)
        return let_in

    def _begin(self, counts: IntArray, index: int) -> None:
        """Let transfers begin, and note when they end."""
        begun = total_of(counts)
        if not begun:
            return
        self._busy += begun
        # Some end a step sooner than others: on average as soon as they do, whatever the steps.
        later = self._rng.binomial(counts, self._part)
        ends = np.minimum(self._clock.count, index + self._whole)
        self._ends[ends, self._all] += counts - later
        self._ends[np.minimum(self._clock.count, ends + 1), self._all] += later
        self._fates.finish_each(counts, index, self._took, (index + 0.5) * self._clock.step_s + self._took)

    def _finish(self, index: int) -> None:
        """Let transfers end; nodes that restarted come back, and who runs long enough may become one."""
        counts = self._ends[index]
        done = total_of(counts)
        if not done:
            return
        self._busy -= done
        peers, back_s = self._peers, float(counts @ self._start_up_s / done)
        self._later(self._backs, index, back_s, done * peers.supernode_share * peers.restart_share)
        self._later(self._chances, index, back_s + peers.promote_after_s, done * peers.eligible_share)

    def _later(self, ledger: list[float], index: int, after_s: float, nodes: float) -> None:
        whole, part = divmod(max(1.0, after_s / self._clock.step_s), 1.0)
        for at, some in ((index + int(whole), nodes * (1 - part)), (index + int(whole) + 1, nodes * part)):
            if at < len(ledger):
                ledger[at] += some

    def _tend_nodes(self, index: int) -> None:
        """Bring nodes back, up to as many as there were; healing fills what lacks with boxes that run."""
        self._alive = min(self._known, self._alive + self._backs[index])
        self._eligible += self._chances[index]
        if self._is_healing:
            promoted = min(self._known - self._alive, self._eligible)
            self._alive += promoted
            self._eligible -= promoted

    def story(self) -> Story:
        """Return what happened."""
        tally = self._fates.tally(self._scenario.deadline_s, self._start_up_s)
        bin_s, peers = self._clock.bin_s, self._peers
        alive = np.maximum(1e-9, self._nodes)
        loads = [
            Load("sent by super nodes", "b/s", self._sent_bits / bin_s, alive * peers.rate_bps),
            Load("super nodes", "", self._nodes, float(self._known)),
            Load("requests", "1/s", self._asked / bin_s, alive * peers.probes_per_s),
        ]
        label = f"p2p, {self._retry.kind.value} retry, healing {'on' if self._is_healing else 'off'}"
        sent = float(self._sent_bits.sum()) / 8 / self._scenario.boxes
        return Story(label, self._seed, tally, phases_of_events(tally.events), loads, sent)
