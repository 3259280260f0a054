"""`make board` as a person uses it: keys, the flasher beside it, an update that is interrupted and goes on."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.firmware_stub.stubhost import STUB

pytestmark = pytest.mark.emulator

SETTOP = Path(sys.executable).parent / "settop"
LONGEST_S = 120.0
UPDATE_BYTES = 400_000
SECTOR_BYTES = 1 << 18


class Desk:
    """The board's console on a terminal of its own."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.tcp_port = probe.getsockname()[1]
        self.url = f"rfc2217://127.0.0.1:{self.tcp_port}?timeout=60"  # pyserial gives a busy server three seconds
        self.folder = folder
        self._master, slave = pty.openpty()
        command = [sys.executable, STUB / "tools" / "board.py", "-o", folder, "--tcp-port", str(self.tcp_port)]
        command += ["--most-bytes", str(UPDATE_BYTES)]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.said = ""

    def until(self, words, since=0):
        """Read the screen until the words are on it; return where they end."""
        give_up_s = time.monotonic() + LONGEST_S
        while words not in self.said[since:]:
            assert time.monotonic() < give_up_s, f"no {words!r} in {self.said[since:][-2000:]!r}"
            assert self.process.poll() is None, f"the board has ended: {self.said[-2000:]!r}"
            self.read(0.5)
        return self.said.index(words, since) + len(words)

    def read(self, timeout_s):
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if ready:
            with suppress(OSError):  # EIO: the other end is gone
                self.said += os.read(self._master, 4096).decode(errors="replace")

    def press(self, keys):
        os.write(self._master, keys)

    def flash(self, name, *arguments, interrupt_at=None):
        """Run `settop flash`, by Ctrl-C if wanted once so many bytes are across; return its events by name."""
        release = self.folder / f"{name}.release"
        command = [str(SETTOP), "flash", "--port", self.url, "--json", "--baud", "2000000", str(release), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        events = {}
        for line in process.stdout:
            event = json.loads(line)
            events[event["event"]] = event
            if interrupt_at is not None and event["event"] == "progress" and event["done_bytes"] >= interrupt_at:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
            self.read(0)
        assert process.wait(LONGEST_S) in (0, 130), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        return events

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        os.close(self._master)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "board-out")
    yield made
    made.close()


@pytest.mark.long
def test_an_update_is_interrupted_and_goes_on_and_nobody_presses_reset(desk):
    here = desk.until("nothing to confirm")
    desk.press(b"\x1dr")  # single keys: no Enter
    here = desk.until("nothing to confirm", here)

    cut = desk.flash("good", interrupt_at=UPDATE_BYTES * 3 // 4)
    assert "flashed" not in cut
    assert "run it again to go on" in cut["note"]["text"]
    here = desk.until("the console has the line again", here)

    events = desk.flash("good")
    assert SECTOR_BYTES <= events["already_there"]["held_bytes"] < UPDATE_BYTES
    assert events["flashed"]["held_bytes"] == events["already_there"]["held_bytes"]
    assert events["flashed"]["written_bytes"] <= UPDATE_BYTES - SECTOR_BYTES
    assert "running from slot-a\r\npayload: confirmed" in events["banner"]["text"]

    events = desk.flash("bad", "--no-boot")
    assert events["flashed"]["place"] == "slot-b"
    desk.until("the console has the line again", here)
    desk.press(b"\x1dq")
    assert desk.process.wait(LONGEST_S) == 0


def test_a_hanging_image_is_reset_by_rts(desk):
    here = desk.until("nothing to confirm")
    events = desk.flash("bad")
    assert "hanging" in events["banner"]["text"]
    events = desk.flash("bad", "--no-boot")
    assert events["resetting"]["line"] == "rts"
    assert desk.until("the console has the line again", here)
