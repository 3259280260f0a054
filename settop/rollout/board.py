"""The bulletins that a box believes: the newest decisions of each key that it trusts for bulletins.

    packet ──► a tick? ──► of the chain that is known, a few ahead: so many hashes ──► the gate
       └─────► looks like a bulletin? ──► a key of ours? ──► newer? ──► pending ──► signature ──► in force
               (sizes, CRC)                (look-up)         (epoch,    (ranked)    (so many a second)
                                                             issued)
All that is cheap comes first: what was heard before, is old or a stranger's costs a look. What is left waits, and the
one that was heard most often has the next signature check: a head-end repeats what it signed, and forgeries that are to
cost a check each must differ. Epochs never go back, and need no clock. Whoever stores `raw` of what came in force, and
gives it back at the next start, keeps that so for good.
"""

import math
from collections.abc import Iterable
from enum import Enum

from carousel.bulletin import Bulletin, Claim, Stage, claim_of, is_signed_by
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.gate import TICK_BYTES, GateState, GateView, Tick
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from settop.wire.gate import Allowance

__all__ = ["CHECKS_PER_S", "MAX_PENDING", "PATIENCE_S", "Board", "InForce", "Standing", "Verdict"]

CHECKS_PER_S = 10
"""A check costs 0.1 ms, on a board 1 ms: 1 % of its processor."""
TICKS_PER_S = 100
"""A tick that is none costs up to 64 hashes: half a percent."""
MAX_PENDING = 512
"""As many as a wire passes on in a second (settop/wire/flute.py), so that what is repeated is seen to be."""
MAX_REFUSED = 1024
PATIENCE_S = 10.0
"""So long a carousel is heard without a bulletin before it is taken to have none."""
_TICK_MAGIC = b"BCTK"


class Standing(Enum):
    """What bulletins say of a release to this box."""

    TAKE = "take it"
    UNKNOWN = "no bulletin yet"
    NOT_YET = "not yet"
    HALTED = "halted"


class Verdict(Frozen):
    """A standing, and why, in words."""

    standing: Standing
    why: str = ""

    @property
    def withholds(self) -> bool:
        """Whether this box must not have the release at all."""
        return self.standing in (Standing.NOT_YET, Standing.HALTED)

    @property
    def allows(self) -> bool:
        """Whether a bulletin, or the lack of any on its carousel, gives the release to this box."""
        return self.standing is Standing.TAKE

    @property
    def is_open(self) -> bool:
        """Whether no bulletin has spoken of it."""
        return self.standing is Standing.UNKNOWN

    @property
    def is_halted(self) -> bool:
        """Whether its roll-out was halted."""
        return self.standing is Standing.HALTED


class InForce(Frozen):
    """A bulletin that came in force just now; `is_decision` where it is worth storing: a new epoch, or a new part."""

    claim: Claim
    raw: bytes
    is_decision: bool


class _Known:
    """The newest decisions of one key."""

    def __init__(self) -> None:
        self.epoch = -1
        self.issued_unix_ms = -1
        self.is_live = False
        """Whether it was heard, not just stored."""
        self.parts: dict[int, tuple[int, bytes, Bulletin]] = {}
        """When it was issued, packet and content, by part."""

    def stage(self, release: ReleaseId) -> Stage | None:
        """Return what is decided about a release."""
        return next(
            (each for _, _, part in self.parts.values() for each in part.stages if each.release == release), None
        )

    @property
    def is_whole(self) -> bool:
        """Whether all parts of an epoch are here: what none of them names is for all."""
        return bool(self.parts) and len(self.parts) == next(iter(self.parts.values()))[2].parts


class Board:
    """What the bulletins of trusted keys say to one box. `stored` are packets that were in force before."""

    def __init__(self, trust: TrustRing, box_id: str, stored: Iterable[bytes] = ()) -> None:
        self._trust = trust
        self._box_id = box_id
        self._known: dict[bytes, _Known] = {}
        self._pending: dict[bytes, int] = {}
        self._refused: dict[bytes, None] = {}
        self._checks, self._ticks = Allowance(CHECKS_PER_S), Allowance(TICKS_PER_S)
        self._carousel_s: float | None = None
        self._gate = GateView()
        self.alive_s = -math.inf
        """When something was heard that nobody can have heard before: a newer signature, or a newer tick."""
        self.forged = self.stale = self.strange = 0
        """Packets with a bad signature, old ones, and those of keys that are not trusted or that are no bulletins."""
        for raw in stored:
            self._restore(raw)

    def _restore(self, raw: bytes) -> None:
        try:
            claim = claim_of(raw)
        except FormatError:
            return
        key = self._trust.keys.get(claim.key_id)
        if key is not None and not self._is_old(claim) and is_signed_by(raw, key):
            self._put(claim, raw, Bulletin.parse(raw))

    # --- what comes off the air -------------------------------------------------------------------------

    def hear_carousel(self, now: float) -> None:
        """Take note that a release is announced here: bulletins would be heard, if there were any."""
        if self._carousel_s is None:
            self._carousel_s = now

    def hear(self, raw: bytes, now: float) -> None:
        """Take a packet, of anybody."""
        if raw[:4] == _TICK_MAGIC:
            self._hear_tick(raw, now)
        elif raw in self._pending:
            self._pending[raw] += 1
        elif raw in self._refused:
            self.forged += 1
        elif self._is_worth_a_check(raw):
            if len(self._pending) >= MAX_PENDING:
                del self._pending[min(self._pending, key=self._pending.__getitem__)]
            self._pending[raw] = 1

    def _is_worth_a_check(self, raw: bytes) -> bool:
        try:
            claim = claim_of(raw)
        except FormatError:
            self.strange += 1
            return False
        if claim.key_id not in self._trust.keys:
            self.strange += 1
            return False
        if self._is_old(claim):
            self.stale += 1
            return False
        return True

    def _is_old(self, claim: Claim) -> bool:
        known = self._known.get(claim.key_id)
        if known is None or claim.epoch > known.epoch:
            return False
        held = known.parts.get(claim.part)
        return claim.epoch < known.epoch or (held is not None and claim.issued_unix_ms <= held[0])

    def _hear_tick(self, raw: bytes, now: float) -> None:
        gate = self._gate
        if len(raw) != TICK_BYTES or gate.state is not GateState.TICKING or not self._ticks.take(now):
            return
        try:
            tick = Tick.parse(raw)
        except FormatError:
            self.strange += 1
            return
        if tick.follows(gate):
            self._gate = GateView(gate.state, gate.chain, gate.ticks, tick.tick, tick.value)
            self.alive_s = now

    def judge(self, now: float) -> list[InForce]:
        """Check what waits, most heard first, as far as the allowance goes; return what came in force."""
        accepted = []
        while self._pending and self._checks.take(now):
            raw = max(self._pending, key=self._pending.__getitem__)
            del self._pending[raw]
            claim = claim_of(raw)
            if self._is_old(claim):
                self.stale += 1
            elif is_signed_by(raw, self._trust.keys[claim.key_id]):
                accepted.append(InForce(claim, raw, self._put(claim, raw, Bulletin.parse(raw))))
                self._known[claim.key_id].is_live = True
                self.alive_s = now
            else:
                self.forged += 1
                self._refuse(raw)
        return accepted

    def _refuse(self, raw: bytes) -> None:
        while len(self._refused) >= MAX_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[raw] = None

    def _put(self, claim: Claim, raw: bytes, bulletin: Bulletin) -> bool:
        """Put a bulletin in force; say whether it decides something."""
        known = self._known.setdefault(claim.key_id, _Known())
        if claim.epoch > known.epoch:
            known.epoch, known.issued_unix_ms, known.parts = claim.epoch, -1, {}
        is_decision = claim.part not in known.parts
        known.parts[claim.part] = (claim.issued_unix_ms, raw, bulletin)
        if claim.issued_unix_ms > known.issued_unix_ms:
            known.issued_unix_ms = claim.issued_unix_ms
            self._see_gate(bulletin.gate)
        return is_decision

    def _see_gate(self, gate: GateView) -> None:
        """Take over the gate; a tick that is known already is not taken back."""
        if (gate.state, gate.chain) != (self._gate.state, self._gate.chain) or gate.tick > self._gate.tick:
            self._gate = gate

    # --- what it means ----------------------------------------------------------------------------------

    @property
    def gate(self) -> GateView:
        """The log-in gate, as far as it is known."""
        return self._gate

    @property
    def box_id(self) -> str:
        """Who this box is: what its place in cohorts and at the gate is drawn from."""
        return self._box_id

    @property
    def is_live(self) -> bool:
        """Whether a bulletin of an epoch that is in force was heard, not just stored."""
        return any(known.is_live for known in self._known.values())

    @property
    def epochs(self) -> dict[bytes, int]:
        """The epoch in force by key id."""
        return {key_id: known.epoch for key_id, known in self._known.items()}

    def stages_of(self, key_id: bytes) -> list[Stage]:
        """Return all that a key has decided about releases."""
        known = self._known.get(key_id, _Known())
        return [each for _, _, part in known.parts.values() for each in part.stages]

    def verdict(self, release: ReleaseId, now: float) -> Verdict:
        """Say what bulletins mean for a release on this box; where keys differ, the stricter one holds."""
        named = [stage for stage in (known.stage(release) for known in self._known.values()) if stage is not None]
        for stage in named:
            if stage.is_halted:
                return Verdict(Standing.HALTED, f"its roll-out was halted{': ' if stage.why else ''}{stage.why}")
        for stage in named:
            if not stage.is_for(self._box_id):
                return Verdict(Standing.NOT_YET, f"its roll-out is at {_percent(stage.share)}, this box comes later")
        if named:
            return Verdict(Standing.TAKE)
        live = [known for known in self._known.values() if known.is_live]
        if live and all(known.is_whole for known in live):
            return Verdict(Standing.TAKE)
        if not live and self._carousel_s is not None and now - self._carousel_s >= PATIENCE_S:
            return Verdict(Standing.TAKE, "the carousel has no bulletins")
        return Verdict(Standing.UNKNOWN, "no bulletin has said yet whether this box may have it")


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"
