"""When a box may log in: by the gate, and by a random wait where none is heard."""

import pytest

from carousel.gate import GateState, GateView, Tick, chain_id_of, hashed, turn_of
from settop.rollout.board import Board
from settop.rollout.turn import FALL_BACK_S, TurnWait
from tests.settop.rollout.signed import BOX, TRUST, bulletin

TICKS = 1 << 16
SECRET = bytes(32)
VALUES = [SECRET]
for _ in range(TICKS):
    VALUES.append(hashed(VALUES[-1], 1))
CHAIN = chain_id_of(VALUES[TICKS])
TURN = turn_of(CHAIN, BOX, TICKS)


def gate(tick):
    return GateView(GateState.TICKING, CHAIN, TICKS, tick, VALUES[TICKS - tick])


@pytest.fixture
def board():
    return Board(TRUST, BOX)


def hear(board, now, *packets):
    for raw in packets:
        board.hear(raw, now)
    board.judge(now)


def test_it_waits_for_its_own_tick(board):
    wait = TurnWait(board, 0.0, 600.0)
    assert not wait.look(0.0).may
    hear(board, 1.0, bulletin(1, gate=gate(TURN - 2)))
    assert wait.look(1.0).why == f"its turn is {TURN:,}, the gate is at {TURN - 2:,} of {TICKS:,}"
    hear(board, 2.0, Tick(CHAIN, TURN - 1, VALUES[TICKS - TURN + 1]).build())
    assert not wait.look(2.0).may
    hear(board, 3.0, Tick(CHAIN, TURN, VALUES[TICKS - TURN]).build())
    assert wait.look(3.0).may


def test_open_and_no_gate_let_it_in_and_hold_does_not(board):
    wait = TurnWait(board, 0.0, 600.0)
    for epoch, (state, may) in enumerate({GateState.OPEN: True, GateState.HOLD: False, GateState.NONE: True}.items()):
        hear(board, float(epoch), bulletin(epoch + 1, gate=GateView(state)))
        assert wait.look(float(epoch)).may is may


def test_an_exhausted_chain_lets_nobody_in(board):
    hear(board, 0.0, bulletin(1, gate=gate(TICKS)))
    entry = TurnWait(board, 0.0, 600.0).look(1.0)
    assert (entry.may, entry.why) == (False, "the gate's chain is exhausted: another one comes")


def test_a_dead_head_end_locks_nobody_out(board):
    wait = TurnWait(board, 0.0, 600.0)
    assert not wait.look(FALL_BACK_S - 1).may
    assert wait.look(FALL_BACK_S + 600.0).may
    hear(board, 700.0, bulletin(1, gate=GateView(GateState.HOLD)))
    assert not wait.look(700.0).may, "it is back"
    assert not wait.look(700.0 + FALL_BACK_S - 1).may
    assert wait.look(700.0 + FALL_BACK_S + 600.0).may


def test_random_waits_are_even():
    def may(number, now):
        return TurnWait(Board(TRUST, f"box-{number}"), 0.0, 600.0).look(now).may

    at_half = sum(may(number, FALL_BACK_S + 300.0) for number in range(1000))
    assert 420 < at_half < 580
    assert all(may(number, FALL_BACK_S + 600.0) for number in range(1000))


def test_a_hold_that_is_signed_anew_keeps_it_waiting_and_one_that_is_replayed_does_not(board):
    wait = TurnWait(board, 0.0, 0.0)
    hold = GateView(GateState.HOLD)
    for second in range(100):
        hear(board, float(second), bulletin(1, gate=hold, issued=second))
        assert not wait.look(float(second)).may
    recorded = [bulletin(1, gate=hold, issued=second) for second in range(100)]
    for second in range(100, 100 + int(FALL_BACK_S) + 1):
        hear(board, float(second), *recorded)
    assert wait.look(100 + FALL_BACK_S).may


def test_stored_decisions_are_no_gate():
    board = Board(TRUST, BOX, [bulletin(1, gate=GateView(GateState.OPEN))])
    assert not TurnWait(board, 0.0, 600.0).look(1.0).may
