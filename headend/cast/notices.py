"""What goes beside the announcements: bulletins, signed anew now and then, and the ticks of a gate between them.

    decisions ──► bulletins: with each announcement; signed anew when something was decided, and each second or two
    gate      ──► ticks: between them, as soon as there is a new one

Boxes believe that a head-end lives by what is signed anew; what has not changed is one look to them. Transport
independent: a format wraps these bytes.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from carousel.bulletin import MAX_STAGES, Bulletin
from carousel.gate import MOST_HASHES, GateState, GateView, Tick
from headend.rollout.decisions import Decisions, GatePlan

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["NO_NOTICES", "Notices"]

RESIGN_S = 2.0
"""A forger of bulletins has to send more than one signature's repetitions to stay ahead of it (docs/security.md)."""
RESIGN_TICKING_S = 1.0
TICK_INTERVAL_S = 0.05

ValueOf = Callable[[GatePlan, int], bytes]


class Notices:
    """The bulletins of one head-end; without a key there are none."""

    def __init__(self, key: "Ed25519PrivateKey | None", unix_offset_s: float = 0.0) -> None:
        """Speak for nobody yet; `unix_offset_s` is the unix time at `now` = 0."""
        self._key = key
        self._unix_offset_s = unix_offset_s
        self._decisions = Decisions()
        self._value_of: ValueOf = lambda gate, tick: bytes(32)
        self._signed: list[bytes] = []
        self._signed_s = self._ticked_s = -math.inf
        self._signed_tick = self._told_tick = 0
        self._issued_unix_ms = 0

    def decide(self, decisions: Decisions, value_of: ValueOf) -> None:
        """Speak for these decisions from now on; `value_of` tells the values of their gate's chain."""
        if decisions.gate.chain != self._decisions.gate.chain:
            self._told_tick = 0
        if decisions.epoch != self._decisions.epoch:
            self._signed_s = -math.inf
        self._decisions, self._value_of = decisions, value_of

    @property
    def epoch(self) -> int:
        """The epoch of what was decided."""
        return self._decisions.epoch

    def bulletins(self, now: float) -> list[bytes]:
        """Return what goes with an announcement: every part, signed."""
        if self._key is None:
            return []
        is_ticking = self._decisions.gate.state is GateState.TICKING
        age_s, tick = now - self._signed_s, self._tick(now)
        if age_s >= (RESIGN_TICKING_S if is_ticking else RESIGN_S) or tick - self._signed_tick > MOST_HASHES // 2:
            self._sign(self._key, tick, now)
        return self._signed

    def ticks(self, now: float) -> list[bytes]:
        """Return a new tick, if there is one, and the last one is a moment ago."""
        if self._key is None or self._decisions.gate.state is not GateState.TICKING:
            return []
        tick = self._tick(now)
        if now - self._ticked_s < TICK_INTERVAL_S or tick <= self._told_tick or not self._signed:
            return []
        self._ticked_s, self._told_tick = now, tick
        gate = self._decisions.gate
        return [Tick(gate.chain, tick, self._value_of(gate, tick)).build()]

    def _tick(self, now: float) -> int:
        """Return the whole tick that it is; what was told once is not taken back, whatever clocks do."""
        if self._decisions.gate.state is not GateState.TICKING:
            return 0
        return max(self._told_tick, int(self._decisions.gate.tick_at(now + self._unix_offset_s)))

    def _sign(self, key: "Ed25519PrivateKey", tick: int, now: float) -> None:
        """Sign all parts; times that a clock set back would tell twice are counted on instead."""
        self._issued_unix_ms = max(self._issued_unix_ms + 1, int((now + self._unix_offset_s) * 1000))
        self._signed_s, self._signed_tick = now, tick
        gate = self._gate_view(self._decisions.gate, tick)
        stages = self._decisions.stages()
        parts: Sequence[int] = range(max(1, -(-len(stages) // MAX_STAGES)))
        self._signed = [
            Bulletin(
                self._decisions.epoch,
                self._issued_unix_ms,
                tuple(stages[part * MAX_STAGES : (part + 1) * MAX_STAGES]),
                gate,
                part,
                len(parts),
            ).sign(key)
            for part in parts
        ]
        self._told_tick = max(self._told_tick, tick)

    def _gate_view(self, gate: GatePlan, tick: int) -> GateView:
        if gate.state is not GateState.TICKING:
            return GateView(gate.state)
        return GateView(gate.state, gate.chain, gate.ticks, tick, self._value_of(gate, tick))


NO_NOTICES = Notices(None)
