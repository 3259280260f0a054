"""Two head-ends in network namespaces of their own, a box in a third, a bridge between: one of the two is killed."""

import os
import random
import subprocess
import time

import pytest

from tests.conftest import noise
from tests.e2e.lab import Lab, command, free_port, named

pytestmark = [pytest.mark.processes, pytest.mark.namespaces, pytest.mark.slow]
IMAGE = noise(4_000_000)
SEED = int(os.environ.get("BOOTCAST_SEED", "17"))


def ip(*words, inside=None):
    where = ["-n", inside] if inside else []
    subprocess.run(["ip", *where, *map(str, words)], check=True)


@pytest.fixture
def hosts():
    """Two for head-ends (`head0` in each), and one for the box, whose bridge `box0` joins all."""
    names = [f"bc{os.getpid()}{letter}" for letter in "abc"]
    box = names[2]
    for name in names:
        ip("netns", "add", name)
    try:
        ip("link", "add", "box0", "type", "bridge", "mcast_snooping", 0, inside=box)
        for number, name in enumerate(names[:2]):
            ends = ["name", "head0", "netns", name, "type", "veth", "peer", "name", f"port{number}", "netns", box]
            ip("link", "add", *ends)
            ip("addr", "add", f"10.78.0.{number + 1}/24", "dev", "head0", inside=name)
            ip("link", "set", "head0", "up", inside=name)
            ip("link", "set", f"port{number}", "master", "box0", "up", inside=box)
        ip("addr", "add", "10.78.0.3/24", "dev", "box0", inside=box)
        ip("link", "set", "box0", "up", inside=box)
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.mark.parametrize("victim", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("number", range(3))
def test_kill_one_of_a_pair_at_any_moment(tmp_path, hosts, victim, number):
    dies_s = random.Random(f"{SEED} {victim} {number}").uniform(0.0, 3.0)
    print(f"seed {SEED}: {dies_s:.2f} s after the box came")
    lab = Lab(tmp_path, free_port())
    release, box = lab.pack(IMAGE, "3.0.0", "pair", "--symbol-size", "1424"), lab.box("box")
    inside = lambda host, name, *arguments: ["ip", "netns", "exec", host, *command(name, *arguments)]  # noqa: E731
    pair = []
    for host, role in zip(hosts, ("first", "second"), strict=False):
        where = ["--group", lab.group, "--interface", "head0", "--rate", "20M", "--json", "--pair", role]
        log = (tmp_path / f"{role}.log").open("w")
        pair.append(subprocess.Popen(inside(host, "headend", "cast", release, *where), stdout=log, stderr=log))
        log.close()
    try:
        where = ["--store", box, "--group", lab.group, "--interface", "box0", "--timeout", 60, "--json"]
        receiving = subprocess.Popen(inside(hosts[2], "settop", "receive", *where), stdout=subprocess.PIPE, text=True)
        time.sleep(dies_s)
        pair[victim].kill()
        output, _ = receiving.communicate(timeout=120)
    finally:
        for each in pair:
            each.kill()
            each.wait()
    assert receiving.returncode == 0, output
    assert named(output, "image_verified")[0]["rejected_symbols"] == 0
    assert (box / "slot-a.image").read_bytes() == IMAGE
