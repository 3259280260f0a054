"""The gate by itself: what is cheap is free, what is dear is ranked, and nothing pushes out what is known good."""

import pytest

from carousel.crc import crc32
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from settop.wire.gate import CHECKS_PER_S, MAX_ADMITTED, MAX_PENDING, Allowance, AnnouncementGate
from settop.wire.tally import Reason, Tally
from settop.wire.volume import HeardVolume
from tests.conftest import KEY, OTHER_KEY, unsigned


class Box:
    def __init__(self):
        self.volume, self.tally = HeardVolume(), Tally()
        self.gate = AnnouncementGate(TrustRing.of([KEY.public_key()]), self.volume, self.tally)

    def hear(self, raw, number=8):
        self.gate.hear(ReleaseId.of(raw), raw, number)

    def rejected(self):
        return dict(self.tally.stats().rejected)


@pytest.fixture
def box():
    return Box()


@pytest.fixture(scope="module")
def header(make_release):
    return make_release(20_000, symbol_size=512).header


def numbered(header, number):
    """Another header with the trusted key's ID: only the signature check tells that it is forged."""
    raw = bytearray(unsigned(header, created_unix_s=number).sign(OTHER_KEY).raw)
    raw[120:128] = header.key_id
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    return bytes(raw)


def test_an_allowance_is_so_many_a_second_and_one_second_s_worth_at_once():
    allowance = Allowance(5)
    assert [allowance.take(0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [allowance.take(0.4) for _ in range(3)] == [True, True, False]
    assert sum(allowance.take(100.0) for _ in range(20)) == 5
    assert not allowance.take(50.0), "a clock that goes back gives nothing"


def test_an_authentic_header_is_announced_once(box, header):
    box.hear(header.raw)
    assert box.gate.judge(0.0) == [header]
    for _ in range(3):
        box.hear(header.raw)
        assert box.gate.judge(0.1) == []
    assert box.rejected() == {"header_repeated": 3}
    box.gate.forget(header.release_id)
    assert not box.gate.knows(header.release_id)
    box.hear(header.raw)
    assert box.gate.judge(0.2) == [header]


def test_what_a_look_tells_spends_no_check(box, header):
    wrong_crc = bytearray(header.raw)
    wrong_crc[30] ^= 1
    strange = unsigned(header).sign(OTHER_KEY).raw
    for raw in (header.raw[:-1], bytes(256), bytes(wrong_crc), strange):
        for _ in range(2 * CHECKS_PER_S):
            box.hear(raw)
            box.gate.judge(0.0)
    each = 2 * CHECKS_PER_S
    assert box.rejected() == {"header_size": each, "header_fields": each, "header_crc": each, "unknown_key": each}
    box.hear(header.raw)
    assert box.gate.judge(0.0) == [header]


def test_a_forged_header_is_checked_once(box, header):
    for _ in range(5):
        box.hear(numbered(header, 1))
        assert box.gate.judge(0.0) == []
    assert box.rejected() == {"bad_signature": 5}


def test_the_most_heard_one_has_the_next_check_and_pushes_out_the_least_heard(box, header):
    for number in range(CHECKS_PER_S + 3 * MAX_PENDING):
        box.volume.add(8 + number, 1, 0.0)
        box.hear(numbered(header, number), 8 + number)
        box.gate.judge(0.0)
    assert not box.gate.knows(header.release_id)
    box.volume.add(1_000_000, 500, 0.0)
    box.hear(header.raw, 1_000_000)
    assert box.gate.has_pending
    assert box.gate.judge(1.01 / CHECKS_PER_S) == [header]
    assert box.rejected()["header_postponed"] > 2 * MAX_PENDING


def test_headers_of_which_nothing_else_is_heard_wait_without_being_waited_for(box, header):
    for number in range(CHECKS_PER_S + 5):
        box.hear(numbered(header, number), 8 + number)
    box.gate.judge(0.0)
    assert not box.gate.has_pending
    box.volume.add(8 + CHECKS_PER_S + 4, 1, 0.0)
    assert box.gate.has_pending


def test_the_admitted_one_that_is_not_heard_for_longest_is_forgotten_first(box, header):
    signed = [unsigned(header, created_unix_s=number).sign(KEY) for number in range(MAX_ADMITTED + 10)]
    for number, each in enumerate(signed):
        box.hear(each.raw)
        assert box.gate.judge(float(number)) == [each]
        box.hear(signed[0].raw)
    assert box.gate.knows(signed[0].release_id)
    assert not box.gate.knows(signed[1].release_id)
    assert box.gate.knows(signed[-1].release_id)


def test_reasons_are_the_names_that_users_see():
    tally = Tally()
    for reason in Reason:
        tally.count(reason, 2)
    tally.count(Reason.TSI, 0)
    stats = tally.stats()
    assert (stats.corrupt, stats.duplicates, stats.ignored) == (2, 2, 2)
    assert {name for name, _ in stats.rejected} == {reason.value for reason in Reason} - {"duplicates", "ignored"}
    assert {"crc", "out_of_range", "tsi", "fdt", "header_repeated", "odd_dropped"} <= dict(stats.rejected).keys()
