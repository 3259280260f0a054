"""When a box may log in: as the gate says, and after a random wait where nothing says anything.

    listening ──► a bulletin came ──► open, or no gate: now
        │                             hold: wait
        │                             ticking: wait for the tick that this box has drawn
        └── nothing new for 30 s ──► a random wait; back to listening as soon as something comes

So a head-end that is dead locks nobody out, and a server that is sick is not flooded. "Something new" is a newer
signature or tick: what was recorded and is played again keeps nobody waiting for longer than the recording lasts.
"""

import hashlib

from carousel.frozen import Frozen
from carousel.gate import GateState, turn_of
from settop.rollout.board import Board

__all__ = ["FALL_BACK_S", "Entry", "TurnWait"]

FALL_BACK_S = 30.0


class Entry(Frozen):
    """Whether this box may log in now, and why or why not."""

    may: bool
    why: str


class TurnWait:
    """Waits for this box's turn, from `now` on; `longest_s` bounds the random wait."""

    def __init__(self, board: Board, now: float, longest_s: float) -> None:
        self._board = board
        self._since_s = now
        drawn = int.from_bytes(hashlib.sha256(b"bootcast wait" + board.box_id.encode()).digest()[:8], "big")
        self._random_wait_s = longest_s * drawn / 2**64

    def look(self, now: float) -> Entry:
        """Say how it stands."""
        silent_s = now - max(self._since_s, self._board.alive_s)
        if silent_s >= FALL_BACK_S:
            left_s = self._random_wait_s - (silent_s - FALL_BACK_S)
            if left_s <= 0:
                return Entry(True, f"no gate was heard for {silent_s:.0f} s, so after a random wait")
            return Entry(False, f"no gate is heard: a random wait, {left_s:.0f} s more")
        if not self._board.is_live:
            return Entry(False, "no gate was heard yet")
        return self._as_the_gate_says()

    def _as_the_gate_says(self) -> Entry:
        gate = self._board.gate
        turn = turn_of(gate.chain, self._board.box_id, gate.ticks)
        if gate.state is GateState.HOLD:
            return Entry(False, "the gate is on hold")
        if gate.state is not GateState.TICKING:
            return Entry(True, "the gate is open" if gate.state is GateState.OPEN else "there is no gate")
        if gate.admits(turn):
            return Entry(True, f"its turn has come: {turn:,}, the gate is at {gate.tick:,} of {gate.ticks:,}")
        if gate.tick >= gate.ticks:
            return Entry(False, "the gate's chain is exhausted: another one comes")
        return Entry(False, f"its turn is {turn:,}, the gate is at {gate.tick:,} of {gate.ticks:,}")
