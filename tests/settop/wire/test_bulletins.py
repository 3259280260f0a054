"""Bulletins of a flood."""

import itertools

from settop.wire.bulletins import BULLETINS_PER_S, REPEATS_PER_S, BulletinSieve


def test_of_equal_ones_a_few_a_second_are_passed_on():
    sieve = BulletinSieve()
    assert [sieve.passes(b"halt", 5.0 + at / 100) for at in range(100)] == [True] * REPEATS_PER_S + [False] * 96
    assert sieve.passes(b"halt", 6.0)


def test_recordings_played_back_however_fast_leave_the_way_free():
    sieve = BulletinSieve()
    recorded = itertools.cycle([b"%d" % number for number in range(8)])
    for at in range(100_000):
        sieve.passes(next(recorded), at / 1e4)
        if at % 5000 == 0:
            assert sieve.passes(b"of this moment: %d" % at, at / 1e4)


def test_of_a_flood_in_which_all_differ_a_second_passes_its_share_on():
    sieve = BulletinSieve()
    assert sum(sieve.passes(b"%d" % at, 1.0) for at in range(2000)) == BULLETINS_PER_S
    assert not sieve.passes(b"another", 1.0)
    assert sieve.passes(b"another", 1.01)


def test_a_clock_that_goes_back_keeps_nothing_from_being_passed_on():
    sieve = BulletinSieve()
    assert [sieve.passes(b"halt", 100.0) for _ in range(5)] == [True] * 4 + [False]
    assert sieve.passes(b"halt", 1.0)
