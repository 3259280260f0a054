"""The API's operations on roll-outs: stages, halts, and the log-in gate."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Annotated

import msgspec

from carousel.gate import LEAST_TICKS, MOST_TICKS, GateState
from headend.registry import rollouts
from headend.registry.model import Role, State, Update
from headend.rollout.decisions import GatePlan
from headend.serve import views
from headend.serve.operations import Answer, Call, Operation

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


async def _decide(call: Call, decide: Callable[[State], Update]) -> Answer:
    call.headend.check_bulletins()
    await call.headend.decide(call.who, decide, call.is_current)
    shown = views.rollout_shown(call.headend)
    return Answer(shown, shown.revision)


async def show_rollout(call: Call) -> Answer:
    """Show what bulletins say."""
    shown = views.rollout_shown(call.headend)
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
    unix_s, before = headend.clocks.unix(), rollouts.decisions_of(headend.state).gate
    states = {GateWord.NONE: GateState.NONE, GateWord.OPEN: GateState.OPEN, GateWord.HOLD: GateState.HOLD}
    if wish.state is not GateWord.TICK:
        plan = GatePlan(states[wish.state])
    elif before.state is GateState.TICKING and not wish.draws_anew:
        plan = before.paced(wish.ticks_per_s, unix_s)
    else:
        chain = await asyncio.to_thread(headend.new_chain, wish.ticks)
        plan = GatePlan(GateState.TICKING, chain, wish.ticks, 0.0, unix_s, wish.ticks_per_s)
    return await _decide(call, lambda state: rollouts.gate(state, plan, unix_s))


RELEASE = "/api/rollout/releases/{id}"
SHOWN, OPERATE = views.RolloutShown, Role.OPERATE
ROLLOUT_OPERATIONS = (
    Operation("GET", "/api/rollout", Role.VIEW, "What bulletins say", show_rollout, SHOWN),
    Operation(
        *("PUT", f"{RELEASE}/stage", OPERATE, "Let a release go to a share of boxes", stage_release, SHOWN),
        takes=StageWish,
        needs_match=True,
    ),
    Operation(
        *("PUT", f"{RELEASE}/halt", OPERATE, "Stop a release", halt_release, SHOWN), takes=HaltWish, needs_match=True
    ),
    Operation("DELETE", f"{RELEASE}/halt", OPERATE, "Go on with a release", resume_rollout, SHOWN, needs_match=True),
    Operation("DELETE", RELEASE, OPERATE, "Say nothing of a release", forget_release, SHOWN, needs_match=True),
    Operation(
        *("PUT", "/api/rollout/gate", OPERATE, "Set the log-in gate", set_gate, SHOWN), takes=GateWish, needs_match=True
    ),
)
