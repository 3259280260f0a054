"""Decisions: what follows from what, and the record they are kept in."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.bulletin import ALL, ReportTo
from carousel.errors import OperatorError
from carousel.gate import LEAST_TICKS, GateState
from carousel.release.identity import ReleaseId
from headend.rollout.decisions import MAX_RELEASES, Decisions, GatePlan, Ruling, format_decisions, parse_decisions

RELEASE = ReleaseId(b"r" * 16)
rulings = st.builds(
    Ruling,
    st.integers(0, 100).map(lambda percent: percent / 100),
    st.binary(min_size=8, max_size=8),
    st.booleans(),
    st.text(max_size=40),
    st.none() | st.builds(ReportTo, st.ip_addresses(), st.integers(1, 65535), st.integers(0, ALL), st.integers(0, 600)),
)
ticking = st.builds(
    GatePlan,
    st.just(GateState.TICKING),
    st.binary(min_size=16, max_size=16),
    st.just(LEAST_TICKS),
    st.floats(0, LEAST_TICKS),
    st.floats(0, 2e9),
    st.floats(0, 1000),
)
gates = ticking | st.sampled_from([GatePlan(state) for state in GateState if state is not GateState.TICKING])
records = st.builds(
    Decisions,
    st.integers(0, 2**62),
    st.dictionaries(st.binary(min_size=16, max_size=16).map(ReleaseId), rulings, max_size=5),
    gates,
)


@given(records)
def test_a_record_comes_back_from_its_file(decisions):
    back = parse_decisions(format_decisions(decisions))
    assert back.epoch == decisions.epoch
    assert back.gate == decisions.gate
    assert back.stages() == decisions.stages()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"epoch": -1}', '{"epoch": 1, "releases": {"xy": {}}}', '{"epoch": true}',
     '{"epoch": 1, "releases": {"00": {}}}', '{"epoch": 1, "gate": {"state": "ajar"}}',
     '{"epoch": 1, "gate": {"state": "ticking"}}', "[" * 100_000,
     '{"epoch": 1, "releases": {"' + "00" * 16 + '": {"percent": 101}}}',
     '{"epoch": 1, "releases": {"' + "00" * 16 + '": {"percent": NaN}}}',
     '{"epoch": 1, "releases": {"' + "00" * 16 + '": {"salt": "0011223344556677889900"}}}'],
)  # fmt: skip
def test_what_is_no_record_is_told_in_a_sentence(text):
    with pytest.raises(OperatorError, match="no decisions"):
        parse_decisions(text)


@given(st.lists(st.integers(0, 2**45), min_size=1, max_size=10))
def test_epochs_grow_whatever_the_clock_does(times_ms):
    decisions = Decisions()
    for share, unix_ms in enumerate(times_ms):
        later = decisions.staged(RELEASE, share / 100, b"", unix_ms)
        assert later.epoch >= max(decisions.epoch + 1, unix_ms)
        decisions = later


def test_cohorts_only_grow_and_another_salt_draws_anew():
    decisions = Decisions().staged(RELEASE, 0.1, b"saltsalt", 1)
    with pytest.raises(OperatorError, match="only grows"):
        decisions.staged(RELEASE, 0.01, b"", 2)
    with pytest.raises(OperatorError, match="only grows"):
        decisions.staged(RELEASE, 0.01, b"saltsalt", 2)
    assert decisions.staged(RELEASE, 0.2, b"", 2).releases[RELEASE].salt == b"saltsalt"
    assert decisions.staged(RELEASE, 0.01, b"pepper__", 2).releases[RELEASE].share == 0.01
    with pytest.raises(OperatorError, match="no share"):
        decisions.staged(RELEASE, 1.01, b"", 2)


def test_halt_and_resume_keep_the_cohort():
    decisions = Decisions().staged(RELEASE, 0.1, b"saltsalt", 1).halted(RELEASE, "it bricks", 2)
    ruling = decisions.releases[RELEASE]
    assert (ruling.is_halted, ruling.why, ruling.share) == (True, "it bricks", 0.1)
    assert decisions.stages()[0].is_halted
    assert not decisions.resumed(RELEASE, 3).releases[RELEASE].is_halted
    assert decisions.forgotten(RELEASE, 4).releases == {}


def test_a_halted_release_that_nobody_staged_is_halted_for_all():
    assert Decisions().halted(RELEASE, "", 1).releases[RELEASE].share == 1


def test_so_many_releases_and_no_more():
    full = Decisions(1, {ReleaseId(number.to_bytes(16, "big")): Ruling() for number in range(MAX_RELEASES)})
    with pytest.raises(OperatorError, match="are decided about"):
        full.staged(RELEASE, 1, b"", 1)


def test_reports_are_asked_for_and_called_off():
    to = ReportTo(ip_address("192.0.2.1"), 5099, 77, 10)
    decisions = Decisions().sampled(RELEASE, to, 1)
    assert decisions.stages()[0].report_to == to
    assert decisions.sampled(RELEASE, None, 2).stages()[0].report_to is None


@given(ticking, st.floats(-100, 1e6), st.floats(0, 1e6), st.floats(0, 50))
def test_a_gate_goes_on_from_where_it_is_at_whatever_pace(gate, passed_s, later_s, ticks_per_s):
    now_s = gate.at_unix_s + passed_s
    there = gate.tick_at(now_s)
    assert gate.tick <= there <= gate.ticks
    paced = gate.paced(ticks_per_s, now_s)
    assert paced.tick_at(now_s) == pytest.approx(there)
    assert there - 1e-6 <= paced.tick_at(now_s + later_s) <= gate.ticks


def test_a_pace_is_no_decision():
    gate = GatePlan(GateState.TICKING, b"c" * 16, LEAST_TICKS, 0.0, 100.0, 1.0)
    decisions = Decisions().gated(gate, 5)
    assert decisions.paced(9.0, 200.0).epoch == decisions.epoch
    assert decisions.paced(9.0, 200.0).gate.tick_at(201.0) == 109
