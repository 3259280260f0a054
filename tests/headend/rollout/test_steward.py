"""The steward: rules, reports and the gate as one record after another."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from carousel.bulletin import ReportTo
from carousel.gate import LEAST_TICKS, GateState
from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind, box_key
from headend.rollout.decisions import Decisions, GatePlan, format_decisions, parse_decisions
from headend.rollout.pace import Feed
from headend.rollout.samples import Samples
from headend.rollout.stages import parse_rule
from headend.rollout.steward import GateKeeper, Steward

SECRET, RELEASE, UNIX_S = bytes(range(32)), ReleaseId(b"r" * 16), 1_750_000_000.0
RULE = replace(parse_rule("1 % 10 min, 10 % 1 h, 100 %"), confirm_within_s=300.0)
TO = ReportTo(ip_address("192.0.2.1"), 5099, 0, 2)


@pytest.fixture
def samples():
    return Samples(SECRET)


@pytest.fixture
def decisions():
    return Decisions().ruled(RELEASE, RULE, int(UNIX_S * 1000)).sampled(RELEASE, TO, int(UNIX_S * 1000))


def say(samples, kind, boxes, now):
    for number in boxes:
        box = f"box-{number}"
        samples.take(Report.parse(Report(kind, RELEASE, box).build(box_key(SECRET, box))), now)


def tend(steward, decisions, seconds, begin=0):
    for second in range(begin, begin + seconds, 10):
        decisions = steward.tend(decisions, float(second), UNIX_S + second)
    return decisions


def test_a_good_release_goes_from_one_percent_to_all(samples, decisions):
    assert decisions.releases[RELEASE].share == 0.01
    steward = Steward(samples, 5.0)
    say(samples, ReportKind.STARTING, range(400), 0.0)
    say(samples, ReportKind.CONFIRMED, range(400), 60.0)
    decisions = tend(steward, decisions, 610)
    assert decisions.releases[RELEASE].share == 0.1
    decisions = tend(steward, decisions, 3700, 610)
    assert decisions.releases[RELEASE].share == 1.0


def test_a_cohort_that_bricks_silently_is_halted_at_one_percent(samples, decisions):
    steward = Steward(samples, 5.0)
    say(samples, ReportKind.STARTING, range(20), 0.0)
    decisions = tend(steward, decisions, 3600)
    ruling = decisions.releases[RELEASE]
    assert (ruling.is_halted, ruling.share) == (True, 0.01)
    assert ruling.why == "20 of 20 trials failed"


def test_a_resumed_release_counts_anew(samples, decisions):
    steward = Steward(samples, 5.0)
    say(samples, ReportKind.STARTING, range(20), 0.0)
    decisions = tend(steward, decisions, 400).resumed(RELEASE, 1)
    assert not tend(steward, decisions, 100, 400).releases[RELEASE].is_halted


def test_liars_without_a_key_halt_nothing(samples, decisions):
    for number in range(1000):
        samples.take(Report.parse(Report(ReportKind.STARTING, RELEASE, f"liar-{number}").build(None)), 0.0)
    decisions = tend(Steward(samples, 5.0), decisions, 5000)
    assert not decisions.releases[RELEASE].is_halted
    assert decisions.releases[RELEASE].share == 0.01, "nor do they advance it"


def test_more_boxes_are_asked_until_enough_report(samples, decisions):
    before = decisions.epoch
    asked = tend(Steward(samples, 5.0), decisions, 200)
    assert asked.releases[RELEASE].report_to.sample_threshold > 1000
    assert asked.epoch > before


def test_nothing_that_follows_is_the_same_record(samples):
    decisions = Decisions().staged(RELEASE, 0.5, b"", 1)
    assert Steward(samples, 5.0).tend(decisions, 0.0, UNIX_S) is decisions
    assert GateKeeper(lambda ticks: b"").tend(decisions, None, 0.0, UNIX_S) is decisions


def test_a_rule_is_kept_in_the_record(decisions):
    assert parse_decisions(format_decisions(decisions)).releases == decisions.releases


def test_a_gate_on_hold_begins_to_tick_when_its_server_is_well():
    chains = []
    keeper = GateKeeper(lambda ticks: chains.append(ticks) or b"c" * 16)
    held = Decisions().gated(GatePlan(GateState.HOLD), 1)
    assert keeper.tend(held, None, 0.0, UNIX_S) is held
    assert keeper.tend(held, Feed(0, 100, is_healthy=False), 1.0, UNIX_S) is held
    assert keeper.tend(held, Feed(0, 100), 2.0, UNIX_S) is held
    ticking = keeper.tend(held, Feed(0, 100), 6.0, UNIX_S)
    assert (ticking.gate.state, ticking.gate.ticks, chains) == (GateState.TICKING, LEAST_TICKS, [LEAST_TICKS])
    faster = ticking
    for second in range(7, 60):
        faster = keeper.tend(faster, Feed(0, 100), float(second), UNIX_S + second)
    assert faster.epoch == ticking.epoch, "a pace is no decision"
    assert faster.gate.ticks_per_s > 100 * ticking.gate.ticks_per_s
    at = faster.gate.tick_at(UNIX_S + 60)
    sick = keeper.tend(faster, Feed(50, 100, is_healthy=False), 60.0, UNIX_S + 60)
    assert sick.gate.state is GateState.HOLD
    assert sick.gate.tick == at
    assert parse_decisions(format_decisions(sick)).gate == sick.gate
    for second in range(61, 65):
        assert keeper.tend(sick, Feed(0, 100), float(second), UNIX_S + second) is sick, "one that flaps decides little"
    again = keeper.tend(sick, Feed(0, 100), 65.0, UNIX_S + 65)
    assert (again.gate.state, again.gate.chain) == (GateState.TICKING, ticking.gate.chain)
    assert again.gate.tick_at(UNIX_S + 65) == at


def test_an_open_gate_closes_when_too_many_log_in():
    keeper = GateKeeper(lambda ticks: b"d" * 16)
    opened = Decisions().gated(GatePlan(GateState.OPEN), 1)
    assert keeper.tend(opened, Feed(50, 100), 0.0, UNIX_S) is opened
    assert keeper.tend(opened, None, 1.0, UNIX_S) is opened
    closed = keeper.tend(opened, Feed(150, 100), 2.0, UNIX_S)
    assert (closed.gate.state, closed.gate.tick_at(UNIX_S)) == (GateState.TICKING, 0.0)
    assert closed.gate.ticks_per_s < 1


def test_the_last_tick_is_never_told():
    keeper, unix_s = GateKeeper(lambda ticks: b"c" * 16), UNIX_S
    gate = GatePlan(GateState.TICKING, b"c" * 16, LEAST_TICKS, LEAST_TICKS - 500.0, UNIX_S, 50.0)
    decisions = Decisions().gated(gate, 1)
    for second in range(200):
        unix_s += 1
        decisions = keeper.tend(decisions, Feed(80, 100), float(second), unix_s)
        assert decisions.gate.state is GateState.OPEN or decisions.gate.tick_at(unix_s + 1.9) < LEAST_TICKS
