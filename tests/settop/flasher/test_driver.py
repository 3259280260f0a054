"""The console and the flasher on one line: two processes, as two people would have them."""

import os
import pty
import select
import subprocess
import sys
import tty
from pathlib import Path

import pytest

from carousel.errors import OperatorError
from settop.flasher import driver
from settop.flasher.port import SerialPort

SETTOP = Path(sys.executable).parent / "settop"
LONGEST_S = 60.0


class Line:
    """A pseudo-terminal, and a console on it."""

    def __init__(self):
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        command = [SETTOP, "console", "--port", self.path]
        self.console = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def hear(self, words, stream):
        heard = b""
        while words not in heard:
            ready, _, _ = select.select([stream], [], [], LONGEST_S)
            assert ready, f"no {words!r} in {heard!r}"
            piece = os.read(stream.fileno(), 4096)
            assert piece, f"no {words!r} in {heard!r}"
            heard += piece

    def close(self):
        self.console.kill()
        self.console.wait()
        for pipe in (self.console.stdin, self.console.stdout, self.console.stderr):
            pipe.close()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


def test_a_console_gives_way_to_the_flasher_and_takes_the_line_back(line):
    line.hear(b"Ctrl-] leaves", line.console.stderr)
    os.write(line.master, b"hello\r\n")
    line.hear(b"hello\r\n", line.console.stdout)

    with SerialPort.open(line.path, 115200) as port, driver.claimed(port):
        line.hear(b"settop flash has the line", line.console.stderr)
        os.write(line.master, b"for the flasher")
        heard = b""
        while heard != b"for the flasher":
            piece = port.read(LONGEST_S)
            assert piece
            heard += piece

    line.hear(b"the console has it again", line.console.stderr)
    os.write(line.master, b"again\r\n")
    line.hear(b"again\r\n", line.console.stdout)
    line.console.stdin.write(b"\x1d")
    assert line.console.wait(LONGEST_S) == 0


def test_two_flashers_do_not_share_a_line(line, monkeypatch):
    monkeypatch.setattr(driver, "GIVE_WAY_S", 0.1)
    line.console.kill()
    line.console.wait()
    with (
        SerialPort.open(line.path, 115200) as first,
        driver.claimed(first),
        SerialPort.open(line.path, 115200) as second,
        pytest.raises(OperatorError, match="another `settop flash` has"),
        driver.claimed(second),
    ):
        pass
