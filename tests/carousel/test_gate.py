"""A gate's chain: who may log in when, and what a tick proves."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.gate import (
    LEAST_TICKS,
    MOST_HASHES,
    TICK_BYTES,
    GateState,
    GateView,
    Tick,
    TickFormat,
    chain_id_of,
    hashed,
    turn_of,
)

SECRET = hashlib.sha256(b"a secret").digest()
TICKS = 300


def value(tick):
    return hashed(SECRET, TICKS - tick)


CHAIN = chain_id_of(value(0))


def view(tick, state=GateState.TICKING):
    return GateView(state, CHAIN, TICKS, tick, value(tick))


@pytest.mark.slow
@given(st.integers(0, TICKS), st.integers(0, TICKS))
def test_a_later_tick_proves_itself_up_to_so_many_hashes(known, tick):
    told = Tick(CHAIN, tick, value(tick))
    assert told.follows(view(known)) == (0 < tick - known <= MOST_HASHES)


@given(st.integers(0, TICKS - 1), st.binary(min_size=32, max_size=32))
def test_nobody_can_bring_a_tick_forward(known, guess):
    assert not Tick(CHAIN, known + 1, guess).follows(view(known))
    if known + 2 <= TICKS:
        assert not Tick(CHAIN, known + 2, value(known + 1)).follows(view(known))


def test_a_tick_of_another_chain_or_beyond_its_end_says_nothing():
    assert not Tick(bytes(16), 2, value(2)).follows(view(1))
    beyond = GateView(GateState.TICKING, CHAIN, 1, 1, value(1))
    assert not Tick(CHAIN, 2, value(2)).follows(beyond)


@given(st.text(min_size=1), st.integers(LEAST_TICKS, 1 << 20))
def test_every_box_has_a_turn_before_the_chain_is_exhausted(box_id, ticks):
    turn = turn_of(CHAIN, box_id, ticks)
    assert 1 <= turn <= ticks - 1
    assert not GateView(GateState.TICKING, CHAIN, ticks, turn - 1).admits(turn)
    assert GateView(GateState.TICKING, CHAIN, ticks, turn).admits(turn)
    assert GateView(GateState.TICKING, CHAIN, ticks, ticks - 1).admits(turn)
    assert not GateView(GateState.TICKING, CHAIN, ticks, ticks).admits(turn), "exhausted"


def test_turns_are_even_over_the_chain():
    turns = [turn_of(CHAIN, f"box {number}", LEAST_TICKS) for number in range(4000)]
    assert max(turns) > 0.99 * LEAST_TICKS
    for decile in range(10):
        share = sum(decile <= 10 * turn / LEAST_TICKS < decile + 1 for turn in turns) / len(turns)
        assert 0.07 < share < 0.13


def test_open_admits_all_hold_nobody():
    assert GateView(GateState.OPEN).admits(5)
    assert GateView().admits(5)
    assert not GateView(GateState.HOLD).admits(1)


def test_a_tick_on_the_air():
    tick = Tick(CHAIN, 7, value(7))
    raw = tick.build()
    assert len(raw) == TICK_BYTES
    assert Tick.parse(raw) == tick
    assert TickFormat.as_construct.parse(raw).tick == 7
    for at in range(TICK_BYTES):
        wrong = bytes([*raw[:at], raw[at] ^ 1, *raw[at + 1 :]])
        with pytest.raises(FormatError):
            Tick.parse(wrong)
    with pytest.raises(FormatError):
        Tick.parse(raw + b"\0")
