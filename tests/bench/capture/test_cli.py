"""sniff, capture and replay as commands, over lo."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.link.test_relay import free_port
from tests.conftest import noise
from tests.e2e.lab import Lab, events, run

pytestmark = pytest.mark.processes
BOOTBENCH = Path(sys.executable).parent / "bootbench"


def bootbench(*arguments, timeout=60):
    command = [BOOTBENCH, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)


def test_a_carousel_is_sniffed_captured_and_replayed_to_a_box(tmp_path, monkeypatch):
    lab = Lab(tmp_path, free_port())
    release = lab.pack(noise(300_000), "2.0.0", "image")  # a busy machine sends a tenth of the rate
    on_air = ("--group", lab.group, "--interface", "lo")
    with lab.cast(release, rate="40M"):
        done = bootbench("sniff", *on_air, "--seconds", 1, "--json")
        picture = json.loads(done.stdout)
        done = bootbench("capture", tmp_path / "x.pcap", *on_air, "--seconds", 1.2)
    assert picture["releases"][0]["version"] == "2.0.0"
    # How much of the 40 Mb/s comes through is the machine's affair; that the rate is what was heard, is ours.
    assert picture["rate_bps"] == pytest.approx(picture["bytes"] * 8 / picture["seconds"], rel=0.01)
    assert picture["rate_bps"] > 1e6
    assert done.returncode == 0, done.stderr
    again = json.loads(bootbench("sniff", tmp_path / "x.pcap", "--json").stdout)
    assert again["releases"] == picture["releases"]
    with monkeypatch.context() as environment:
        environment.setenv("BOOTCAST_GROUP", "239.255.77.9:5")
        assert bootbench("sniff", tmp_path / "x.pcap").returncode == 0, "what is listened to live hides no file"
    assert bootbench("sniff", tmp_path / "x.pcap", "--group", "239.255.77.9:5").returncode == 1
    box = lab.box("box")
    options = ("--store", box, *on_air, "--timeout", "20", "--json")
    command = [BOOTBENCH.parent / "settop", "receive", *map(str, options)]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    began_s = time.monotonic()
    done = bootbench("replay", tmp_path / "x.pcap", *on_air, "--speed", 2)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began_s > 0.5, "twice as fast as it was captured, and no faster"
    output, _ = receiver.communicate(timeout=30)
    assert "installed" in {event["event"] for event in events(output)}
    assert run("settop", "boot", "--store", box).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sniff", "--group", "239.255.77.9:5", "--interface", "lo", "--seconds", "0.2"], "nothing was heard"),
        (["sniff", "/nothing.pcap"], "can't be read"),
        (
            ["capture", "/dev/null", "--group", "239.255.77.9:5", "--interface", "lo", "--seconds", "200ms"],
            "nothing was heard",
        ),
        (["replay", "/nothing.pcap", "--group", "239.255.77.9:5", "--interface", "lo"], "can't be read"),
        (["capture", "/nowhere/x.pcap", "--group", "239.255.77.9:5", "--interface", "lo"], "no such file or folder"),
    ],
)
def test_errors_are_sentences(arguments, sentence):
    done = bootbench(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
