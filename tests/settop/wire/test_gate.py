"""Signature checks are rationed: the most heard first, each header once, and what is remembered is bounded."""

import pytest

from carousel.crc import crc32
from carousel.release.header import ReleaseHeader, SignedHeader
from carousel.release.identity import ReleaseId, Version
from carousel.release.trust import TrustRing
from settop.wire import gate as module
from settop.wire.gate import CHECKS_PER_S, MAX_PENDING, Allowance, AnnouncementGate
from settop.wire.tally import Tally
from settop.wire.volume import HeardVolume
from tests.conftest import HARDWARE, KEY, OTHER_KEY

TRUST = TrustRing.of([KEY.public_key()])
PLAIN = ReleaseHeader(HARDWARE, 0, Version(1, 0, 0), 0, 1000, 256, 1, 4, bytes(32), bytes(32), "gate")


def signed(number, key=KEY):
    return PLAIN.but(created_unix_s=number).sign(key)


def forged(number):
    """A header by a stranger that claims our key: only the signature check tells."""
    raw = bytearray(signed(number, OTHER_KEY).raw)
    raw[120:128] = signed(0).key_id
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    return SignedHeader.parse(bytes(raw))


@pytest.fixture
def volume():
    return HeardVolume()


@pytest.fixture
def tally():
    return Tally()


@pytest.fixture
def gate(volume, tally):
    return AnnouncementGate(TRUST, volume, tally)


def hear(gate, header, number=0):
    gate.hear(header.release_id, header.raw, number)


def counted(tally):
    return dict(tally.stats().rejected)


class TestAllowance:
    def test_a_second_s_worth_at_once_then_as_time_goes(self):
        allowance = Allowance(4)
        assert [allowance.take(10.0) for _ in range(5)] == [True] * 4 + [False]
        assert not allowance.take(10.2)
        assert allowance.take(10.25)
        assert not allowance.take(10.25)
        assert [allowance.take(10.75) for _ in range(3)] == [True, True, False]

    def test_it_saves_up_no_more_than_a_second(self):
        allowance = Allowance(3)
        assert allowance.take(0.0)
        assert [allowance.take(100.0) for _ in range(4)] == [True] * 3 + [False]

    def test_what_is_owed_is_waited_for(self):
        allowance = Allowance(10)
        assert allowance.left(1.0) == 10
        allowance.spend(15)
        assert allowance.left(1.0) == -5
        assert not allowance.take(1.5)
        assert allowance.left(1.75) == 2
        assert allowance.take(1.75)

    def test_a_clock_that_goes_back_gives_and_takes_nothing(self):
        allowance = Allowance(2)
        assert allowance.take(50.0)
        assert allowance.take(20.0)
        assert not allowance.take(20.0)
        assert allowance.take(20.5)


def test_an_authentic_header_is_given_once_until_it_is_forgotten(gate, tally):
    header = signed(1)
    hear(gate, header)
    assert gate.judge(0.0) == [header]
    assert gate.knows(header.release_id)
    hear(gate, header)
    assert gate.judge(9.0) == []
    assert counted(tally) == {"header_repeated": 1}
    gate.forget(header.release_id)
    assert not gate.knows(header.release_id)
    hear(gate, header)
    assert gate.judge(9.0) == [header]
    gate.forget(signed(2).release_id)


def test_a_forged_one_is_checked_once_and_counted_each_time(gate, tally, monkeypatch):
    hear(gate, forged(1))
    assert gate.judge(0.0) == []
    assert counted(tally) == {"bad_signature": 1}
    monkeypatch.setattr(TrustRing, "believes", lambda trust, header: pytest.fail("checked again"))
    hear(gate, forged(1))
    assert gate.judge(1.0) == []
    assert counted(tally) == {"bad_signature": 2}
    assert not gate.knows(forged(1).release_id)


def test_a_header_that_only_a_thorough_look_tells_from_one_is_counted_each_time(gate, tally):
    raw = bytearray(signed(1).raw)
    raw[15] = 1  # an OUI of 25 bits
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    release = ReleaseId.of(bytes(raw))
    for count in (1, 2):
        gate.hear(release, bytes(raw), 0)
        assert gate.judge(0.0) == []
        assert counted(tally) == {"header_fields": count}
    assert not gate.knows(release)


def test_what_is_cheap_to_see_costs_no_check(gate, tally, monkeypatch):
    monkeypatch.setattr(TrustRing, "believes", lambda trust, header: pytest.fail("checked"))
    stranger = signed(1, OTHER_KEY)
    hear(gate, stranger)
    damaged = signed(2)
    gate.hear(damaged.release_id, damaged.raw[:-70] + bytes(70), 0)
    gate.hear(damaged.release_id, damaged.raw[:100], 0)
    assert gate.judge(0.0) == []
    assert counted(tally) == {"unknown_key": 1, "header_crc": 1, "header_size": 1}
    assert tally.stats().unknown_keys == (stranger.key_id.hex(),)


def test_the_most_heard_has_the_next_check(gate, volume):
    for number in range(CHECKS_PER_S + 2):
        volume.add(number, 100 - number if number % 2 else number, 0.0)
        hear(gate, signed(number), number)
    first = gate.judge(0.0)
    assert len(first) == CHECKS_PER_S
    volumes = [volume.of(header.created_unix_s) for header in first]
    assert volumes == sorted(volumes, reverse=True)
    assert [header.created_unix_s for header in gate.judge(2 / CHECKS_PER_S)] == [2, 0]


def test_who_is_heard_least_makes_room_for_who_is_heard_more(gate, volume, tally):
    for number in range(1, MAX_PENDING + 1):
        volume.add(number % 20, 5 + (number % 20 == 7), 0.0)
        hear(gate, signed(number), number % 20)
    for number in (1000, 1001):
        hear(gate, signed(number), 999)
    assert counted(tally) == {"header_postponed": 2}
    volume.add(999, 1, 0.0)
    hear(gate, signed(1002), 999)
    assert counted(tally) == {"header_postponed": 3}, "nothing is heard of it but itself"
    volume.add(999, 1000, 0.0)
    hear(gate, signed(1003), 999)
    assert counted(tally) == {"header_postponed": 4}
    came = [header.created_unix_s for header in gate.judge(0.0)]
    came += [header.created_unix_s for now in range(1, 5) for header in gate.judge(float(now))]
    assert came[0] == 1003
    assert len(came) == MAX_PENDING
    assert not {1000, 1001, 1002} & set(came)


@pytest.mark.parametrize("volumes", [(5, 9, 1), (9, 1, 5), (1, 5, 9)])
def test_of_those_that_wait_the_least_heard_one_goes(gate, volume, monkeypatch, volumes):
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    for number, heard in enumerate((*volumes, 2)):
        volume.add(number, heard, 0.0)
        hear(gate, signed(number), number)
    volume.add(4, 2, 0.0)
    hear(gate, signed(4), 4)
    came = [header.created_unix_s for header in gate.judge(0.0)]
    assert [volume.of(number) for number in came] == [9, 5, 2]
    assert came[-1] == 3, "who is heard no more than that pushes nobody out"


def test_only_headers_of_which_more_is_heard_are_worth_waiting_for(gate, volume):
    assert not gate.has_pending
    hear(gate, signed(1), 8)
    hear(gate, signed(2), 16)
    assert not gate.has_pending
    volume.add(16, 1, 0.0)
    assert gate.has_pending
    gate.judge(0.0)
    assert not gate.has_pending


def test_a_header_that_waits_keeps_its_place(gate, volume):
    volume.add(8, 5, 0.0)
    hear(gate, signed(1), 8)
    gate.hear(signed(1).release_id, forged(1).raw, 16)
    assert gate.judge(0.0) == [signed(1)]


@pytest.mark.parametrize(("limit", "make"), [("MAX_ADMITTED", signed), ("MAX_REFUSED", forged)])
def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(gate, monkeypatch, limit, make):
    monkeypatch.setattr(module, limit, 3)
    checked = []
    believes = TrustRing.believes
    monkeypatch.setattr(
        TrustRing, "believes", lambda trust, header: checked.append(header.created_unix_s) or believes(trust, header)
    )
    for number in (1, 2, 3, 1, 4, 1, 3, 4, 2):
        hear(gate, make(number))
        gate.judge(float(number))
    again = [2] if make is signed else [1, 2]
    assert checked == [1, 2, 3, 4, *again], "who was admitted and is heard again is young again"
