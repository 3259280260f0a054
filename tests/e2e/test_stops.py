"""Time that is taken away: stopped processes, clocks that jump, links that flap, a switch that forgets who listens."""

import hashlib
import os
import random
import signal
import struct
import subprocess
import time

import numpy as np
import pytest

from bench.virtual.box import InlineBox
from bench.virtual.pair import FaultyLink
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from tests.conftest import noise
from tests.e2e.lab import Lab, command, free_port, named

STOP_S = 2.5


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, free_port())


def until(process, word):
    """Read what a process says up to a line with this word."""
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"it ended without a word of {word}")


# --- processes that are stopped ------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize("is_casting", [True, False])
def test_a_run_that_is_stopped_for_longer_than_its_deadline_boots(lab, is_casting):
    """Parent and child both, as by a suspended machine: after it, there is no time left, and something boots."""
    box, release = lab.box("box"), lab.pack(noise(8_000_000), "1.4.0", "kernel")
    where = ("--store", box, "--group", lab.group, "--interface", "lo", "--timeout", 1.5, "--json")
    arguments = command("settop", "run", *where, "--command", "sha256sum {image}")

    def stopped_run():
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, process_group=0) as running:
            until(running, '"image_found"' if is_casting else '"listening"')
            os.killpg(running.pid, signal.SIGSTOP)
            time.sleep(1.5 + 2 + STOP_S)
            os.killpg(running.pid, signal.SIGCONT)
            output, _ = running.communicate(timeout=60)
        return running.returncode, output

    if is_casting:
        with lab.cast(release, rate="20M"):
            code, output = stopped_run()
    else:
        code, output = stopped_run()
    assert code == 0, output
    assert hashlib.sha256(b"factory image" * 100).hexdigest() in output


@pytest.mark.processes
@pytest.mark.parametrize("who", ["the box", "the head-end"])
def test_who_is_stopped_in_between_goes_on(lab, who):
    image = noise(4_000_000)
    box, release = lab.box("box"), lab.pack(image, "1.4.0", "kernel")
    with lab.cast(release, rate="16M") as head_end:
        receiving = lab.start_receive(box, timeout=60)
        until(receiving, '"image_found"')
        stopped = receiving if who == "the box" else head_end
        stopped.send_signal(signal.SIGSTOP)
        time.sleep(STOP_S)
        stopped.send_signal(signal.SIGCONT)
        output, _ = receiving.communicate(timeout=90)
    assert receiving.returncode == 0, output
    assert (box / "slot-a.image").read_bytes() == image
    assert named(output, "image_verified")[0]["rejected_symbols"] == 0


# --- clocks that jump ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 1e9, 0.3])
@pytest.mark.parametrize("whose", ["box", "head-end", "both"])
def test_a_clock_that_jumps_costs_no_image(make_release, profile, jump_s, whose):
    """In the middle of it; a clock that is set back should be none of ours (they are monotonic), and does no harm."""
    release = make_release(900_001, symbol_size=512)
    box, link = InlineBox(profile, release.tsi), FaultyLink(np.random.default_rng(2), loss=0.02)
    broadcaster = Broadcaster([release], BroadcastSettings(20e6), now=0.0)
    sender_s = box_s = 0.0
    sent, has_jumped = 0, False
    box.tune_in(box_s)
    while box.receiver.choose(box_s) is None:
        if not has_jumped and sent > release.layout.objects[0].source_symbols // 2:
            has_jumped = True
            sender_s += jump_s * (whose != "box")
            box_s += jump_s * (whose != "head-end")
        batch = broadcaster.next_batch(sender_s)
        pause_s = batch.count * batch.stride * 8 / 20e6
        sender_s, box_s, sent = sender_s + pause_s, box_s + pause_s, sent + batch.count
        for arrived in link.carry(batch):
            box.receive(arrived, box_s)
        assert sent < 3 * release.layout.rows
    assert has_jumped
    assert box.image(box.receiver.choose(box_s)) == noise(900_001)


# --- links and switches --------------------------------------------------------------------------------------


@pytest.fixture
def switched():
    """Head-end and box in namespaces of their own, at a switch (a bridge that listens to IGMP) in a third one."""
    tag = f"bc{os.getpid()}"
    names = {name: f"{tag}{name[0]}" for name in ("head", "box", "switch")}
    for name in names.values():
        subprocess.run(["ip", "netns", "add", name], check=True)
    switch = ["ip", "-n", names["switch"], "link"]
    snooping = ["mcast_snooping", "1", "mcast_querier", "0", "mcast_membership_interval", "150"]
    subprocess.run([*switch, "add", "br0", "type", "bridge", *snooping], check=True)
    subprocess.run([*switch, "set", "br0", "up"], check=True)
    for number, name in enumerate(("head", "box"), 1):
        ends = ["eth0", "netns", names[name]], [f"to{name}", "netns", names["switch"]]
        subprocess.run(["ip", "link", "add", "name", *ends[0], "type", "veth", "peer", "name", *ends[1]], check=True)
        inside = ["ip", "-n", names[name]]
        subprocess.run([*inside, "addr", "add", f"10.78.0.{number}/24", "dev", "eth0"], check=True)
        subprocess.run([*inside, "link", "set", "eth0", "up"], check=True)
        subprocess.run([*switch, "set", f"to{name}", "master", "br0", "up"], check=True)
    yield names
    for name in names.values():
        subprocess.run(["ip", "netns", "del", name], check=True)


def cast_and_receive(lab, names, box, release, meanwhile, rate="8M"):
    """Let the box receive over the switch while something happens to it; return what it said, and what the caster."""
    where = ["--group", lab.group, "--json", "--interface", "eth0"]
    casting = ["ip", "netns", "exec", names["head"], *command("headend", "cast", release, *where, "--rate", rate)]
    receive = command("settop", "receive", "--store", box, *where, "--timeout", 300)
    head_end = subprocess.Popen(casting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    receiving = subprocess.Popen(["ip", "netns", "exec", names["box"], *receive], stdout=subprocess.PIPE, text=True)
    try:
        until(receiving, '"image_found"')
        meanwhile()
        output, _ = receiving.communicate(timeout=200)
    finally:
        receiving.kill()
        head_end.send_signal(signal.SIGINT)
        log, _ = head_end.communicate(timeout=60)
    assert receiving.returncode == 0, output + log
    return output, log


@pytest.mark.namespaces
@pytest.mark.parametrize("end", ["head", "box"])
def test_a_link_that_flaps_again_and_again(lab, switched, end):
    seed = 6
    print(f"seed {seed}")
    rng, image = random.Random(seed), noise(3_000_000)
    box, release = lab.box("box"), lab.pack(image, "1.4.0", "kernel", "--symbol-size", "1424")

    def flap():
        link = ["ip", "-n", switched[end], "link", "set", "eth0"]
        for _ in range(6):
            subprocess.run([*link, "down"], check=True)
            time.sleep(rng.uniform(0.02, 0.3))
            subprocess.run([*link, "up"], check=True)
            time.sleep(rng.uniform(0.02, 0.3))

    output, log = cast_and_receive(lab, switched, box, release, flap)
    assert (box / "slot-a.image").read_bytes() == image
    assert len(named(log, "trouble")) <= 6, "told once a flap, not once a packet"
    assert output.count('"note"') < 20


def ask_who_listens(names):
    """Send one IGMPv2 general query, as the querier of a network does before it goes away for good."""
    body = struct.pack("!BBH4s", 0x11, 10, 0, bytes(4))
    words = sum(struct.unpack("!4H", body))
    check = ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF
    query = struct.pack("!BBH4s", 0x11, 10, check, bytes(4))
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP);"
        "s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('10.78.0.1'));"
        "s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([0x94, 4, 0, 0]));"
        f"s.sendto({query!r}, ('224.0.0.1', 0))"
    )
    subprocess.run(["ip", "netns", "exec", names["head"], "python3", "-c", program], check=True)


@pytest.mark.namespaces
@pytest.mark.long
@pytest.mark.slow
def test_a_switch_whose_querier_is_gone_forgets_the_box_which_joins_again(lab, switched):
    """The bridge has heard a query, so it prunes; nobody asks again, so 1.5 s after it joined it sends the box no more.

    The box notices silence after 30 s, joins anew, and goes on with what it has; each time the switch gives it 1.5 s,
    or a second more where the kernel repeats its report. The image takes more than that, however busy the machine is.
    """
    image = noise(2_200_000)
    box, release = lab.box("box"), lab.pack(image, "1.4.0", "kernel", "--symbol-size", "1424")
    ask_who_listens(switched)
    output, _ = cast_and_receive(lab, switched, box, release, lambda: None, rate="4M")
    assert (box / "slot-a.image").read_bytes() == image
    notes = [note["text"] for note in named(output, "note")]
    assert any("nothing for 5 s" in text for text in notes), "the switch did prune"
    assert any("packets come again" in text for text in notes)
