"""A roll-out on lo, with the real commands: stages, a halt, and what the box says of it."""

import pytest

from tests.e2e.lab import Lab, free_port, named, run

pytestmark = pytest.mark.processes


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path, free_port())
    assert run("headend", "keygen", tmp_path / "online", "--bulletin").returncode == 0
    return made


def rollout(lab, command, *arguments):
    done = run("headend", "rollout", command, lab.folder / "rollout.json", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def obedient_box(lab, name):
    path = lab.folder / name
    arguments = ["--hardware", "00A1B2:7", "--trust", lab.folder / "lab.pub", "--eeprom", lab.eeprom, "--id", name]
    done = run("settop", "init", "--store", path, *arguments, "--trust-bulletin", lab.folder / "online.pub")
    assert done.returncode == 0, done.stderr
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
