"""Roll-outs that go on by themselves, with real processes: reports by UDP, a capacity feed, and a service that dies."""

import json
import os
import socket

import pytest

from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind, box_key
from headend.pack.keys import write_key_pair
from tests.e2e.lab import HARDWARE, free_port, named, prepare, run
from tests.e2e.service import Service, until

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def service(tmp_path, port):
    made = Service(tmp_path, f'reports = "127.0.0.1:{port}"\n')
    write_key_pair(made.data / "bulletin")
    yield made.start()
    made.stop()


def ctl(service, *arguments):
    done = run("headend", "ctl", "--url", service.url, "--token-file", service.data / "admin.token", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(service, port, release, kind, boxes):
    """Send what boxes with keys of their own would, and wait until all count."""
    secret = bytes.fromhex((service.data / "reports.secret").read_text())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in boxes:
            box = f"box-{number}"
            raw = Report(kind, ReleaseId(bytes.fromhex(release)), box).build(box_key(secret, box))
            sender.sendto(raw, ("127.0.0.1", port))
    counted = {ReportKind.STARTING: "started", ReportKind.CONFIRMED: "confirmed"}[kind]
    until(lambda: trials(service, release)[counted] == len(boxes), f"{len(boxes)} {counted}")


def trials(service, release):
    return service.client.get(f"/api/releases/{release}").json()["rule"]["trials"]


def test_a_release_that_bricks_halts_itself_across_a_kill(service, port, tmp_path):
    release = service.upload(service.pack("img", 60_000))
    group = service.create("lab")["decided"]["group"]
    ctl(service, "stage", "img", "--stages", "50% 10m, 100%", "--confirm-within", "8s")
    service.put("lab", release)
    report(service, port, release, ReportKind.STARTING, range(20))
    junk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for size in (0, 1, 104, 600):
        junk.sendto(os.urandom(size), ("127.0.0.1", port))
    junk.close()
    until(lambda: service.client.get("/api/rollout").json()["reports"]["malformed"] >= 3, "junk")
    service.kill()
    os.utime(service.data / "alive", (2**32, 2**32))  # however busy the machine is, it was away for a moment
    service.start()
    assert trials(service, release)["started"] == 20
    until(lambda: service.client.get(f"/api/releases/{release}").json()["is_halted"], "a halt")
    assert "the rule" in ctl(service, "audit", "show")
    assert "20 of 20 trials failed" in ctl(service, "status")
    init = ["--hardware", HARDWARE, "--trust", tmp_path / "lab.pub", "--id", "box", "--eeprom"]
    init += [service.pack("factory", 2000, "0.1.0"), "--trust-bulletin", service.data / "bulletin.pub"]
    prepare("settop", "init", "--store", tmp_path / "box", *init)
    where = ["--store", tmp_path / "box", "--group", group, "--interface", "lo", "--timeout", 30, "--json"]
    heard = run("settop", "receive", *where)
    assert named(heard.stdout, "halted")[0]["reason"] == "its roll-out was halted: 20 of 20 trials failed"
    assert service.client.get("/api/audit/verify").json()["is_sound"]


def test_a_good_release_goes_on_by_reports(service, port):
    release = service.upload(service.pack("img", 60_000))
    ctl(service, "stage", "img", "--stages", "50% 1s, 100%")
    for kind in (ReportKind.STARTING, ReportKind.CONFIRMED):
        report(service, port, release, kind, range(200))
    until(lambda: service.client.get(f"/api/releases/{release}").json()["percent"] == 100, "the next stage")
    assert 'outcome="confirmed"' not in service.client.get("/metrics").text, "it is on no carousel"
    service.create("lab")
    service.put("lab", release)
    labels = f'{{carousel="lab",outcome="confirmed",release="{release}"}}'
    assert f"bootcast_carousel_trials{labels} 200.0" in service.client.get("/metrics").text


def test_the_gate_follows_a_capacity_feed(service, tmp_path):
    said = tmp_path / "capacity.json"

    def say(**fields):
        beside = said.with_suffix(".new")
        beside.write_text(json.dumps({"logins_per_s": 0, "capacity_per_s": 100} | fields))
        beside.replace(said)

    gate = lambda: service.client.get("/api/rollout").json()["gate"]  # noqa: E731
    say()
    ctl(service, "gate", "tick", "--ticks-per-s", "0.05", "--capacity-url", said.as_uri())
    until(lambda: gate()["ticks_per_s"] > 0.3, "a faster pace")
    say(healthy=False)
    until(lambda: gate()["state"] == "hold", "a hold")
    assert "not healthy" in ctl(service, "status")
    say()
    until(lambda: gate()["state"] == "ticking", "ticks again")
    service.kill()
    service.start()
    assert (gate()["state"], gate()["capacity_url"]) == ("ticking", said.as_uri())
    said.unlink()
    until(lambda: any("capacity feed says nothing" in each.get("reason", "") for each in service.told()), "a sentence")
    ctl(service, "gate", "open")
    assert (gate()["state"], gate()["capacity_url"]) == ("open", "")
