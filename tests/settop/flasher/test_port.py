"""The port: what can't be opened is one sentence in the system's words, and a terminal without modem lines is borne."""

import os
import pty
import re
import socket
import tty

import pytest

from carousel.errors import OperatorError
from settop.flasher.line import ResetLine
from settop.flasher.port import SerialPort, _reason


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/dev/nothing-here", "no such file or directory"),
        ("/proc/version", "inappropriate ioctl for device"),
        ("socket://127.0.0.1:1", "connection refused"),
        ("rfc2217://127.0.0.1:1", "connection refused"),
    ],
)
def test_a_port_that_can_not_be_opened_says_why(url, reason):
    with pytest.raises(OperatorError) as caught, SerialPort.open(url, 115200):
        pass
    assert str(caught.value) == f"{url} can't be opened: {reason}; `settop flash --list` shows ports"


@pytest.mark.parametrize("url", ["/dev/nothing-here", "/dev/it's", "socket://127.0.0.1:1", "nonsense://x", "/"])
def test_quotes_and_brackets_in_errors_are_balanced(url):
    with pytest.raises(OperatorError) as caught, SerialPort.open(url, 115200):
        pass
    text = str(caught.value).replace(url, "").replace("can't", "")
    for opening, closing in ("()", "[]", "''", '""', "``"):
        assert text.count(opening) % 2 == 0 if opening == closing else text.count(opening) == text.count(closing)
    assert not re.search(r"errno|exception", text, re.IGNORECASE)


def test_what_the_resolver_says_is_told_in_its_words():
    """Its numbers are below zero, and the system's words for those say nothing."""
    try:
        raise OSError("Could not open port socket://nobody:1") from socket.gaierror(-2, "Name or service not known")
    except OSError as error:
        assert _reason(error) == "name or service not known"


def test_bytes_go_both_ways(terminal):
    master, path = terminal
    with SerialPort.open(path, 115200) as port:
        port.write(b"to the board")
        assert os.read(master, 100) == b"to the board"
        os.write(master, b"from it")
        assert port.read(1.0) == b"from it"
        assert port.read(0.0) == b""


def test_a_pseudo_terminal_has_no_control_lines_and_a_socket_neither(terminal):
    with SerialPort.open(terminal[1], 115200) as port:
        assert not port.has_control_lines
        with pytest.raises(OperatorError, match="line broke"):
            port.pull(ResetLine.RTS)


def test_a_line_that_goes_away_is_one_sentence(terminal):
    with SerialPort.open(terminal[1], 115200) as port:
        os.close(os.dup(terminal[0]))
        os.close(port._port.fileno())
        with pytest.raises(OperatorError, match="the line broke: bad file descriptor"):
            port.write(b"x")
        port._port.fd = os.open("/dev/null", os.O_RDWR)
