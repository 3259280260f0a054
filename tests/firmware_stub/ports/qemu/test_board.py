"""The stub on the emulated board: flashed over its serial line, booted, cut, and left to its EEPROM."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from carousel.release.identity import Hardware, Version
from headend.pack.packing import PackRequest, pack
from tests.conftest import KEY, OTHER_KEY
from tests.firmware_stub.stubhost import STUB

pytestmark = pytest.mark.emulator

spec = importlib.util.spec_from_file_location("virtboard", STUB / "tools" / "virtboard.py")
virtboard = importlib.util.module_from_spec(spec)
spec.loader.exec_module(virtboard)

SETTOP = Path(sys.executable).parent / "settop"
MODEL = Hardware(0x00A1B2, 7)
LONGEST_S = 60.0


@pytest.fixture(scope="session")
def firmware(tmp_path_factory):
    """Build stub and payloads where no other worker writes."""
    folder = tmp_path_factory.mktemp("build")
    printed = subprocess.run(
        ["make", "-s", "-C", STUB, f"BUILD={folder}", "qemu"], check=True, capture_output=True, text=True
    )
    assert "bytes of code (at most 16384)" in printed.stdout
    return folder


class Lab:
    """A board, its releases, and the commands that a person would type."""

    def __init__(self, folder, firmware):
        self.folder, self.firmware = folder, firmware
        self.board = virtboard.VirtBoard(folder / "board")
        self.board.make((firmware / "stub.bin").read_bytes())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.tcp_port = probe.getsockname()[1]
        self.url = f"socket://127.0.0.1:{self.tcp_port}"

    def release(self, version, payload="confirms", size=0, key=KEY, hardware=MODEL):
        image = (self.firmware / f"payload-{payload}.bin").read_bytes()
        source = self.folder / f"{version}.image"
        source.write_bytes(image + os.urandom(max(0, size - len(image))))
        path = self.folder / f"{version}.release"
        pack(source, path, key, PackRequest(hardware=hardware, version=Version.parse(version), created_unix_s=0))
        return path

    def power_on(self):
        self.board.power_on(self.tcp_port)

    def flash(self, *arguments, expect=0, at_start=None):
        """Run `settop flash`, resetting the board once the tool listens; return its events by name."""
        command = [str(SETTOP), "flash", "--port", self.url, "--json", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        events = {}
        for line in process.stdout:
            event = json.loads(line)
            events[event["event"]] = event
            if event["event"] == "connecting":
                (at_start or self.restart)()
        assert process.wait(LONGEST_S) == expect, process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        return events

    def restart(self):
        self.board.reset()
        self.board.go()

    def boot(self, until="payload: "):
        """Reset the board; return what it says until a line that begins so is whole."""
        with socket.create_connection(("127.0.0.1", self.tcp_port)) as line:
            line.settimeout(LONGEST_S)
            self.restart()
            heard = b""
            while until.encode() not in heard or not heard.endswith(b"\n"):
                heard += line.recv(4096)
        return heard.decode(errors="replace")


@pytest.fixture
def lab(tmp_path, firmware):
    made = Lab(tmp_path, firmware)
    made.power_on()
    yield made
    made.board.kill()


def test_from_a_bare_board_to_confirmed_updates_and_back(lab):
    lab.flash("--slot", "eeprom", lab.release("0.1.0"))
    events = lab.flash(lab.release("1.0.0"))
    assert (events["begun"]["place"], events["flashed"]["held_bytes"]) == ("slot-a", 0)
    assert "booting" in events["banner"]["text"]
    assert "running from slot-a\r\npayload: confirmed" in events["banner"]["text"]
    assert "slot-a: confirmed\r\n" in lab.boot()

    events = lab.flash(lab.release("2.0.0", "hangs"))  # a bad update: three tries, then back
    assert "on trial, 3 of 3 tries left" in events["banner"]["text"]
    assert "on trial, 2 of 3 tries left" in lab.boot("hanging")
    assert "on trial, 1 of 3 tries left" in lab.boot("hanging")
    assert "from slot-a: confirmed" in lab.boot()
    state = lab.flash("--read-state", "--no-boot")["state"]
    assert [source["state"] for source in state["sources"]] == ["confirmed", "failed", "factory"]

    lab.board.kill()  # and now slot A rots
    lab.board.write("slot_a", virtboard.SECTOR_BYTES + 10, b"rot")
    lab.power_on()
    said = lab.boot()
    assert "passed over slot-a: its image does not match its SHA-256" in said
    assert "from eeprom: no slot holds an image to boot" in said


def test_a_payload_that_resets_uses_up_its_tries_by_itself(lab):
    lab.flash("--slot", "eeprom", lab.release("0.1.0"))
    lab.flash("--no-boot", lab.release("1.0.0", "resets"))
    said = lab.boot("running from eeprom")
    assert said.count("payload: resetting") == 3
    assert [f"{left} of 3 tries left" in said for left in (3, 2, 1)] == [True] * 3


@pytest.mark.long
def test_qemu_killed_in_the_middle_of_a_write(lab):
    lab.flash("--slot", "eeprom", lab.release("0.1.0"))
    lab.flash(lab.release("1.0.0"))
    update = lab.release("2.0.0", size=700_000)
    seen, is_over = [], threading.Event()

    def kill_later():
        lab.restart()
        threading.Thread(target=kill_when_late_in_it, daemon=True).start()

    def kill_when_late_in_it():
        while not is_over.wait(0.005):
            if lab.board.read("slot_b", virtboard.SECTOR_BYTES + 550_000, 16) != b"\xff" * 16:
                seen.append("late")
                break
        lab.board.kill()

    lab.flash("--connect", "60", update, expect=1, at_start=kill_later)
    is_over.set()
    assert seen == ["late"], "the transfer did not get there"
    lab.power_on()
    assert "from slot-a: confirmed" in lab.boot()
    events = lab.flash(update)
    assert events["flashed"]["held_bytes"] >= 2 * virtboard.SECTOR_BYTES, "what was there is not sent again"
    assert events["flashed"]["written_bytes"] < 700_000
    assert "running from slot-b\r\npayload: confirmed" in events["banner"]["text"]


def test_the_stub_replaces_itself(lab):
    built = (lab.firmware / "stub.bin").read_bytes()
    newer = lab.folder / "newer.bin"
    newer.write_bytes(built[:-1] + bytes([built[-1] ^ 0xFF]) if built.endswith(b"\xff") else relabelled(built))
    lab.flash("--slot", "eeprom", lab.release("0.1.0"))
    events = lab.flash("--stub", newer)
    assert events["flashed"]["place"] == "stub"
    assert lab.board.read("stub", 0, len(built)) == newer.read_bytes()
    assert "running from eeprom" in lab.boot()
    assert "held" in lab.flash("--stub", newer)


def relabelled(stub):
    """The same program, with another word in what it says at power-on."""
    assert stub.count(b"bootcast stub ") == 1
    return stub.replace(b"bootcast stub ", b"bootcast STUB ")


def test_errors_of_the_command_line_are_sentences(lab, tmp_path):
    lab.restart()
    good = lab.release("1.0.0")
    wrong = lab.release("1.0.1", hardware=Hardware(1, 1))
    assert lab.flash(wrong, expect=1)["error"]["kind"] == "wrong_device"
    assert lab.flash(lab.release("1.0.2", size=5_000_000), "--slot", "eeprom", expect=1)["error"]["kind"] == "too_big"
    key = KEY.public_key().public_bytes_raw()
    (tmp_path / "lab.pub").write_text(pem(key))
    forged = lab.release("1.0.3", key=OTHER_KEY)
    assert lab.flash(forged, "--trust", tmp_path / "lab.pub", expect=1)["error"]["kind"] == "bad_signature"
    (tmp_path / "no.stub").write_bytes(bytes(100))
    for arguments, status, sentence in (
        (["--stub", tmp_path / "no.stub"], 1, "is no boot stub"),
        ([tmp_path / "no.stub"], 1, "is no whole release file"),
        ([good, "--slot", "c"], 2, "choose from 'a', 'b', 'eeprom'"),
        ([], 2, "nothing to do"),
    ):
        command = [SETTOP, "flash", "--port", lab.url, *arguments]
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST_S)
        assert run.returncode == status  # 2: usage
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr


def pem(raw):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(raw)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_the_console_shows_what_the_board_says(lab):
    lab.flash("--slot", "eeprom", lab.release("0.1.0"))
    command = [SETTOP, "console", "--port", lab.url]
    console = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"Ctrl-] leaves" in console.stderr.readline()
    lab.restart()
    heard = b""
    while b"running from eeprom" not in heard:
        heard += os.read(console.stdout.fileno(), 4096)
    console.stdin.write(b"\x1d")
    console.stdin.flush()
    assert console.wait(60) == 0
    for pipe in (console.stdin, console.stdout, console.stderr):
        pipe.close()


def test_there_is_a_machine_to_emulate():
    assert shutil.which(virtboard.QEMU), "install qemu-system-arm: without it the board is not tested"
