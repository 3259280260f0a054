"""A service whose clock is ours: rules and a capacity feed decide, once a second, and a restart goes on with both."""

import asyncio

import pytest

from carousel.gate import GateState
from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind, box_key
from headend.pack.keys import read_secret, write_key_pair
from headend.rollout.pace import Feed
from headend.rolloutfile import RolloutFile
from tests.e2e.lab import free_port
from tests.headend.serve.conftest import Office
from tests.headend.serve.test_app import ANY
from tests.headend.serve.test_rolloutapi import decided, put

STAGES = {"stages": "1% 10m, 10% 1h, 100%", "confirm_within_s": 300}


@pytest.fixture
def make(tmp_path, make_release):
    """Return what makes an office that takes reports, with a key for bulletins; the release is the same each time."""
    port, release = free_port(), make_release(100_000, symbol_size=512)

    def once(now_s=100.0):
        made = Office(tmp_path / "data", now_s, reports=f"127.0.0.1:{port}")
        if not (made.folder / "bulletin.key").exists():
            write_key_pair(made.folder / "bulletin")
        made.key = made.upload(release)
        return made

    return once


@pytest.fixture
def office(make):
    made = make()
    yield made
    asyncio.run(made.headend.close())


def pass_by(office, seconds, every=10.0):
    """Let time pass as the service does, which tends once a second."""

    async def tend():
        passed = 0.0
        while passed < seconds:
            office.time.now_s += every
            passed += every
            await office.headend.tend()

    asyncio.run(tend())


def report(office, kind, boxes):
    """Take reports as the mailbox would."""
    secret = read_secret(office.folder / "reports.secret")
    for number in boxes:
        box = f"box-{number}"
        raw = Report(kind, ReleaseId(bytes.fromhex(office.key)), box).build(box_key(secret, box))
        office.headend.reports.samples.take(Report.parse(raw), office.time.now())


def shown(office):
    return office.admin.get(f"/api/releases/{office.key}").json()


def audit(office):
    return [(each["who"], each["action"], each["detail"]) for each in office.admin.get("/api/audit").json()]


def test_stages_go_on_by_themselves_and_the_audit_log_says_why(office):
    answer = put(office, f"releases/{office.key}/rule", STAGES)
    assert answer.status_code == 200, answer.text
    assert shown(office)["percent"] == 1
    report(office, ReportKind.STARTING, range(400))
    report(office, ReportKind.CONFIRMED, range(400))
    pass_by(office, 590)
    assert shown(office)["percent"] == 1, "its time is not over"
    pass_by(office, 20)
    assert shown(office)["percent"] == 10
    (ruling,) = decided(office).releases.values()
    assert ruling.share == pytest.approx(0.1), "and so it is told"
    assert shown(office)["rule"]["trials"] == {"started": 400, "confirmed": 400, "failed": 0}
    pass_by(office, 3610)
    assert shown(office)["percent"] == 100
    told = [(action, detail) for who, action, detail in audit(office) if who == "the rule" and action == "stage"]
    assert [detail.rsplit(" to ", 1)[1] for _, detail in told] == ["100 %", "10 %"]
    assert office.admin.get("/api/audit/verify").json()["is_sound"]


def test_a_cohort_that_says_no_more_is_halted_at_one_percent(office):
    put(office, f"releases/{office.key}/rule", STAGES)
    report(office, ReportKind.STARTING, range(20))
    pass_by(office, 290)
    assert not shown(office)["is_halted"]
    pass_by(office, 20)
    found = shown(office)
    assert (found["is_halted"], found["why"], found["percent"]) == (True, "20 of 20 trials failed", 1)
    assert audit(office)[0][:2] == ("the rule", "halt")
    assert any(event == "change" and fields["action"] == "halt" for event, fields in office.told)


def test_a_restart_knows_what_was_counted(office, make):
    put(office, f"releases/{office.key}/rule", STAGES)
    report(office, ReportKind.STARTING, range(20))
    pass_by(office, 200)
    asyncio.run(office.headend.close())
    again = make(office.time.now_s + 5)
    assert shown(again)["rule"]["trials"]["started"] == 20
    pass_by(again, 110)
    assert shown(again)["why"] == "20 of 20 trials failed"
    office.headend = again.headend


def test_a_person_takes_over_and_hands_back(office):
    put(office, f"releases/{office.key}/rule", STAGES)
    path = f"/api/rollout/releases/{office.key}/rule"
    assert office.admin.request("DELETE", path, headers=ANY).status_code == 200
    report(office, ReportKind.STARTING, range(20))
    pass_by(office, 2000)
    assert (shown(office)["rule"], shown(office)["percent"], shown(office)["is_halted"]) == (None, 1, False)
    assert put(office, f"releases/{office.key}/rule", STAGES | {"success": "time"}).status_code == 200
    pass_by(office, 610)
    assert shown(office)["percent"] == 10


def test_asking_more_boxes_is_no_decision_and_collides_with_nobodys(office, make):
    """Each time under a higher epoch on the air, which a restart and the next decision go on from."""
    put(office, f"releases/{office.key}/rule", STAGES)
    tag, entries = office.admin.get("/api/rollout").headers["etag"], len(audit(office))
    pass_by(office, 100)
    (ruling,) = decided(office).releases.values()
    assert ruling.report_to.sample_threshold > 100
    assert len(audit(office)) == entries
    told = decided(office).epoch
    asyncio.run(office.headend.close())
    again = make(office.time.now_s + 5)
    office.headend = again.headend
    assert decided(again) == decided(office)
    assert put(again, f"releases/{office.key}/stage", {"percent": 5}, {"If-Match": tag}).status_code == 200
    assert decided(again).epoch > told
    (ruling,) = decided(again).releases.values()
    assert ruling.report_to.sample_threshold > 100


def test_a_lost_file_of_the_carousels_makes_no_older_epoch(office, make):
    put(office, f"releases/{office.key}/rule", STAGES)
    pass_by(office, 100)
    told = decided(office).epoch
    asyncio.run(office.headend.close())
    (office.folder / "rollout.json").unlink()
    again = make(office.time.now_s + 5)
    office.headend = again.headend
    assert decided(again).epoch > told


def test_samples_need_somewhere_to_come_in(make_office, make_release):
    office = make_office()
    write_key_pair(office.folder / "bulletin")
    key = office.upload(make_release(100_000, symbol_size=512))
    refused = put(office, f"releases/{key}/rule", STAGES)
    assert (refused.status_code, "takes no reports" in refused.json()["detail"]) == (422, True)
    assert put(office, f"releases/{key}/rule", STAGES | {"success": "time"}).status_code == 200


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"stages": "10% 1h, 1%"}, "stages grow"),
        ({"stages": "often"}, "is no stage"),
        ({"report_to": "0.0.0.0:5099"}, "say which address"),
        ({"report_to": "here"}, "is no address and port"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(office, wish, words):
    refused = put(office, f"releases/{office.key}/rule", STAGES | wish)
    assert (refused.status_code, words in refused.json()["detail"]) == (422, True), refused.text


# --- the gate -------------------------------------------------------------------------------------------

TICK = {"state": "tick", "ticks_per_s": 0.05, "capacity_url": "push:"}


def feed(office, seconds, logins_per_s, capacity_per_s=100.0, healthy=True):
    told = {"logins_per_s": logins_per_s, "capacity_per_s": capacity_per_s, "healthy": healthy}
    for _ in range(seconds):
        assert office.admin.post("/api/rollout/capacity", json=told).status_code == 204
        pass_by(office, 1, 1.0)


def gate_of(office):
    return office.admin.get("/api/rollout").json()["gate"]


def test_a_feed_finds_the_pace_and_writes_no_audit_log(office):
    put(office, "gate", TICK)
    entries = len(audit(office))
    feed(office, 40, 0.0)
    assert gate_of(office)["ticks_per_s"] > 5
    assert decided(office).gate.ticks_per_s == pytest.approx(gate_of(office)["ticks_per_s"])
    assert len(audit(office)) == entries, "a pace is no decision"
    feed(office, 1, 50.0, healthy=False)
    assert gate_of(office)["state"] == "hold"
    assert audit(office)[0][:3] == ("the rule", "gate", "hold")
    feed(office, 4, 0.0)
    assert gate_of(office)["state"] == "hold"
    feed(office, 1, 0.0)
    assert gate_of(office)["state"] == "ticking"
    assert gate_of(office)["capacity_url"] == "push:"
    assert office.admin.get("/api/audit/verify").json()["is_sound"]


@pytest.mark.slow
def test_whoever_decides_does_so_on_the_present_pace(office):
    """A stage must not set the gate back to the pace that was decided, nor to where it was then."""
    put(office, "gate", TICK)
    feed(office, 60, 0.0)
    before = gate_of(office)
    put(office, f"releases/{office.key}/stage", {"percent": 1})
    after = gate_of(office)
    assert (after["tick"], after["ticks_per_s"]) == (before["tick"], before["ticks_per_s"])
    assert decided(office).gate.ticks_per_s == pytest.approx(before["ticks_per_s"])


@pytest.mark.slow
def test_a_restart_goes_on_from_the_tick_that_was_told_last(office, make):
    """Else all whose turn came meanwhile would log in within one second."""
    put(office, "gate", TICK)
    feed(office, 60, 0.0)
    before = gate_of(office)
    asyncio.run(office.headend.close())
    again = make(office.time.now_s + 20)
    office.headend = again.headend
    assert (gate_of(again)["tick"], gate_of(again)["ticks_per_s"]) == (before["tick"], before["ticks_per_s"])
    pass_by(again, 1, 1.0)
    assert gate_of(again)["tick"] == pytest.approx(before["tick"] + before["ticks_per_s"], abs=1)


def test_without_a_feed_it_slows_down_and_a_person_has_the_last_word(office):
    put(office, "gate", TICK | {"ticks_per_s": 64})
    feed(office, 5, 50.0)
    pass_by(office, 60, 1.0)
    assert gate_of(office)["ticks_per_s"] < 0.01
    put(office, "gate", {"state": "hold"})
    refused = office.admin.post("/api/rollout/capacity", json={"logins_per_s": 0, "capacity_per_s": 1})
    assert (refused.status_code, "does not wait" in refused.json()["detail"]) == (422, True)
    pass_by(office, 10, 1.0)
    assert (gate_of(office)["state"], gate_of(office)["capacity_url"]) == ("hold", "")


def test_an_open_gate_with_a_feed_closes_when_too_many_log_in(office):
    put(office, "gate", {"state": "open", "capacity_url": "push:"})
    feed(office, 2, 50.0)
    assert gate_of(office)["state"] == "open"
    feed(office, 1, 150.0)
    assert gate_of(office)["state"] == "ticking"
    assert RolloutFile(office.folder / "rollout.json").load().gate.state is GateState.TICKING


@pytest.mark.parametrize("url", ["ftp://x/", "capacity", "http://a b/", "push", "http://[", "http://x/\n"])
def test_what_can_not_be_asked_is_refused(office, url):
    refused = put(office, "gate", TICK | {"capacity_url": url})
    assert (refused.status_code, "no address of a capacity feed" in refused.json()["detail"]) == (422, True)


def test_a_full_disk_is_told_once_and_the_rule_tried_again(office, monkeypatch):
    put(office, f"releases/{office.key}/rule", STAGES)
    report(office, ReportKind.STARTING, range(20))
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(office.headend.store, "_write", lambda *_: (_ for _ in ()).throw(full))
    pass_by(office, 400)
    told = [fields["reason"] for event, fields in office.told if event == "trouble"]
    assert len([reason for reason in told if "what a rule wants" in reason]) == 1, told
    monkeypatch.undo()
    pass_by(office, 10)
    assert shown(office)["is_halted"]


def test_the_feed_is_shown(office):
    put(office, "gate", TICK)
    assert gate_of(office)["heard_ago_s"] is None
    feed(office, 1, 40.0)
    assert (gate_of(office)["logins_per_s"], gate_of(office)["is_healthy"]) == (40.0, True)
    text = office.admin.get("/metrics").text
    assert "bootcast_gate_capacity_per_second 100.0" in text
    assert 'bootcast_gate_state{state="ticking"} 1.0' in text


def test_a_newest_word_counts_once():
    from headend.serve.capacity import PUSHED, CapacityFeed

    async def look():
        found = CapacityFeed(lambda: 5.0, lambda *_, **__: None)
        found.push(Feed(1, 2))
        found.push(Feed(2, 3))
        return [await found.look(PUSHED) for _ in range(2)]

    assert asyncio.run(look()) == [Feed(2, 3), None]
