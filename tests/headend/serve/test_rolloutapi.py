"""Roll-outs through the API: what is decided is what the carousels are handed."""

import asyncio
import re

import pytest

from carousel.gate import GateState
from headend.pack.keys import write_key_pair
from headend.rolloutfile import RolloutFile
from tests.headend.serve.test_app import ANY, NOBODYS


@pytest.fixture
def key(office, make_release):
    write_key_pair(office.folder / "bulletin")
    return office.upload(make_release(100_000, symbol_size=512))


def decided(office):
    return RolloutFile(office.folder / "rollout.json").load()


def put(office, path, body, headers=ANY):
    return office.admin.put(f"/api/rollout/{path}", json=body, headers=headers)


def test_a_stage_reaches_the_carousels(office, key):
    answer = put(office, f"releases/{key}/stage", {"percent": 1})
    assert answer.status_code == 200, answer.text
    (ruling,) = decided(office).releases.values()
    assert ruling.share == pytest.approx(0.01)
    assert decided(office).epoch == answer.json()["epoch"] > 1e12
    shown = office.admin.get(f"/api/releases/{key}").json()
    assert (shown["percent"], shown["is_halted"]) == (1, False)


def test_cohorts_only_grow_unless_others_are_drawn(office, key):
    path = f"releases/{key}/stage"
    assert put(office, path, {"percent": 10}).status_code == 200
    refused = put(office, path, {"percent": 1})
    assert refused.status_code == 422
    said = r".*1\.4\.0 \([0-9a-f]{8}\): it is for 10 % of boxes already, and that share only grows"
    assert re.match(said, refused.json()["detail"])
    (before,) = decided(office).releases.values()
    assert put(office, path, {"percent": 1, "draws_anew": True}).status_code == 200
    (after,) = decided(office).releases.values()
    assert after.salt != before.salt


def test_a_release_that_comes_back_is_for_whom_it_was_and_the_answer_says_so(office, make_release):
    write_key_pair(office.folder / "bulletin")
    release = make_release(100_000, symbol_size=512)
    key = office.upload(release)
    assert put(office, f"releases/{key}/stage", {"percent": 10}).status_code == 200
    assert office.admin.delete(f"/api/releases/{key}", headers=ANY).status_code == 204
    again = office.admin.post("/api/releases", content=bytes(release.buffer)).json()
    assert (again["id"], again["percent"]) == (key, 10)


def test_a_halt_and_going_on(office, key):
    epochs = []
    for method, body in (("PUT", {"why": "fan stays off"}), ("DELETE", None)):
        path = f"/api/rollout/releases/{key}/halt"
        answer = office.admin.request(method, path, json=body, headers=ANY)
        assert answer.status_code == 200, answer.text
        epochs.append(answer.json()["epoch"])
        (ruling,) = decided(office).releases.values()
        assert (ruling.is_halted, ruling.why) == (method == "PUT", "fan stays off" if method == "PUT" else "")
    assert epochs[1] > epochs[0]
    assert office.admin.request("DELETE", path, headers=ANY).status_code == 422, "it is not halted any more"


def test_a_clock_set_back_makes_no_older_epoch(office, key):
    first = put(office, f"releases/{key}/stage", {"percent": 1}).json()["epoch"]
    office.time.now_s -= 1e6
    assert put(office, f"releases/{key}/halt", {}).json()["epoch"] == first + 1


def test_two_who_stage_at_once_are_told(office, key):
    tag = office.admin.get("/api/rollout").headers["etag"]
    path = f"releases/{key}/stage"
    assert put(office, path, {"percent": 1}, {"If-Match": tag}).status_code == 200
    assert put(office, path, {"percent": 100}, {"If-Match": tag}).status_code == 412


def test_the_gate_ticks_on_one_chain_at_another_pace(office, key):
    assert put(office, "gate", {"state": "tick", "ticks_per_s": 5}).status_code == 200
    first = decided(office)
    assert first.gate.state is GateState.TICKING
    office.time.now_s += 10
    shown = put(office, "gate", {"state": "tick", "ticks_per_s": 50}).json()
    second = decided(office)
    assert (second.epoch, second.gate.chain) == (first.epoch, first.gate.chain)
    assert (shown["gate"]["tick"], second.gate.ticks_per_s) == (50, 50)
    assert put(office, "gate", {"state": "hold"}).json()["gate"]["state"] == "hold"
    assert decided(office).epoch > first.epoch


def test_nothing_is_decided_that_no_box_could_hear(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    for path, body in (
        (f"releases/{key}/stage", {"percent": 1}),
        (f"releases/{key}/halt", {}),
        ("gate", {"state": "open"}),
    ):
        answer = put(office, path, body)
        assert (answer.status_code, "no key for bulletins" in answer.json()["detail"]) == (422, True)
    assert office.admin.get("/api/rollout").json()["can_speak"] is False


@pytest.mark.parametrize("name", [NOBODYS, "zz", "00"])
def test_a_release_that_is_not_here_is_not_found(office, key, name):
    assert put(office, f"releases/{name}/halt", {}).status_code == 404


def test_what_a_full_disk_kept_from_the_air_is_said_again(office, key, monkeypatch):
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(office.headend._rollout, "change", lambda _: (_ for _ in ()).throw(full))
    assert put(office, f"releases/{key}/halt", {}).status_code == 200
    assert "not yet on the air" in office.told[-1][1]["reason"]
    monkeypatch.undo()
    asyncio.run(office.headend.tend())
    (ruling,) = decided(office).releases.values()
    assert ruling.is_halted
