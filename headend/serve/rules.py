"""What follows from the rules of roll-outs and from a capacity feed, once a second; and what is found out meanwhile.

    registry: who decided what ──► live: with pace and samples ──► follow: a rule's next decision, or another finding

The pace of a gate, and how many boxes are asked to report, are no decisions: they are in no audit log, and collide with
nobody's. The carousels' file alone has them, under epochs of its own that are ahead of the registry's.
"""

from collections.abc import Callable
from dataclasses import replace

from carousel.bulletin import ReportTo
from carousel.gate import GateState
from carousel.release.identity import ReleaseId
from headend.rollout.decisions import Decisions, GatePlan, Ruling
from headend.rollout.pace import Feed
from headend.rollout.samples import Samples
from headend.rollout.steward import GateKeeper, Steward

__all__ = ["Rules", "is_decision"]


def is_decision(before: Decisions, after: Decisions) -> bool:
    """Say whether anything but a pace and samples is different."""
    return _decided(before) != _decided(after)


def _decided(decisions: Decisions) -> tuple[dict[ReleaseId, Ruling], GateState, bytes]:
    rulings = {release: replace(each, report_to=None) for release, each in decisions.releases.items()}
    return rulings, decisions.gate.state, decisions.gate.chain


class Rules:
    """The steward and the gate's keeper of one service."""

    def __init__(self, samples: Samples, reports_per_s: float, new_chain: Callable[[int], bytes]) -> None:
        self._steward = Steward(samples, reports_per_s)
        self._keeper = GateKeeper(new_chain)
        self._paced: GatePlan | None = None
        self._asked: dict[ReleaseId, ReportTo] = {}
        self._epoch = 0

    def resume(self, decided: Decisions, told: Decisions | None, silent_unix_s: float, unix_s: float) -> None:
        """Go on with what the carousels were told last, and with a gate from the tick that it was at then.

        Nobody's turn comes while nothing is on the air. Where nothing is known of it, epochs go on above all of before.
        """
        if told is not None and told.epoch >= decided.epoch and not is_decision(decided, told):
            self._find(told)
        elif told is None and decided.epoch:
            self._epoch = int(unix_s * 1000)
        if decided.gate.state is GateState.TICKING:
            gate = self.live(decided).gate
            self._paced = replace(gate, tick=gate.tick_at(max(silent_unix_s, gate.at_unix_s)), at_unix_s=unix_s)

    def live(self, decided: Decisions) -> Decisions:
        """Return what is decided, with the gate at its present pace, and as many boxes asked as are now."""
        releases = {
            release: replace(ruling, report_to=self._asked[release])
            if ruling.report_to is not None and release in self._asked
            else ruling
            for release, ruling in decided.releases.items()
        }
        gate = self._paced if self._paced is not None and _is_same(self._paced, decided.gate) else decided.gate
        return Decisions(max(decided.epoch, self._epoch), releases, gate)

    def was_decided(self) -> None:
        """Take everything as the registry has it from now on: whoever decided did so on `live`."""
        self._paced, self._asked, self._epoch = None, {}, 0

    def follow(self, live: Decisions, feed: Feed | None, now: float, unix_s: float) -> Decisions:
        """Return what follows; what is no decision is in `live` from now on."""
        after = self._steward.tend(live, now, unix_s)
        if live.gate.capacity_url:
            after = self._keeper.tend(after, feed, now, unix_s)
        if not is_decision(live, after):
            self._find(after)
        return after

    def _find(self, found: Decisions) -> None:
        self._epoch, self._paced = found.epoch, found.gate
        self._asked = {release: each.report_to for release, each in found.releases.items() if each.report_to}


def _is_same(one: GatePlan, other: GatePlan) -> bool:
    return one.state is other.state is GateState.TICKING and one.chain == other.chain
