"""What follows from the rules of roll-outs and from a capacity feed, once a second; and the gate at its present pace.

    registry: who decided what ──► live: with the pace found since ──► follow: a rule's next decision, or another pace

A pace is no decision: it is in no audit log, and the carousels' file alone has it (headend/rollout/decisions.py).
"""

from collections.abc import Callable
from dataclasses import replace

from carousel.gate import GateState
from headend.rollout.decisions import Decisions, GatePlan
from headend.rollout.pace import Feed
from headend.rollout.samples import Samples
from headend.rollout.steward import GateKeeper, Steward

__all__ = ["Rules"]


class Rules:
    """The steward and the gate's keeper of one service."""

    def __init__(self, samples: Samples, reports_per_s: float, new_chain: Callable[[int], bytes]) -> None:
        self._steward = Steward(samples, reports_per_s)
        self._keeper = GateKeeper(new_chain)
        self._paced: GatePlan | None = None

    def resume(self, decided: Decisions, told: Decisions, silent_unix_s: float, unix_s: float) -> None:
        """Go on with a gate from the tick that was told last: nobody's turn comes while nothing is on the air."""
        self._paced = None
        if decided.gate.state is GateState.TICKING:
            gate = told.gate if _is_same(told.gate, decided.gate) else decided.gate
            self._paced = replace(gate, tick=gate.tick_at(max(silent_unix_s, gate.at_unix_s)), at_unix_s=unix_s)

    def live(self, decided: Decisions) -> Decisions:
        """Return what is decided, with the gate at its present pace."""
        if self._paced is None or not _is_same(self._paced, decided.gate):
            return decided
        return replace(decided, gate=self._paced)

    def was_decided(self) -> None:
        """Take the gate as the registry has it from now on: whoever decided did so on `live`."""
        self._paced = None

    def follow(self, live: Decisions, feed: Feed | None, now: float, unix_s: float) -> Decisions:
        """Return what follows; under the same epoch it is at most another pace."""
        after = self._steward.tend(live, now, unix_s)
        if live.gate.capacity_url:
            after = self._keeper.tend(after, feed, now, unix_s)
        if after.gate is not live.gate and after.epoch == live.epoch:
            self._paced = after.gate
        return after


def _is_same(one: GatePlan, other: GatePlan) -> bool:
    return one.state is other.state is GateState.TICKING and one.chain == other.chain
