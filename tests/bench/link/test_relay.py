"""The relay with real sockets on lo, and the command that runs it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import noise
from tests.e2e.lab import Lab, command, events, run

pytestmark = pytest.mark.processes
BOOTBENCH = Path(sys.executable).parent / "bootbench"
PACKETS = 3000
LINK = "loss=5%,burst=3,delay=20ms"


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Link:
    """`bootbench link` on a group of its own."""

    def __init__(self, *options):
        self.group, self.port = "239.255.79.1", free_port()
        arguments = ["link", "--from", f"{self.group}:{self.port}", "--interface", "lo", "--json", *map(str, options)]
        self.process = subprocess.Popen([BOOTBENCH, *arguments], stdout=subprocess.PIPE, text=True)
        self.start = json.loads(self.process.stdout.readline())

    def send(self, packets, size=200, at_once=10):
        """Send numbered packets to the group."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            for number in range(packets):
                sender.sendto(number.to_bytes(4, "big").ljust(size, b"."), (self.group, self.port))
                if number % at_once == 0:
                    time.sleep(0.001)

    def settle(self):
        """Wait until it has let go of all that was sent: a second of its own passes, and nothing more is delivered."""
        before = 0
        for line in self.process.stdout:
            delivered = json.loads(line)["delivered"]
            if delivered == before > 0:
                return
            before = delivered

    def end(self):
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return json.loads(rest.splitlines()[-1])


def listener(timeout=0.5):
    box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    box.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    box.bind(("127.0.0.1", 0))
    box.settimeout(timeout)
    return box


def heard(box):
    numbers = []
    while True:
        try:
            numbers.append(int.from_bytes(box.recv(2048)[:4], "big"))
        except TimeoutError:
            return numbers


def one_run(seed):
    with listener() as box:
        link = Link("--to", f"127.0.0.1:{box.getsockname()[1]}", "--down", LINK, "--seed", seed)
        link.send(PACKETS)
        link.settle()
        return heard(box), link.end()


def test_the_same_seed_loses_the_same_packets_and_the_report_says_so():
    first, report = one_run(7)
    again, _ = one_run(7)
    other, _ = one_run(8)
    assert first == again != other
    box = report["boxes"][0]["down"]
    assert report["seed"] == 7
    assert (box["offered"], box["delivered"]) == (PACKETS, len(first))
    assert box["loss"] == pytest.approx(0.05, abs=0.03)
    assert 0.019 < box["delay_mean_s"] < 0.021
    assert not report["totals"]["relay_dropped"]
    missing = sorted(set(range(PACKETS)) - set(first))
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    assert sum(box["loss_period"].values()) == len(runs)


def test_answers_go_up_through_a_link_of_their_own():
    with listener(60) as box, listener(2) as headend:
        to, up = (f"127.0.0.1:{each.getsockname()[1]}" for each in (box, headend))
        link = Link("--to", to, "--headend", up, "--up", "delay=50ms,loss=30%", "--seed", 1)
        link.send(1)
        _, relay = box.recvfrom(2048)
        for number in range(200):
            box.sendto(number.to_bytes(4, "big"), relay)
        up_there = heard(headend)
        report = link.end()
    assert 100 < len(up_there) < 180
    assert up_there == sorted(up_there)
    up_report = report["boxes"][0]["up"]
    assert (up_report["offered"], up_report["delivered"]) == (200, len(up_there))
    assert up_report["delay_mean_s"] == pytest.approx(0.05, abs=0.001)


def test_a_dead_way_up_lets_nothing_through():
    with listener(60) as box, listener(0.3) as headend:
        to, up = (f"127.0.0.1:{each.getsockname()[1]}" for each in (box, headend))
        link = Link("--to", to, "--headend", up, "--up", "dead")
        link.send(1)
        _, relay = box.recvfrom(2048)
        box.sendto(b"hello?", relay)
        link.send(1)
        box.recvfrom(2048)  # so the relay has looked at its sockets since
        assert heard(headend) == []
        assert link.end()["boxes"][0]["up"] == {
            "offered": 1,
            "delivered": 0,
            "loss": 1.0,
            "lost": 1,
            "delay_mean_s": 0.0,
            "delay_max_s": 0.0,
            "loss_distance": {},
            "loss_period": {"1": 1},
        }


def test_boxes_behind_a_trunk_lose_together(tmp_path):
    boxes = [listener() for _ in range(2)]
    first, second = sorted(each.getsockname()[1] for each in boxes)
    topology = tmp_path / "lab.toml"
    classes = "".join(
        f'[[class]]\nname = "{port}"\nto = "127.0.0.1:{port}"\ntrunk = "street"\n' for port in (first, second)
    )
    topology.write_text(f'seed = 3\n[[trunk]]\nname = "street"\ndown = "loss=20%"\n{classes}')
    link = Link("--topology", topology)
    assert link.start["seed"] == 3
    link.send(1000)
    link.settle()
    numbers = [heard(box) for box in boxes]
    report = link.end()
    for box in boxes:
        box.close()
    assert numbers[0] == numbers[1]
    assert 720 < len(numbers[0]) < 880
    assert report["trunks"]["street"]["offered"] == 1000


def test_a_box_boots_behind_a_bad_link_whose_way_up_is_dead(tmp_path):
    """The real carousel, the relay, the real receiver: everything but the cable."""
    lab = Lab(tmp_path, free_port())
    release = lab.pack(noise(3_000_000), "2.0.0", "image")
    group = f"239.255.79.2:{free_port()}"
    source = re.fullmatch(r"(.*):(\d+)", lab.group)
    link = subprocess.Popen(
        [
            BOOTBENCH,
            "link",
            "--from",
            source[0],
            "--to",
            f"{group}%lo",
            "--profile",
            "one-way",
            "--seed",
            "5",
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    link.stdout.readline()
    store = lab.box("box")
    with lab.cast(release, rate="40M"):
        done = run(
            "settop", "receive", "--store", store, "--group", group, "--interface", "lo", "--timeout", "30", "--json"
        )
    link.send_signal(signal.SIGTERM)
    output, _ = link.communicate(timeout=60)
    assert done.returncode == 0, done.stdout
    assert "installed" in {event["event"] for event in events(done.stdout)}
    report = json.loads(output.splitlines()[-1])
    assert report["boxes"][0]["down"]["loss"] == pytest.approx(0.01, abs=0.01)
    assert report["totals"]["relay_dropped"] == 0


@pytest.mark.parametrize(
    ("options", "sentence", "code"),
    [
        ([], "which carousel", 2),
        (["--from", "239.1.1.1:5"], "either --to", 2),
        (["--from", "10.0.0.1:5", "--to", "127.0.0.1:1"], "no multicast group", 2),
        (["--from", "239.1.1.1:5", "--to", "127.0.0.1:1", "--to", "127.0.0.1:1"], "target of two links", 2),
        (["--from", "239.1.1.1:5", "--to", "127.0.0.1:1", "--down", "loss=2"], "loss=2 is not a share", 2),
        (["--from", "239.1.1.1:5", "--to", "127.0.0.1:1", "--profile", "x"], "there is no profile 'x'", 2),
        (["--from", "239.1.1.1:5", "--to", "127.0.0.1:1", "--interface", "none0"], "no interface 'none0'", 1),
        (["--from", "239.1.1.1:5", "--to", "239.1.1.2:5%none0"], "no interface 'none0'", 1),
        (["--from", "239.1.1.1:5", "--topology", "/nothing.toml"], "can't be read", 1),
    ],
)
def test_errors_are_sentences(options, sentence, code):
    done = subprocess.run([BOOTBENCH, "link", *options], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert command("settop")


def test_a_port_that_somebody_keeps_for_himself_is_said():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("239.255.79.3", 0))
        arguments = ["link", "--from", f"239.255.79.3:{other.getsockname()[1]}", "--to", "127.0.0.1:1"]
        done = subprocess.run([BOOTBENCH, *arguments], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "is taken" in done.stderr
