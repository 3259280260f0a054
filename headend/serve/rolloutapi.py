"""The API's operations on roll-outs: stages, halts, and the log-in gate."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

import msgspec

from carousel.bulletin import ReportTo
from carousel.errors import UsageError
from carousel.gate import LEAST_TICKS, MOST_TICKS, GateState
from headend.link.mailbox import parse_address
from headend.registry import rollouts
from headend.registry.model import Role, State, Update
from headend.rollout.decisions import GatePlan
from headend.rollout.pace import Feed
from headend.rollout.stages import Success, parse_rule
from headend.serve.capacity import PUSHED, check_capacity_url
from headend.serve.headend import Headend
from headend.serve.operations import Answer, Call, Operation
from headend.serve.rolloutviews import RolloutShown, rollout_shown

__all__ = ["ROLLOUT_OPERATIONS"]


class StageWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The share of boxes that a release is for, in percent; `draws_anew` draws others than before."""

    percent: Annotated[float, msgspec.Meta(ge=0, le=100)]
    draws_anew: bool = False


class HaltWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; boxes show so much of it as fits 32 bytes."""

    why: Annotated[str, msgspec.Meta(max_length=200)] = ""


class GateWord(Enum):
    """What a gate does."""

    NONE = "none"
    OPEN = "open"
    HOLD = "hold"
    TICK = "tick"


class GateWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the gate is to do; one that ticks already goes on at the given pace, unless everybody is drawn anew."""

    state: GateWord
    ticks_per_s: Annotated[float, msgspec.Meta(ge=0, le=1e5)] = 1.0
    ticks: Annotated[int, msgspec.Meta(ge=LEAST_TICKS, le=MOST_TICKS)] = LEAST_TICKS
    draws_anew: bool = False
    capacity_url: Annotated[str, msgspec.Meta(max_length=300)] = ""
    """What paces it from then on; `push:` for `POST /api/rollout/capacity`; empty: nothing does."""


class RuleWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stages such as `1% 10min, 10% 1h, 100%`, and what lets them go on (docs/rollout.md)."""

    stages: Annotated[str, msgspec.Meta(max_length=300)]
    success: Success = Success.SAMPLES
    failures_below: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.02
    confirm_within_s: Annotated[float, msgspec.Meta(ge=1, le=1e7)] = 600.0
    report_to: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """ADDRESS:PORT that boxes report to; empty: where this service listens."""
    spread_s: Annotated[int, msgspec.Meta(ge=0, le=30)] = 2


class CapacityTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a log-in server says of itself, once a second."""

    logins_per_s: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    capacity_per_s: Annotated[float, msgspec.Meta(gt=0, le=1e11)]
    healthy: bool = True


async def _decide(call: Call, decide: Callable[[State], Update]) -> Answer:
    headend = call.headend
    headend.check_bulletins()
    await headend.decide(call.who, lambda state: decide(rollouts.with_live(state, headend.rollout)), call.is_current)
    shown = rollout_shown(call.headend)
    return Answer(shown, shown.revision)


async def show_rollout(call: Call) -> Answer:
    """Show what bulletins say."""
    shown = rollout_shown(call.headend)
    return Answer(shown, shown.revision)


async def stage_release(call: Call) -> Answer:
    """Let a release go to a share of the boxes."""
    key, share, unix_s = call.parts["id"], call.body.percent / 100, call.headend.clocks.unix()
    return await _decide(call, lambda state: rollouts.stage(state, key, share, call.body.draws_anew, unix_s))


async def halt_release(call: Call) -> Answer:
    """Stop a release on every box that hears the air."""
    key, unix_s = call.parts["id"], call.headend.clocks.unix()
    return await _decide(call, lambda state: rollouts.halt(state, key, call.body.why, unix_s))


async def resume_rollout(call: Call) -> Answer:
    """Let a halted release go on."""
    unix_s = call.headend.clocks.unix()
    return await _decide(call, lambda state: rollouts.resume(state, call.parts["id"], unix_s))


async def forget_release(call: Call) -> Answer:
    """Say nothing of a release any more: then it is for every box."""
    unix_s = call.headend.clocks.unix()
    return await _decide(call, lambda state: rollouts.forget(state, call.parts["id"], unix_s))


async def set_gate(call: Call) -> Answer:
    """Set the log-in gate."""
    headend, wish = call.headend, call.body
    headend.check_bulletins()
    check_capacity_url(wish.capacity_url)
    unix_s, before = headend.clocks.unix(), headend.rollout.gate
    states = {GateWord.NONE: GateState.NONE, GateWord.OPEN: GateState.OPEN, GateWord.HOLD: GateState.HOLD}
    if wish.state is not GateWord.TICK:
        plan = GatePlan(states[wish.state])
    elif before.state is GateState.TICKING and not wish.draws_anew:
        plan = before.paced(wish.ticks_per_s, unix_s)
    else:
        chain = await asyncio.to_thread(headend.new_chain, wish.ticks)
        plan = GatePlan(GateState.TICKING, chain, wish.ticks, 0.0, unix_s, wish.ticks_per_s)
    plan = replace(plan, capacity_url=wish.capacity_url)
    return await _decide(call, lambda state: rollouts.gate(state, plan, unix_s))


async def rule_release(call: Call) -> Answer:
    """Let a rule advance a release."""
    headend, wish, unix_s = call.headend, call.body, call.headend.clocks.unix()
    to, rule = None, parse_rule(wish.stages, wish.success, wish.failures_below)
    rule = replace(rule, confirm_within_s=wish.confirm_within_s)
    if wish.success is Success.SAMPLES:
        headend.reports.check_listening()
        to = ReportTo(*_where_to_report(headend, wish.report_to), 0, wish.spread_s)
    return await _decide(call, lambda state: rollouts.rule(state, call.parts["id"], rule, to, unix_s))


def _where_to_report(headend: Headend, wanted: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Return where boxes are to report; `UsageError` where that would be nowhere."""
    address, port = parse_address(wanted) if wanted else headend.reports.address or (IPv4Address(0), 0)
    if address.is_unspecified:
        raise UsageError(f"boxes can't report to {address}: say which address of this machine they know (--report-to)")
    return address, port


async def end_rule(call: Call) -> Answer:
    """Let nobody but a person advance a release any more; it stays where it is."""
    unix_s = call.headend.clocks.unix()
    return await _decide(call, lambda state: rollouts.rule(state, call.parts["id"], None, None, unix_s))


async def tell_capacity(call: Call) -> Answer:
    """Take what a log-in server says of itself."""
    if call.headend.rollout.gate.capacity_url != PUSHED:
        raise UsageError(f"the gate does not wait for this: `headend ctl gate ... --capacity-url {PUSHED}`")
    call.headend.capacity.push(Feed(call.body.logins_per_s, call.body.capacity_per_s, call.body.healthy))
    return Answer()


RELEASE = "/api/rollout/releases/{id}"
SHOWN, OPERATE = RolloutShown, Role.OPERATE
ROLLOUT_OPERATIONS = (
    Operation("GET", "/api/rollout", Role.VIEW, "What bulletins say", show_rollout, SHOWN),
    Operation(
        *("PUT", f"{RELEASE}/stage", OPERATE, "Let a release go to a share of boxes", stage_release, SHOWN),
        takes=StageWish,
        needs_match=True,
    ),
    Operation(
        *("PUT", f"{RELEASE}/rule", OPERATE, "Let a rule advance a release", rule_release, SHOWN),
        takes=RuleWish,
        needs_match=True,
    ),
    Operation("DELETE", f"{RELEASE}/rule", OPERATE, "End a release's rule", end_rule, SHOWN, needs_match=True),
    Operation(
        *("PUT", f"{RELEASE}/halt", OPERATE, "Stop a release", halt_release, SHOWN), takes=HaltWish, needs_match=True
    ),
    Operation("DELETE", f"{RELEASE}/halt", OPERATE, "Go on with a release", resume_rollout, SHOWN, needs_match=True),
    Operation("DELETE", RELEASE, OPERATE, "Say nothing of a release", forget_release, SHOWN, needs_match=True),
    Operation(
        *("PUT", "/api/rollout/gate", OPERATE, "Set the log-in gate", set_gate, SHOWN), takes=GateWish, needs_match=True
    ),
    Operation(
        *("POST", "/api/rollout/capacity", OPERATE, "Tell the gate how its server is", tell_capacity),
        status=204,
        takes=CapacityTold,
    ),
)
