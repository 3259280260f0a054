"""What may be decided about roll-outs: headend/rollout says what follows, and this what is kept of it. Pure."""

import json
from dataclasses import replace
from typing import Any

from carousel.bulletin import ReportTo
from carousel.errors import OperatorError
from carousel.gate import GateState
from carousel.release.identity import ReleaseId
from headend.registry.model import Kind, Record, RolloutRecord, State, UnknownError, Update
from headend.rollout.decisions import Decisions, GatePlan, Ruling, format_decisions, fresh_salt, parse_decisions
from headend.rollout.stages import Rule

__all__ = ["ROLLOUT", "decisions_of", "follow", "forget", "gate", "halt", "resume", "rule", "stage", "with_live"]

ROLLOUT = "rollout"
"""The key of the one record: all that bulletins say is under one epoch."""


def decisions_of(state: State) -> Decisions:
    """Return what is decided about roll-outs."""
    record = state.things.get((Kind.ROLLOUT, ROLLOUT))
    if record is None:
        return Decisions()
    assert isinstance(record.body, RolloutRecord)
    return parse_decisions(json.dumps(record.body.decisions))


def with_live(state: State, live: Decisions) -> State:
    """Return a state with what was found since (headend/serve/rules.py): the next decision rests on it."""
    record = state.things.get((Kind.ROLLOUT, ROLLOUT))
    if record is None:
        return state
    body = RolloutRecord(json.loads(format_decisions(live)))
    return State({**state.things, (Kind.ROLLOUT, ROLLOUT): Record(body, record.revision)})


def stage(state: State, key: str, share: float, draws_anew: bool, unix_s: float) -> Update:
    """Let a release go to a share of the boxes; shares only grow, unless other boxes are drawn."""
    release, before = _known(state, key), decisions_of(state)
    ruling = before.releases.get(release)
    salt = b"" if ruling and not draws_anew else fresh_salt(release, ruling.salt if ruling else b"")
    called = _called(state, key)
    try:
        after = before.staged(release, share, salt, _ms(unix_s))
    except OperatorError as error:
        raise OperatorError(f"{called}: {error}") from None
    return _update("stage", after, f"{called} to {share * 100:g} %{' of others' if draws_anew else ''}")


def rule(state: State, key: str, by: Rule | None, report_to: ReportTo | None, unix_s: float) -> Update:
    """Let a rule advance a release from where it is, by reports if it asks for some; None: nobody but a person."""
    release = _known(state, key)
    after = decisions_of(state).ruled(release, by, _ms(unix_s)).sampled(release, report_to, _ms(unix_s))
    return _update("rule", after, f"{_called(state, key)}: {by.in_words() if by else 'none any more'}")


def follow(state: State, after: Decisions) -> Update:
    """Note what followed from rules and from a capacity feed."""
    before, told = decisions_of(state), []
    for release, ruling in after.releases.items():
        was, called = before.releases.get(release, Ruling()), _called(state, str(release))
        if ruling.is_halted and not was.is_halted:
            told.append(("halt", f"{called}: {ruling.why}"))
        elif ruling.share != was.share:
            told.append(("stage", f"{called} to {ruling.share * 100:g} %"))
    if (after.gate.state, after.gate.chain) != (before.gate.state, before.gate.chain):
        told.append(("gate", after.gate.state.name.lower()))
    told.sort(key=lambda each: ("halt", "stage", "gate").index(each[0]))
    return _update(told[0][0] if told else "follow", after, "; ".join(detail for _, detail in told))


def halt(state: State, key: str, why: str, unix_s: float) -> Update:
    """Stop a release."""
    after = decisions_of(state).halted(_known(state, key), why, _ms(unix_s))
    return _update("halt", after, f"{_called(state, key)}: {why}")


def resume(state: State, key: str, unix_s: float) -> Update:
    """Let a halted release go on where it was."""
    release, before = _known(state, key), decisions_of(state)
    if release not in before.releases or not before.releases[release].is_halted:
        raise OperatorError(f"release {key} is not halted")
    return _update("resume-rollout", before.resumed(release, _ms(unix_s)), _called(state, key))


def forget(state: State, key: str, unix_s: float) -> Update:
    """Say nothing of a release any more: then it is for every box."""
    release, before = _known(state, key), decisions_of(state)
    if release not in before.releases:
        raise UnknownError(f"nothing is decided about release {key}")
    return _update("forget", before.forgotten(release, _ms(unix_s)), _called(state, key))


def gate(state: State, plan: GatePlan, unix_s: float) -> Update:
    """Set the log-in gate; one that ticks the same chain at another pace keeps its epoch."""
    before = decisions_of(state)
    is_pace = plan.state is before.gate.state is GateState.TICKING and before.gate.chain == plan.chain
    after = replace(before, gate=plan) if is_pace else before.gated(plan, _ms(unix_s))
    word = plan.state.name.lower()
    pace = f" {plan.ticks_per_s:g} a second" if plan.state is GateState.TICKING else ""
    return _update("gate", after, word + pace + (f", paced by {plan.capacity_url}" if plan.capacity_url else ""))


def _known(state: State, key: str) -> ReleaseId:
    """Return a release that is in the store, or that something was decided about."""
    try:
        release = ReleaseId(bytes.fromhex(key))
    except ValueError:
        raise UnknownError(f"{key!r} is no release ID of 32 hex digits") from None
    if (Kind.RELEASE, key) not in state.things and release not in decisions_of(state).releases:
        raise UnknownError(f"there is no release {key!r} here")
    return release


def _called(state: State, key: str) -> str:
    if (Kind.RELEASE, key) not in state.things:
        return key[:8]
    release = state.release(key)
    return f"{release.name} {release.version} ({key[:8]})"


def _ms(unix_s: float) -> int:
    return int(unix_s * 1000)


def _update(action: str, after: Decisions, detail: str) -> Update:
    body: dict[str, Any] = json.loads(format_decisions(after))
    return Update(action, Kind.ROLLOUT, ROLLOUT, RolloutRecord(body), detail)
