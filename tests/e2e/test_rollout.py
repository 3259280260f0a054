"""A roll-out on lo, with the real commands: stages, a halt, and what the box says of it."""

import itertools
import json
import subprocess

import pytest

from carousel.gate import turn_of
from headend.rolloutfile import RolloutFile
from tests.e2e.lab import Lab, command, free_port, named, prepare, run, wait_for

pytestmark = pytest.mark.processes


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path, free_port())
    prepare("headend", "keygen", tmp_path / "online", "--bulletin")
    return made


def rollout(lab, command, *arguments):
    return prepare("headend", "rollout", command, lab.folder / "rollout.json", *arguments)


def obedient_box(lab, name):
    path = lab.folder / name
    arguments = ["--hardware", "00A1B2:7", "--trust", lab.folder / "lab.pub", "--eeprom", lab.eeprom, "--id", name]
    prepare("settop", "init", "--store", path, *arguments, "--trust-bulletin", lab.folder / "online.pub")
    return path


def test_a_release_goes_out_in_stages_and_is_halted(lab):
    release = lab.pack(b"new image" * 20_000, "1.0.0", "new")
    box = obedient_box(lab, "box")
    rollout(lab, "stage", release, "0%")
    options = ("--bulletin-key", lab.folder / "online.key", "--rollout", lab.folder / "rollout.json")
    with lab.cast(release, options=options):
        early = lab.receive(box)
        assert (early.returncode, named(early.stdout, "nothing")) == (0, [])
        (not_yet,) = named(early.stdout, "not_yet")
        assert not_yet["reason"].endswith("this box comes later")
        rollout(lab, "stage", release, "100%")
        later = lab.receive(box)
        assert later.returncode == 0, later.stdout
        assert named(later.stdout, "installed")
        rollout(lab, "halt", release, "--why", "it bricks")
        halted = lab.receive(box)
        assert halted.returncode == 0, halted.stdout
        assert named(halted.stdout, "trial_halted")[0]["reason"] == "its roll-out was halted: it bricks"
        assert named(halted.stdout, "installed") == []
        shown = run("settop", "status", "--store", box).stdout
        assert "its roll-out was halted: it bricks" in shown
        assert "failed: its roll-out was halted while it was on trial" in shown
        assert named(run("settop", "boot", "--store", box, "--json").stdout, "would_boot")[0]["source"] == "eeprom"
        rollout(lab, "resume", release)
        assert named(lab.receive(box).stdout, "installed")
    log = (lab.folder / "cast.log").read_text()
    assert len(named(log, "decided")) == 3


def test_a_transport_stream_carries_the_same_decisions(lab):
    release, box = lab.pack(b"new image" * 20_000, "1.0.0", "new", "--ssu"), obedient_box(lab, "box")
    rollout(lab, "halt", release, "--why", "it bricks")
    options = ("--ssu", "--bulletin-key", lab.folder / "online.key", "--rollout", lab.folder / "rollout.json")
    with lab.cast(release, rate="20M", options=options):
        halted = lab.receive(box, "--ssu")
        assert (halted.returncode, named(halted.stdout, "installed")) == (0, [])
        assert named(halted.stdout, "halted")[0]["reason"] == "its roll-out was halted: it bricks"
        rollout(lab, "resume", release)
        assert named(lab.receive(box, "--ssu").stdout, "installed")


def test_a_box_without_a_key_takes_what_it_hears(lab):
    release = lab.pack(b"new image" * 20_000, "1.0.0", "new")
    rollout(lab, "halt", release)
    options = ("--bulletin-key", lab.folder / "online.key", "--rollout", lab.folder / "rollout.json")
    with lab.cast(release, options=options):
        assert named(lab.receive(lab.box("plain")).stdout, "installed")


def test_decisions_that_can_not_be_read_leave_the_old_ones_on_the_air(lab):
    release = lab.pack(b"new image" * 20_000, "1.0.0", "new")
    rollout(lab, "halt", release)
    options = ("--bulletin-key", lab.folder / "online.key", "--rollout", lab.folder / "rollout.json")
    with lab.cast(release, options=options):
        (lab.folder / "rollout.json").write_text("{")
        done = lab.receive(obedient_box(lab, "box"))
        assert named(done.stdout, "halted")
    assert "going on with the old decisions" in (lab.folder / "cast.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stage", "rollout.json", "0" * 32, "101%"), "no share of boxes"),
        (("gate", "rollout.json", "ajar"), "a gate is open, hold"),
        (("show", "missing.json"), "no such file"),
        (("stage", "rollout.json", "nothing.release", "1%"), "no such file"),
    ],
)
def test_what_is_typed_wrong_is_told_in_a_sentence(tmp_path, arguments, words):
    done = run("headend", "rollout", arguments[0], tmp_path / arguments[1], *arguments[2:])
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# --- the gate -------------------------------------------------------------------------------------------


def gate(lab, box, *options):
    where = ["--store", box, "--group", lab.group, "--interface", "lo", "--timeout", "30", "--json"]
    return run("settop", "gate", *where, *options)


GATE_LASTS_S = 120
"""So long a chain ticks in the test, however slow the machine; who comes early in it waits for a second of that."""


def test_a_gate_lets_a_box_in_when_its_turn_has_come(lab):
    release = lab.pack(b"image" * 2000, "1.0.0", "new")
    rollout(lab, "gate", "hold")
    options = ("--bulletin-key", lab.folder / "online.key", "--rollout", lab.folder / "rollout.json")
    with lab.cast(release, rate="5M", options=options):
        held = gate(lab, obedient_box(lab, "held"))
        assert held.returncode == 3
        assert named(held.stdout, "waiting")[-1]["why"] == "the gate is on hold"
        rollout(lab, "gate", "tick", "--ticks-per-s", "0")
        plan = RolloutFile(lab.folder / "rollout.json").load().gate
        per_s = plan.ticks // GATE_LASTS_S
        name = next(f"box{n}" for n in itertools.count() if turn_of(plan.chain, f"box{n}", plan.ticks) < per_s)
        box = obedient_box(lab, name)
        early = gate(lab, box)
        assert early.returncode == 3
        assert "its turn is" in named(early.stdout, "waiting")[-1]["why"]
        rollout(lab, "gate", "tick", "--ticks-per-s", per_s)
        later = gate(lab, box, "--wait", "--then", "sh -c 'exit 7'")
        assert later.returncode == 7
        assert "its turn has come" in named(later.stdout, "admitted")[0]["why"]
        rollout(lab, "gate", "open")
        assert gate(lab, obedient_box(lab, "other"), "--wait").returncode == 0
    plain = gate(lab, lab.box("plain"))
    assert plain.returncode == 1
    assert "obeys no bulletins" in plain.stderr


# --- reports --------------------------------------------------------------------------------------------


def test_a_sampled_trial_is_reported_and_the_rule_goes_on(lab):
    release, port = lab.pack(b"new image" * 20_000, "1.0.0", "new"), free_port()
    prepare("headend", "keygen", lab.folder / "reports", "--reports")
    key = prepare("headend", "rollout", "box-key", lab.folder / "reports.secret", "box")
    (lab.folder / "box.key").write_text(key)
    arguments = ["--hardware", "00A1B2:7", "--trust", lab.folder / "lab.pub", "--eeprom", lab.eeprom, "--id", "box"]
    arguments += ["--trust-bulletin", lab.folder / "online.pub", "--reports-to", "127.0.0.1"]
    box = lab.folder / "box"
    prepare("settop", "init", "--store", box, *arguments, "--report-key", lab.folder / "box.key")
    where = ("--report-to", f"127.0.0.1:{port}", "--failures-below", "80%", "--spread", "0s")
    rollout(lab, "plan", release, "50% 0s, 100%", *where)
    file = lab.folder / "rollout.json"
    everybody = json.loads(file.read_text())
    for entry in everybody["releases"].values():
        entry["percent"] = 99.99999
        entry["rule"]["stages"] = "99.99999 % 0 s, 100 %"
        entry["report_to"]["sample_threshold"] = 2**32 - 1
    file.write_text(json.dumps(everybody))
    options = ("--bulletin-key", lab.folder / "online.key", "--rollout", file)
    watch = ["rollout", "watch", file, "--listen", f"127.0.0.1:{port}", "--secret", lab.folder / "reports.secret"]
    watcher = subprocess.Popen(command("headend", *watch, "--json"), stdout=subprocess.PIPE, text=True)
    try:
        with lab.cast(release, options=options):
            assert named(lab.receive(box).stdout, "installed")
        started = run("settop", "boot", "--store", box, "--command", "true", "--json")
        assert named(started.stdout, "reported") == [{"event": "reported", "kind": "starting", "to": "127.0.0.1"}]
        again = run("settop", "boot", "--store", box, "--command", "true", "--json")
        assert named(again.stdout, "reported") == []
        confirmed = run("settop", "confirm", "--store", box, "--json")
        assert named(confirmed.stdout, "reported")[0]["kind"] == "confirmed"
        wait_for(lambda: '"percent": 100.0' in file.read_text(), watcher)
    finally:
        watcher.terminate()
        watcher.communicate(timeout=60)
