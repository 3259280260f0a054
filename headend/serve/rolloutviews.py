"""What the API shows of roll-outs: rules and what boxes reported, and the gate."""

import msgspec

from carousel.release.identity import ReleaseId
from headend.registry import rollouts
from headend.registry.model import Kind
from headend.rollout.decisions import GatePlan, Ruling
from headend.serve.headend import Headend

__all__ = ["GateShown", "ReportsShown", "RolloutShown", "RuleShown", "TrialsShown", "rollout_shown", "rule_shown"]


class TrialsShown(msgspec.Struct, frozen=True):
    """What boxes whose reports can be believed say of a release; who has started has time left to confirm."""

    started: int
    confirmed: int
    failed: int


class RuleShown(msgspec.Struct, frozen=True):
    """What advances a release: its stages, until when the present one lasts at least, and what boxes reported."""

    stages: str
    success: str
    failures_below: float
    until_unix_s: float | None
    """Null: the last stage, or one that no rule ends."""
    trials: TrialsShown


class GateShown(msgspec.Struct, frozen=True):
    """The log-in gate: none, open, hold or ticking; at which tick of how many, and its pace."""

    state: str
    tick: int
    ticks: int
    ticks_per_s: float
    capacity_url: str
    """What paces it; empty: a person."""
    logins_per_s: float | None
    capacity_per_s: float | None
    is_healthy: bool | None
    heard_ago_s: float | None
    """Since the feed last said so; null: never."""


class ReportsShown(msgspec.Struct, frozen=True):
    """Reports that came: those that count, those that nobody vouches for, and what was none."""

    counted: int
    unproven: int
    malformed: int


class RolloutShown(msgspec.Struct, frozen=True):
    """What bulletins say. `can_speak` false: there is no key, and nothing is said."""

    can_speak: bool
    epoch: int
    revision: int
    gate: GateShown
    reports: ReportsShown


def rule_shown(headend: Headend, release: ReleaseId, ruling: Ruling | None) -> RuleShown | None:
    """Show what advances a release, if anything but a person does."""
    if ruling is None or ruling.rule is None:
        return None
    rule = ruling.rule
    samples, now = headend.reports.samples, headend.clocks.now()
    counts = samples.counts(release, rule.confirm_within_s, now)
    lasts_s = rule.lasts_s(ruling.share)
    until_unix_s = None if lasts_s is None or ruling.is_halted else round(ruling.since_unix_s + lasts_s, 3)
    trials = TrialsShown(samples.started(release), counts.confirmed, counts.failed)
    return RuleShown(rule.in_words(), rule.success.value, rule.failures_below, until_unix_s, trials)


def rollout_shown(headend: Headend) -> RolloutShown:
    """Show what bulletins say."""
    decided, record = headend.rollout, headend.state.things.get((Kind.ROLLOUT, rollouts.ROLLOUT))
    samples = headend.reports.samples
    reports = ReportsShown(samples.received, samples.unproven, headend.reports.malformed)
    revision = record.revision if record else 0
    return RolloutShown(headend.has_bulletins, decided.epoch, revision, _gate_shown(headend, decided.gate), reports)


def _gate_shown(headend: Headend, gate: GatePlan) -> GateShown:
    feed, heard_s = headend.capacity.newest, headend.capacity.heard_s
    return GateShown(
        gate.state.name.lower(),
        int(gate.tick_at(headend.clocks.unix())),
        gate.ticks,
        round(gate.ticks_per_s, 6),
        gate.capacity_url,
        feed.logins_per_s if feed else None,
        feed.capacity_per_s if feed else None,
        feed.is_healthy if feed else None,
        round(headend.clocks.now() - heard_s, 3) if feed else None,
    )
