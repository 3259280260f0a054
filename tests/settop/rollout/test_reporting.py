"""Whom a box reports to, and how little a bulletin can make of it."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from carousel.bulletin import ALL, ReportTo, Stage
from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind, box_key
from settop.rollout.reporting import MOST_DELAY_S, report_of
from tests.settop.rollout.signed import BOX, RELEASE

STARTING, CONFIRMED = ReportKind.STARTING, ReportKind.CONFIRMED
KEY = box_key(bytes(32), BOX)


def asked(sample=ALL, address="192.0.2.7", spread_s=10, release=RELEASE):
    return [Stage(release, report_to=ReportTo(ip_address(address), 5099, sample, spread_s))]


def outgoing(kind=STARTING, stages=None, may_go_to=("192.0.2.0/24",), said=(), box=BOX, key=KEY):
    return report_of(kind, RELEASE, asked() if stages is None else stages, box, key, may_go_to, said)


def test_a_sampled_box_says_starting_then_confirmed():
    starting = outgoing()
    assert (str(starting.address), starting.port) == ("192.0.2.7", 5099)
    report = Report.parse(starting.raw)
    assert (report.kind, report.release, report.box_id) == (STARTING, RELEASE, BOX)
    assert report.is_by(bytes(32))
    assert 0 <= starting.delay_s <= 10
    assert Report.parse(outgoing(CONFIRMED, said={STARTING}).raw).kind is CONFIRMED


def test_nothing_is_said_twice_nor_confirmed_by_who_was_not_sampled():
    assert outgoing(said={STARTING}) is None
    assert outgoing(CONFIRMED, said={STARTING, CONFIRMED}) is None
    assert outgoing(CONFIRMED) is None


def test_who_started_says_how_it_went_though_fewer_are_asked_now_but_not_if_nobody_is():
    assert outgoing(CONFIRMED, asked(sample=1), said={STARTING}) is not None
    assert outgoing(CONFIRMED, asked(sample=0), said={STARTING}) is None
    assert outgoing(stages=asked(sample=1)) is None


def test_no_bulletin_sends_it_where_its_owner_did_not_allow():
    assert outgoing(may_go_to=()) is None
    assert outgoing(stages=asked(address="198.51.100.1")) is None
    assert outgoing(stages=asked(address="2001:db8::1")) is None
    assert outgoing(stages=asked(address="2001:db8::1"), may_go_to=("192.0.2.0/24", "2001:db8::/64")) is not None


@given(st.integers(0, 65535))
def test_no_bulletin_delays_a_start_for_long(spread_s):
    assert outgoing(stages=asked(spread_s=spread_s)).delay_s <= min(spread_s, MOST_DELAY_S)


def test_a_release_that_nobody_asks_of_is_not_told():
    assert outgoing(stages=[]) is None
    assert outgoing(stages=[Stage(RELEASE)]) is None
    assert outgoing(stages=asked(release=ReleaseId(b"o" * 16))) is None


def test_a_box_without_a_name_or_with_one_too_long_says_nothing():
    assert outgoing(box="") is None
    assert outgoing(box="x" * 65) is None


def test_without_a_key_it_is_heard_and_not_believed():
    assert not Report.parse(outgoing(key=None).raw).is_by(bytes(32))
