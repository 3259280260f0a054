"""What `settop boot` starts, counts and says; the loader is a command that is only noted down."""

import json
from contextlib import ExitStack

import pytest

from carousel.console.reporter import JsonReporter
from settop.boot.command import Command
from settop.commands.booting import Intent, boot_box
from settop.commands.box import forget
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from settop.store.staterecord import TRIES
from tests.conftest import HARDWARE, KEY, noise


class Told(JsonReporter):
    def __init__(self):
        self.events = []

    def tell(self, event, **fields):
        self.events.append(json.loads(json.dumps({"event": event, **fields})))

    def names(self):
        return [each["event"] for each in self.events]


class Machine:
    """Runs nothing, and notes it down."""

    def __init__(self, code=0):
        self.code, self.ran = code, []

    def run(self, words):
        self.ran.append(words)
        return self.code

    def kernel_command_line(self):
        return ""

    def __getattr__(self, name):
        return lambda *_: ""


@pytest.fixture
def box(tmp_path, make_release, release_file):
    """A box with 1.0.0 on trial in slot A."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = tmp_path / "lab.pub"
    key.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    eeprom = release_file(make_release(2_000, version="0.1.0"), "eeprom.release")
    box = BoxFolder.init(tmp_path / "box", HARDWARE, [key], eeprom)
    image = noise(3_000)
    (box.path / "x.part").write_bytes(image)
    box.store.install(make_release(image, version="1.0.0").header, "x.part")
    return box


def tries_left(box):
    return box.store.record().slots[0].tries_left


def command(box, machine):
    return Command(machine, "start {image} {version} {slot}", str(box.path))


def test_a_command_is_run_and_its_try_counted(box):
    machine, told = Machine(), Told()
    decision, code = boot_box(box, command(box, machine), told)
    assert (decision.source, code, tries_left(box)) == (Source.SLOT_A, 0, TRIES - 1)
    assert machine.ran == [["start", f"{box.path}/slot-a.image", "1.0.0", "slot-a"]]
    assert told.names() == ["boot"]


@pytest.mark.parametrize(("code", "said"), [(7, 7), (-9, 137)])
def test_a_failing_command_says_its_exit_code(box, code, said):
    told = Told()
    _, status = boot_box(box, command(box, Machine(code)), told)
    assert status == said
    assert told.events[-1] == {"event": "command_failed", "exit_code": said}


def test_curious_calls_burn_no_try(box):
    told = Told()
    for _ in range(5):
        boot_box(box, None, told)
        boot_box(box, command(box, machine := Machine()), told, Intent.LOOK)
        assert not machine.ran
    assert tries_left(box) == TRIES
    assert set(told.names()) == {"would_boot", "note"}
    assert "no try counted" in told.events[1]["text"]


def test_a_script_that_boots_by_itself_has_its_try_counted(box):
    told = Told()
    boot_box(box, None, told, Intent.COUNT_ONLY)
    assert (told.names(), tries_left(box)) == (["boot"], TRIES - 1)


def test_a_box_that_is_held_boots_what_needs_no_record(box, monkeypatch):
    monkeypatch.setattr("settop.commands.booting.time.sleep", lambda pause_s: None)
    machine, told = Machine(), Told()
    with ExitStack() as stack:
        stack.enter_context(BoxFolder(box.path).locked())
        decision, _ = boot_box(box, command(box, machine), told)
    assert (decision.source, tries_left(box)) == (Source.EEPROM, TRIES)
    assert "another settop command" in told.events[0]["text"]
    assert machine.ran


def test_what_is_wrong_with_the_box_is_said_and_it_boots(box):
    (box.path / "box.json").write_text("{")
    (box.path / "trust" / "9-bad.pub").write_text("no key")
    (box.path / "state.bin").unlink()
    told, machine = Told(), Machine()
    again = BoxFolder(box.path)
    boot_box(again, command(again, machine), told)
    notes = " ".join(each["text"] for each in told.events if each["event"] == "note")
    assert "box.json is damaged" in notes
    assert "9-bad.pub is passed over" in notes
    assert "no state record" in notes
    assert machine.ran


def test_a_slot_is_forgotten(box, capfd):
    assert forget(box.path, Source.SLOT_A, as_json=True) == 0
    assert json.loads(capfd.readouterr().out) == {"event": "forgotten", "source": "slot-a"}
    assert not (box.path / "slot-a.image").exists()
