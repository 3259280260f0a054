"""Follows the rules of roll-outs, and the pace of a gate: from the record, reports and a feed to the next record.

Pure but for what it counts: `headend rollout watch` and the service drive it once a second and keep what it returns.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from carousel.gate import LEAST_TICKS, GateState
from carousel.release.identity import ReleaseId
from headend.rollout.decisions import Decisions, GatePlan, Ruling
from headend.rollout.pace import Course, Feed, Pace
from headend.rollout.samples import SampleRate, Samples

__all__ = ["GateKeeper", "Steward"]

WELL_S = 5.0
"""So long a server says that it is well before a gate that was held for it ticks: one that flaps decides little."""

NewChain = Callable[[int], bytes]
"""Make a chain of so many ticks; return its id."""


class Steward:
    """Advances and halts releases by their rules, and asks as many boxes to report as a target wants."""

    def __init__(self, samples: Samples, reports_per_s: float) -> None:
        self._samples = samples
        self._reports_per_s = reports_per_s
        self._rates: dict[ReleaseId, SampleRate] = {}
        self._begun: dict[ReleaseId, tuple[bytes, bool]] = {}
        """Salt, and whether it was halted, as last seen."""

    def tend(self, decisions: Decisions, now: float, unix_s: float) -> Decisions:
        """Return what follows from rules and reports; the same record if nothing does."""
        for release, ruling in decisions.releases.items():
            self._notice_new_trials(release, ruling)
            if ruling.rule is None or ruling.is_halted:
                continue
            counts = self._samples.counts(release, ruling.rule.confirm_within_s, now)
            move = ruling.rule.move(ruling.share, ruling.since_unix_s, counts, unix_s)
            if move is not None and move.halt is not None:
                decisions = decisions.halted(release, move.halt, int(unix_s * 1000))
            elif move is not None and move.share is not None:
                decisions = decisions.staged(release, move.share, b"", int(unix_s * 1000))
        return self._sample(decisions, now, unix_s)

    def _notice_new_trials(self, release: ReleaseId, ruling: Ruling) -> None:
        """Count anew where other boxes were drawn, or a person has resumed what was halted."""
        salt, was_halted = self._begun.get(release, (ruling.salt, ruling.is_halted))
        if salt != ruling.salt or (was_halted and not ruling.is_halted):
            self._samples.forget(release)
        self._begun[release] = (ruling.salt, ruling.is_halted)

    def _sample(self, decisions: Decisions, now: float, unix_s: float) -> Decisions:
        for release, ruling in decisions.releases.items():
            to = ruling.report_to
            if to is None or ruling.is_halted:
                continue
            rate = self._rates.setdefault(release, SampleRate(self._reports_per_s, to.spread_s, to.sample_threshold))
            threshold = rate.look(self._samples.started(release), now)
            if threshold != to.sample_threshold:
                decisions = decisions.sampled(release, to.but(sample_threshold=threshold), int(unix_s * 1000))
        return decisions


class GateKeeper:
    """Keeps a ticking gate at the pace that a log-in server can take, from the pace that somebody else gave it."""

    def __init__(self, new_chain: NewChain, ticks: int = LEAST_TICKS) -> None:
        self._new_chain = new_chain
        self._ticks = ticks
        self._pace = Pace(ticks)
        self._known = GatePlan()
        """The gate as it was left."""
        self._sick_s = -math.inf

    def tend(self, decisions: Decisions, feed: Feed | None, now: float, unix_s: float) -> Decisions:
        """Return what follows from a feed, or from its absence."""
        gate = decisions.gate
        if gate.ticks and (gate.chain, gate.ticks_per_s) != (self._known.chain, self._known.ticks_per_s):
            self._pace = Pace(gate.ticks, gate.ticks_per_s)
        after = self._follow(decisions, feed, now, unix_s)
        self._known = after.gate
        return after

    def _follow(self, decisions: Decisions, feed: Feed | None, now: float, unix_s: float) -> Decisions:
        gate = decisions.gate
        if gate.state is GateState.OPEN and self._pace.must_close(feed):
            return self._redraw(decisions, unix_s)
        if feed is not None and not feed.is_healthy:
            self._sick_s = now
        is_recovering = feed is not None and feed.is_healthy and now - self._sick_s < WELL_S
        if gate.state not in (GateState.TICKING, GateState.HOLD) or (gate.state is GateState.HOLD and is_recovering):
            return decisions
        course = self._pace.feed(feed, gate.tick_at(unix_s), now)
        if course is Course.HOLD:
            return self._held(decisions, unix_s)
        if course is Course.OPEN:
            return decisions.gated(GatePlan(GateState.OPEN, capacity_url=gate.capacity_url), int(unix_s * 1000))
        if course is Course.REDRAW or (feed is not None and not gate.ticks):
            return self._redraw(decisions, unix_s)
        return self._ticking(decisions, feed is not None, unix_s)

    def _held(self, decisions: Decisions, unix_s: float) -> Decisions:
        gate = decisions.gate
        if gate.state is GateState.HOLD:
            return decisions
        held = replace(gate, state=GateState.HOLD, tick=gate.tick_at(unix_s), at_unix_s=unix_s)
        return decisions.gated(held, int(unix_s * 1000))

    def _ticking(self, decisions: Decisions, is_fed: bool, unix_s: float) -> Decisions:
        """Go on at the present pace; a gate on hold ticks again as soon as its server says that it is well."""
        gate = decisions.gate
        paced = self._paced(gate, unix_s)
        if gate.state is GateState.HOLD:
            return decisions.gated(replace(paced, state=GateState.TICKING), int(unix_s * 1000)) if is_fed else decisions
        return replace(decisions, gate=paced) if paced.ticks_per_s != gate.ticks_per_s else decisions

    def _paced(self, gate: GatePlan, unix_s: float) -> GatePlan:
        """Return the gate at the present pace, which does not reach the last tick before it is asked again."""
        left = max(0.0, gate.ticks - 1 - gate.tick_at(unix_s))
        return gate.paced(min(self._pace.ticks_per_s, left / 2), unix_s)

    def _redraw(self, decisions: Decisions, unix_s: float) -> Decisions:
        """Draw all turns anew."""
        self._pace = Pace(self._ticks)
        chain = self._new_chain(self._ticks)
        plan = replace(GatePlan(GateState.TICKING, chain, self._ticks), at_unix_s=unix_s)
        plan = replace(plan, ticks_per_s=self._pace.ticks_per_s, capacity_url=decisions.gate.capacity_url)
        return decisions.gated(plan, int(unix_s * 1000))
