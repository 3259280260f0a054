"""What a box believes of bulletins, and what disbelief costs it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.bulletin import Bulletin
from carousel.gate import GateState, GateView, Tick, chain_id_of, hashed
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from settop.rollout import board as module
from settop.rollout.board import CHECKS_PER_S, PATIENCE_S, Board, Standing
from tests.conftest import KEY, OTHER_KEY
from tests.settop.rollout.signed import BOX, RELEASE, STRANGERS_KEY, TRUST, bulletin, forged, stage


@pytest.fixture
def board():
    return Board(TRUST, BOX)


@pytest.fixture
def checks(monkeypatch):
    """Counts signature checks."""
    made = []

    def check(raw, key, original=module.is_signed_by):
        made.append(raw)
        return original(raw, key)

    monkeypatch.setattr(module, "is_signed_by", check)
    return made


def hear(board, *packets, now=0.0):
    for raw in packets:
        board.hear(raw, now)
    return board.judge(now)


def standing(board, now=0.0, release=RELEASE):
    return board.verdict(release, now).standing


def test_a_release_goes_to_its_cohort_and_to_all_where_nobody_names_it(board):
    inside = next(salt for salt in map(bytes, ([n] * 8 for n in range(256))) if stage(0.1, salt=salt).is_for(BOX))
    outside = next(salt for salt in map(bytes, ([n] * 8 for n in range(256))) if not stage(0.1, salt=salt).is_for(BOX))
    hear(board, bulletin(1, stage(0.1, salt=inside)))
    assert standing(board) is Standing.TAKE
    hear(board, bulletin(2, stage(0.1, salt=outside)), now=1.0)
    assert board.verdict(RELEASE, 1.0).why == "its roll-out is at 10 %, this box comes later"
    assert standing(board, release=ReleaseId(b"o" * 16)) is Standing.TAKE


def test_a_halt_says_why(board):
    hear(board, bulletin(1, stage(is_halted=True, why="it bricks")))
    assert board.verdict(RELEASE, 0.0).why == "its roll-out was halted: it bricks"
    assert standing(board) is Standing.HALTED


def test_where_keys_differ_the_stricter_one_holds():
    both = Board(TrustRing.of([KEY.public_key(), OTHER_KEY.public_key()]), BOX)
    hear(both, bulletin(1, stage()), bulletin(1, stage(is_halted=True), key=KEY))
    assert standing(both) is Standing.HALTED


def test_who_hears_no_bulletin_waits_for_one_and_not_for_ever(board):
    assert standing(board, 1e9) is Standing.UNKNOWN, "no carousel was heard"
    board.hear_carousel(100.0)
    board.hear_carousel(105.0)
    assert standing(board, 100.0 + PATIENCE_S - 0.1) is Standing.UNKNOWN
    assert standing(board, 100.0 + PATIENCE_S) is Standing.TAKE


def test_a_part_alone_does_not_say_that_a_release_is_for_all(board):
    other = stage(release=ReleaseId(b"o" * 16))
    hear(board, bulletin(1, other, part=0, parts=2))
    board.hear_carousel(0.0)
    assert standing(board, 1e3) is Standing.UNKNOWN
    hear(board, bulletin(1, stage(is_halted=True), part=1, parts=2))
    assert standing(board) is Standing.HALTED
    assert standing(board, release=ReleaseId(b"x" * 16)) is Standing.TAKE


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_epochs_never_go_back_whatever_is_replayed(ages):
    board, newest = Board(TRUST, BOX), (-1, -1)
    for number, (epoch, issued) in enumerate(ages):
        accepted = hear(board, bulletin(epoch, stage(is_halted=True), issued=issued), now=float(number))
        assert bool(accepted) == ((epoch, issued) > newest)
        if accepted:
            assert accepted[0].is_decision == (epoch > newest[0])
            newest = epoch, issued
        assert board.epochs.get(module.claim_of(bulletin(0)).key_id, -1) == newest[0]


def test_what_was_stored_is_in_force_and_older_than_it_is_nothing(checks):
    raw = bulletin(7, stage(is_halted=True))
    board = Board(TRUST, BOX, [bulletin(6, stage()), raw, forged(raw), b"rubbish", bulletin(9, key=STRANGERS_KEY)])
    assert standing(board) is Standing.HALTED
    assert not board.is_live
    del checks[:]
    assert hear(board, bulletin(6, stage(), issued=99)) == []
    assert (checks, board.stale) == ([], 1)
    (again,) = hear(board, bulletin(7, stage(is_halted=True), issued=8), now=1.0)
    assert not again.is_decision, "nothing to store"
    assert board.is_live


def test_stored_decisions_hold_where_nothing_newer_is_heard():
    board = Board(TRUST, BOX, [bulletin(7, stage(is_halted=True))])
    board.hear_carousel(0.0)
    assert standing(board, 1e6) is Standing.HALTED
    assert standing(board, 1e6, ReleaseId(b"o" * 16)) is Standing.TAKE


def test_strangers_repetitions_and_old_ones_cost_no_signature_check(board, checks):
    good = bulletin(5, stage())
    hear(board, good)
    del checks[:]
    for number in range(1000):
        hear(board, good, bulletin(4, stage(), issued=9), now=float(number))
    hear(board, *[bulletin(9, key=STRANGERS_KEY), b"BCBL", b"", good + b"x"])
    assert checks == []
    assert board.stale == 2000
    assert board.strange == 4


def test_a_flood_of_forgeries_gets_so_many_checks_a_second(board, checks):
    good = bulletin(5, stage())
    for number in range(3000):
        board.hear(forged(good, number), number / 1000)
        board.judge(number / 1000)
    assert len(checks) <= CHECKS_PER_S * 4
    assert board.epochs == {}


def test_what_is_repeated_gets_through_a_flood(board, checks):
    good, heard_s = bulletin(5, stage(is_halted=True)), None
    for number in range(2000):
        now = number / 400
        board.hear(forged(good, number), now)
        if number % 100 == 50:
            board.hear(good, now)
        if board.judge(now) and heard_s is None:
            heard_s = now
    assert heard_s is not None
    assert heard_s < 1.0, "the second copy is more than any forgery has"


def test_a_forgery_that_is_repeated_is_checked_once(board, checks):
    wrong = forged(bulletin(5, stage()))
    for number in range(100):
        hear(board, wrong, now=float(number))
    assert len(checks) == 1
    assert board.forged == 100


def test_memory_is_bounded(board):
    good = bulletin(5, stage())
    for number in range(5000):
        board.hear(forged(good, number), 0.0)
    for second in range(300):
        board.judge(float(second))
    assert len(board._pending) <= module.MAX_PENDING
    assert len(board._refused) <= module.MAX_REFUSED


# --- the gate -------------------------------------------------------------------------------------------

TICKS = 1 << 16
VALUES = [bytes(32)]
for _ in range(200):
    VALUES.append(hashed(VALUES[-1], 1))
CHAIN = chain_id_of(VALUES[200])


def gate(tick):
    return GateView(GateState.TICKING, CHAIN, TICKS, tick, VALUES[200 - tick])


def tick(number):
    return Tick(CHAIN, number, VALUES[200 - number]).build()


def test_ticks_go_on_from_a_bulletin(board):
    hear(board, bulletin(1, gate=gate(3)))
    hear(board, tick(5), now=1.0)
    assert board.gate == gate(5)
    assert board.alive_s == 1.0
    hear(board, tick(4), tick(5), now=2.0)
    assert (board.gate, board.alive_s) == (gate(5), 1.0), "a replay proves nobody alive"
    hear(board, tick(90), now=3.0)
    assert board.gate == gate(5), "more hashes than a tick may cost"
    hear(board, bulletin(1, gate=gate(90), issued=2), now=4.0)
    assert board.gate == gate(90)
    hear(board, bulletin(1, gate=gate(60), issued=3), now=5.0)
    assert board.gate == gate(90), "what is known is not taken back"


def test_forged_ticks_cost_so_many_hashes_a_second(board, monkeypatch):
    hear(board, bulletin(1, gate=gate(3)))
    hashes = []
    follows = Tick.follows
    monkeypatch.setattr(Tick, "follows", lambda each, known: hashes.append(1) or follows(each, known))
    for number in range(5000):
        hear(board, Tick(CHAIN, 60, number.to_bytes(32, "big")).build(), now=number / 5000)
    assert len(hashes) <= 2 * module.TICKS_PER_S
    assert board.gate == gate(3)


def test_a_tick_before_any_bulletin_is_nothing(board):
    hear(board, tick(1))
    assert board.gate == GateView()


@given(st.binary(max_size=300))
def test_noise_raises_nothing(noise):
    board = Board(TRUST, BOX)
    for raw in (noise, b"BCTK" + noise, b"BCBL" + noise, b"BCBL\x01\x00" + noise):
        hear(board, raw)
    assert board.epochs == {}


def test_a_bulletin_is_the_same_to_the_board_as_to_its_signer(board):
    raw = bulletin(3, stage(0.5))
    (in_force,) = hear(board, raw)
    assert in_force.raw == raw
    assert Bulletin.parse(in_force.raw).stages == tuple(board.stages_of(in_force.claim.key_id))
