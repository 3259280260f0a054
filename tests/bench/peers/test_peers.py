"""Real namespaces, real transfers, on a small scale. Needs root; .ci/run has it."""

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.peers.measure import transfer
from bench.peers.namespaces import HEAD, Lab, Process, leftovers, rootless, run
from bench.peers.tools import TOOLS, Http, Transfer
from carousel.errors import OperatorError
from tests.conftest import noise
from tests.e2e.lab import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.namespaces]
BOOTBENCH = Path(sys.executable).parent / "bootbench"


@pytest.fixture(autouse=True)
def alone():
    """One lab at a time on this machine: other test processes wait."""
    with (Path(tempfile.gettempdir()) / "bootcast-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ping(lab, box, log):
    """Send 200 packets to a box; return how many came."""
    listener = Process(lab.box(box), ["python3", "-c", LISTEN], log)
    wait_for(lambda: "ready" in log.read_text())
    run("ip", "netns", "exec", HEAD, "python3", "-c", PROBE.format(address=lab.address(box), count=200))
    listener._popen.send_signal(signal.SIGTERM)
    return listener._popen.wait(timeout=60)


PROBE = (
    "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "for number in range({count}): s.sendto(b'x', ('{address}', 7007))\n"
)
LISTEN = """
import signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
heard, s = 0, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind(("", 7007))
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
s.setblocking(False)
try:
    while True: heard += len(s.recv(9))
except BlockingIOError:
    sys.exit(heard)
"""
"""Waits until everything was sent, then counts; an exit status holds up to 255."""


def test_namespaces_come_and_go_and_each_box_loses_on_its_own(tmp_path):
    with Lab(2) as lab:
        assert sorted(leftovers()) == ["bcp-b0", "bcp-b1", "bcp-h", "bcp-sw"]
        assert ping(lab, 0, tmp_path / "log") == 200
        before = lab.sent_bytes()
        lab.set_loss(0.5)
        assert 60 < ping(lab, 0, tmp_path / "log") < 140
        lab.set_loss(0.0)
        assert ping(lab, 1, tmp_path / "log") == 200
        assert lab.sent_bytes() > before + 200 * 43
    assert leftovers() == []


def test_what_a_crashed_run_left_over_is_cleaned():
    subprocess.run(["ip", "netns", "add", "bcp-b7"], check=True)
    with Lab(1):
        assert "bcp-b7" not in leftovers()


def test_two_runs_do_not_get_in_each_others_way():
    with Lab(1), pytest.raises(OperatorError, match="another `bootbench peers`"), Lab(1):
        pass


@pytest.mark.parametrize("boxes", [0, 65])
def test_there_is_room_for_so_many(boxes):
    with pytest.raises(OperatorError, match="from 1 to 64"):
        Lab(boxes)


class Liar(Http):
    """A tool that ends well with the wrong bytes."""

    name = "liar"

    def receive(self, transfer, box):
        return ["sh", "-c", f"echo wrong > {transfer.place(box) / 'image'}"]


class Quitter(Http):
    name = "quitter"

    def receive(self, transfer, box):
        return ["false"]


@pytest.mark.parametrize("tool", [Liar(), Quitter()])
def test_a_tool_that_did_not_deliver_is_not_counted(tool, tmp_path):
    (tmp_path / "image").write_bytes(bytes(1000))
    with Lab(1) as lab:
        outcome = transfer(lab, tool, Transfer(tmp_path / "image", tmp_path / "work", 1, None), 0.0, 5.0)
    assert outcome.seconds == (None,)
    assert outcome.complete == 0


TRIED_BELOW, SENDS_ONCE = {"bootcast", "HTTP"}, {"udpcast --async --fec"}
OTHERS = [tool for tool in TOOLS if tool.name not in TRIED_BELOW | SENDS_ONCE and tool.missing() is None]
"""What is installed, and delivers on a busy machine, too: who sends once, and hears nothing, need not."""


@pytest.mark.parametrize("tool", OTHERS, ids=lambda tool: tool.name)
def test_a_tool_that_is_here_delivers(tool):
    with tempfile.TemporaryDirectory() as name, Lab(1) as lab:
        folder = Path(name)
        folder.chmod(0o755)  # a server may drop its rights
        (folder / "image").write_bytes(noise(500_000))
        outcome = transfer(lab, tool, Transfer(folder / "image", folder / "work", 1, 100e6), 0.0, 60.0)
    assert outcome.complete == 1
    assert outcome.wire_bytes > 500_000


@pytest.mark.long
def test_the_command_measures_and_reports(tmp_path):
    """bootcast and HTTP, late boxes: every table but `loss` (below), report.json, pictures."""
    arguments = ["--large", "2000000", "--small", "1000000", "--runs", "1", "--most-boxes", "2"]
    tables = ["--table", "speed", "--table", "overload", "--table", "late", "--table", "traffic"]
    command = [BOOTBENCH, "peers", "-o", tmp_path, *arguments, *tables, "--only", "HTTP"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert {row["tool"] for row in report["speed"]} == {"bootcast", "HTTP"}
    assert all(row["goodput_bps"] > 1e6 for row in report["speed"])
    assert [row["offered_bps"] for row in report["overload"]] == [1e9, 2e9, 4e9, 8e9, 16e9]
    assert all(row["complete"] == 1 for row in report["overload"])
    late = next(row for row in report["late"] if row["tool"] == "bootcast")
    assert all(seconds is not None for seconds in late["late"].values())
    sent = {(row["tool"], row["boxes"]): row["wire_bytes"] for row in report["traffic"]}
    assert sent["HTTP", 2] > 1.8 * sent["HTTP", 1]
    assert "bootcast" in (tmp_path / "report.md").read_text()
    assert "report.json" in done.stdout
    assert not list(tmp_path.glob("work-*"))
    assert leftovers() == []


def test_without_root_it_runs_in_a_user_namespace(tmp_path):
    """Two boxes that lose, with rights over nothing but what the command makes itself: nftables drops there, too."""
    arguments = ["--small", "1000000", "--runs", "1", "--boxes", "2", "--only", "bootcast", "--table", "loss"]
    command = rootless([str(BOOTBENCH), "peers", "-o", str(tmp_path), *arguments, "--quiet"])
    assert command is not None, "this kernel allows no user namespaces"
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "report.json").read_text())["loss"]
    assert [(row["loss"], row["complete"]) for row in rows] == [(0.0, 2), (0.01, 2), (0.05, 2), (0.2, 2)]
    assert leftovers() == []


def test_the_command_enters_it_by_itself(monkeypatch):
    from bench.peers import cli

    started = []
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cli.os, "execvp", lambda program, arguments: started.append(arguments))
    monkeypatch.setattr(sys, "argv", ["/x/bootbench", "peers"])
    cli._gain_rights()
    assert started[0][-2:] == ["/x/bootbench", "peers"]
    assert started[0][0] == "unshare"


def test_neither_root_nor_user_namespaces_is_a_sentence(monkeypatch):
    monkeypatch.setattr("bench.peers.namespaces.os.geteuid", lambda: 1000)
    with pytest.raises(OperatorError, match="use sudo"):
        Lab(1)


def test_a_tool_that_is_not_installed_is_reported_absent(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    reasons = {tool.name: tool.missing() for tool in TOOLS}
    assert reasons["bootcast"] is None
    assert reasons["UFTP"] == "uftp, uftpd not installed"
    assert reasons["TFTP"] == "in.tftpd, curl not installed"
