"""Real processes over lo: the main job, swaps, deadlines, kill -9, and one clear sentence for what goes wrong."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from headend.pack.keys import write_key_pair
from tests.conftest import noise
from tests.e2e.lab import Lab, command, events, named, run, wait_for

pytestmark = pytest.mark.processes


@pytest.fixture
def lab(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Lab(tmp_path, port)


@pytest.mark.parametrize(
    "options", [(), ("--drop", "20%"), ("--no-gro",), ("--core", "0")], ids=["clean", "lossy", "no-gro", "one-core"]
)
def test_a_box_receives_installs_boots_and_confirms(lab, options):
    image = noise(3_000_000)
    release, box = lab.pack(image, "1.4.0", "kernel"), lab.box("box")
    with lab.cast(release):
        time.sleep(0.3)
        done = lab.receive(box, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [each["event"] for each in events(done.stdout) if each["event"] not in ("progress", "note")]
    assert names == ["listening", "image_found", "image_verified", "installed"]
    (verified,) = named(done.stdout, "image_verified")
    keys = {"sha256", "elapsed_s", "received_symbols", "needed_symbols", "duplicate_symbols", "corrupt_packets"}
    assert keys | {"rejected_symbols", "socket_drops"} <= set(verified)
    assert verified["needed_symbols"] == -(-3_000_000 // 1440)
    booted = run("settop", "boot", "--store", box, "--json", "--command", "sha256sum {image}")
    assert '"source": "slot-a"' in booted.stdout
    assert hashlib.sha256(image).hexdigest() in booted.stdout
    assert (box / "slot-a.image").read_bytes() == image
    assert run("settop", "confirm", "--store", box).stdout.strip() == "box: confirmed slot-a"
    status = run("settop", "status", "--store", box, "--json")
    assert '"state": "confirmed"' in status.stdout
    assert not list(box.glob("*.part"))


def test_without_fec_the_same_stream_is_enough(lab):
    release, box = lab.pack(noise(600_000), "1.4.0", "kernel"), lab.box("box")
    with lab.cast(release):
        done = lab.receive(box, "--no-fec", "--drop", "5%")
    assert done.returncode == 0
    assert "source symbols alone" in named(done.stdout, "note")[-1]["text"]


def test_a_second_receive_is_up_to_date_and_an_older_release_refused(lab):
    old, new = lab.pack(noise(200_000), "1.0.0", "old"), lab.pack(noise(200_001), "1.1.0", "new")
    box = lab.box("box")
    with lab.cast(new):
        assert lab.receive(box).returncode == 0
        again = lab.receive(box)
        assert again.returncode == 0
        assert named(again.stdout, "up_to_date")[0]["version"] == "1.1.0"
    with lab.cast(old):
        refused = lab.receive(box, timeout=1.5)
    assert refused.returncode == 4
    assert named(refused.stdout, "refused")[0]["reason"] == "version 1.0.0 is not newer than 1.1.0"


def test_silence_is_exit_3_and_run_boots_the_eeprom(lab):
    box = lab.box("box")
    assert lab.receive(box, timeout=0.5).returncode == 3
    where = ("--store", box, "--group", lab.group, "--interface", "lo", "--timeout", 0.5, "--json")
    done = run("settop", "run", *where)
    assert done.returncode == 1, "nothing was given to start it with, and a script must not take that for a boot"
    assert "nothing was started" in named(done.stdout, "note")[-1]["text"]
    assert named(done.stdout, "would_boot")[0]["source"] == "eeprom"
    done = run("settop", "run", *where, "--command", "echo started {slot}")
    assert (done.returncode, "started eeprom" in done.stdout) == (0, True)
    broken = run("settop", "run", *where[:4], "--interface", "nosuch0", "--timeout", 1, "--json")
    assert named(broken.stdout, "would_boot")[0]["source"] == "eeprom", "a box without a network boots, too"


def test_run_tells_systemd_that_it_is_there_and_alive(lab, tmp_path, monkeypatch):
    """By datagrams (sd_notify), while its child hears nothing."""
    where = ("--store", lab.box("box"), "--group", lab.group, "--interface", "lo", "--timeout", 3)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        box = subprocess.Popen(command("settop", "run", *where, "--command", "true"), stdout=subprocess.DEVNULL)
        assert [ear.recv(100) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        assert box.wait(60) == 0


def kill_when(receiving: subprocess.Popen, is_time) -> None:
    """Read what a box says, and kill it without warning at the first event that says so."""
    for line in receiving.stdout:
        if is_time(json.loads(line)):
            break
    os.kill(receiving.pid, signal.SIGKILL)
    receiving.wait()
    receiving.stdout.close()


def test_kill_9_at_random_moments_loses_nothing(lab):
    image = noise(8_000_000)
    release = lab.pack(image, "1.4.0", "kernel")
    box = lab.box("box")
    rng = random.Random(4)
    with lab.cast(release, rate="16M"):
        for _ in range(4):
            moment_s = rng.uniform(0.0, 0.7)
            kill_when(lab.start_receive(box), lambda event, at=moment_s: event.get("elapsed_s", 0) >= at)
        # By its first report after a second, a box has written through what it heard.
        kill_when(lab.start_receive(box), lambda event: event["event"] == "progress" and event["elapsed_s"] > 1.0)
        done = lab.receive(box)
    assert done.returncode == 0, done.stdout
    assert named(done.stdout, "image_found")[0]["resumed"]
    (verified,) = named(done.stdout, "image_verified")
    assert verified["received_symbols"] < verified["needed_symbols"], "what was on disk was used"
    assert (box / "slot-a.image").read_bytes() == image


def test_leftovers_are_believed_only_as_far_as_digests_go(lab):
    """A part file that was damaged between two runs: the good symbols are used, the bad ones are not."""
    image = noise(2_000_000)
    release, box = lab.pack(image, "1.4.0", "kernel"), lab.box("box")
    with lab.cast(release, rate="30M"):
        receiving = lab.start_receive(box)
        wait_for(lambda: any(p.stat().st_blocks > 2000 for p in box.glob("*.part")), receiving)
        time.sleep(0.25)
        receiving.kill()
        receiving.wait()
        receiving.stdout.close()
        (part,) = box.glob("*.part")
        with part.open("r+b") as file:
            for offset in range(0, 2_000_000, 100_000):
                file.seek(offset)
                file.write(b"damage")
        assert lab.receive(box).returncode == 0
    assert (box / "slot-a.image").read_bytes() == image


def test_a_swap_reaches_boxes_that_listen(lab):
    first, second = lab.pack(noise(8_000_000), "1.0.0", "first"), lab.pack(noise(500_000), "2.0.0", "second")
    box = lab.box("box")
    with lab.cast(first, rate="20M") as head_end:
        receiving = lab.start_receive(box)
        for line in receiving.stdout:
            if '"image_found"' in line:
                break
        second.replace(first)
        head_end.send_signal(signal.SIGHUP)
        rest, _ = receiving.communicate(timeout=30)
    assert receiving.returncode == 0
    assert named(rest, "installed")[0]["version"] == "2.0.0"


def test_two_receives_exclude_each_other(lab):
    box = lab.box("box")
    receiving = lab.start_receive(box, timeout=600)
    assert receiving.stdout.readline(), "it listens, so it holds the box"
    refused = lab.receive(box, timeout=1)
    receiving.send_signal(signal.SIGINT)
    receiving.communicate(timeout=60)
    assert refused.returncode == 1
    assert "another settop command works on" in refused.stderr


def test_several_boxes_hear_one_carousel(lab):
    release = lab.pack(noise(2_000_000), "1.4.0", "kernel")
    boxes = [lab.box(f"box{number}") for number in range(3)]
    with lab.cast(release, rate="40M"):
        running = [lab.start_receive(box, "--drop", f"{4 * n}%", "--drop-seed", n) for n, box in enumerate(boxes)]
        outputs = [each.communicate(timeout=40)[0] for each in running]
    assert [each.returncode for each in running] == [0, 0, 0], outputs


def one_sentence(done: subprocess.CompletedProcess, words: str, code: int = 1) -> None:
    assert done.returncode == code, done
    assert words in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_faults_are_one_sentence_and_lose_nothing(lab):
    box, folder = lab.box("box"), lab.folder
    group = ("--group", lab.group)
    cast = ("cast", lab.eeprom, *group)
    one_sentence(run("headend", *cast, "--interface", "nosuch0"), "no interface 'nosuch0'")
    one_sentence(run("headend", *cast, "--interface", "lo", "--rate", "fast"), "bit/s", 2)
    one_sentence(run("headend", "cast", folder / "none", *group, "--interface", "lo"), "no such file")
    one_sentence(run("headend", "cast", folder / "lab.pub", *group, "--interface", "lo"), "no whole release")
    pack = ("-o", folder / "y", "--hardware", "00A1B2:7", "--version", "1.0.0")
    one_sentence(run("headend", "pack", folder / "factory", "--key", folder / "lab.pub", *pack), "private key")
    one_sentence(run("headend", "pack", folder / "nothing", "--key", folder / "lab.key", *pack), "no such file")
    listen = ("receive", "--store", box, *group, "--timeout", 1)
    one_sentence(run("settop", *listen, "--interface", "nosuch0"), "no interface 'nosuch0'")
    one_sentence(run("settop", *listen, "--interface", "lo", "--core", 4096), "may not use core 4096")
    one_sentence(run("settop", "receive", "--store", folder, *group, "--interface", "lo"), "no store of a box")
    one_sentence(run("settop", "boot", "--store", box, "--command", "echo '{nothing"), "check quotes and braces", 2)
    again = run("settop", "init", "--store", box, "--hardware", "1:1", "--trust", folder / "lab.pub", "--eeprom", "x")
    one_sentence(again, "OUI:model", 2)
    assert run("settop", "receive", "--store", box).returncode == 2
    assert run("settop", "boot", "--store", box, "--json").returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB of our own."""
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount], check=False)
    assert done.returncode == 0, "mounting a tmpfs needs root"
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_full_disk_and_a_read_only_store(lab, small_disk):
    box = lab.box("box")
    shutil.copytree(box, small_disk / "box")
    release = lab.pack(noise(6_000_000), "1.4.0", "kernel")
    with lab.cast(release):
        done = lab.receive(small_disk / "box", timeout=1)
    assert done.returncode == 4, "no room refuses that release alone"
    assert "make room" in named(done.stdout, "refused")[0]["reason"]
    assert not list((small_disk / "box").glob("*.part"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    one_sentence(lab.receive(small_disk / "box", timeout=1), "read-only")
    booted = run("settop", "boot", "--store", small_disk / "box", "--json")
    assert booted.returncode == 0
    assert named(booted.stdout, "would_boot")[0]["source"] == "eeprom"


def test_inspect_tells_good_signatures_from_others(lab):
    write_key_pair(lab.folder / "other")
    good = run("headend", "inspect", lab.eeprom, "--trust", lab.folder / "lab.pub", "--json")
    assert good.returncode == 0
    assert '"signature": "good"' in good.stdout
    foreign = run("headend", "inspect", lab.eeprom, "--trust", lab.folder / "other.pub")
    assert foreign.returncode == 1
    assert "by none of these keys" in foreign.stdout
    assert f" {json.loads(good.stdout)['image_sha256']}\n" in foreign.stdout, "a SHA-256 is there to be copied, whole"


@pytest.fixture
def two_hosts():
    """Two network namespaces of our own, joined by a veth pair: `head0` in one, `box0` in the other."""
    names = (f"bc{os.getpid()}a", f"bc{os.getpid()}b")
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
    ends = ["head0", "netns", names[0]], ["box0", "netns", names[1]]
    subprocess.run(["ip", "link", "add", "name", *ends[0], "type", "veth", "peer", "name", *ends[1]], check=True)
    for name, end, address in ((names[0], "head0", 1), (names[1], "box0", 2)):
        inside = ["ip", "-n", name]
        subprocess.run([*inside, "addr", "add", f"10.77.0.{address}/24", "dev", end], check=True)
        subprocess.run([*inside, "addr", "add", f"fd77::{address}/64", "dev", end, "nodad"], check=True)
        subprocess.run([*inside, "link", "set", end, "up"], check=True)
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("group", "source"),
    [("239.255.77.1:5077", None), ("[ff15::4d]:5077", None), ("232.77.0.1:5077", "10.77.0.1")],
    ids=["ipv4", "ipv6", "ssm"],
)
def test_across_a_network_that_goes_down_and_comes_back(lab, two_hosts, group, source):
    image = noise(1_500_000)
    release, box = lab.pack(image, "1.4.0", "kernel", "--symbol-size", "1424"), lab.box("box")
    casting = ["ip", "netns", "exec", two_hosts[0], *command("headend", "cast", release, "--group", group)]
    casting += ["--interface", "head0", "--rate", "20M", "--json"]
    listening = ["ip", "netns", "exec", two_hosts[1], *command("settop", "receive", "--store", box, "--group", group)]
    listening += ["--interface", "box0", "--timeout", "30", "--json", *(["--source", source] if source else [])]
    time.sleep(0.5)  # IPv6 link-local addresses settle
    head_end = subprocess.Popen(casting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        receiving = subprocess.Popen(listening, stdout=subprocess.PIPE, text=True)
        time.sleep(0.9)
        link = ["ip", "-n", two_hosts[0], "link", "set", "head0"]
        subprocess.run([*link, "down"], check=True)
        time.sleep(0.5)
        subprocess.run([*link, "up"], check=True)
        if ":" in group.split("]")[0]:
            again = ["addr", "replace", "fd77::1/64", "dev", "head0", "nodad"]
            subprocess.run(["ip", "-n", two_hosts[0], *again], check=True)
        output, _ = receiving.communicate(timeout=60)
    finally:
        head_end.send_signal(signal.SIGINT)
        log, _ = head_end.communicate(timeout=60)
    assert receiving.returncode == 0, output + log
    assert head_end.returncode == 0
    assert (box / "slot-a.image").read_bytes() == image
    assert len(named(log, "trouble")) <= 2, "told once, not per packet"


@pytest.mark.namespaces
def test_where_the_kernel_spaces_packets_the_head_end_wakes_up_seldom(lab, two_hosts):
    image = noise(3_000_000)
    release, box = lab.pack(image, "1.4.0", "kernel", "--symbol-size", "1424"), lab.box("box")
    shaper = ["root", "tbf", "rate", "22mbit", "burst", "3000", "limit", "200k"]
    subprocess.run(["tc", "-n", two_hosts[0], "qdisc", "add", "dev", "head0", *shaper], check=True)
    casting = ["ip", "netns", "exec", two_hosts[0], *command("headend", "cast", release, "--group", lab.group)]
    casting += ["--interface", "head0", "--rate", "20M", "--json"]
    listening = ["ip", "netns", "exec", two_hosts[1], *command("settop", "receive", "--store", box)]
    listening += ["--group", lab.group, "--interface", "box0", "--timeout", "30", "--json"]
    head_end = subprocess.Popen(casting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        done = subprocess.run(listening, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
        wakes = wakes_of(head_end.pid)
        queue = subprocess.check_output(["tc", "-n", two_hosts[0], "-s", "qdisc", "show", "dev", "head0"], text=True)
    finally:
        head_end.send_signal(signal.SIGINT)
        log, _ = head_end.communicate(timeout=60)
    assert done.returncode == 0, done.stdout + log
    assert (box / "slot-a.image").read_bytes() == image
    assert named(log, "casting")[0]["paced_by"] == "tbf"
    assert "dropped 0," in queue
    (verified,) = named(done.stdout, "image_verified")
    bursts = verified["received_symbols"] / 2  # two packets make up a millisecond
    assert wakes < bursts / 3


def wakes_of(pid):
    """How often a process has gone to sleep by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def test_two_head_ends_feed_one_carousel_and_one_takes_over(lab):
    """On lo, as on a network: kill one while a box receives; the other sends all of it from then on."""
    image = b"pair" * 1_000_000
    release = lab.pack(image, "3.0.0", "pair")
    box = lab.box("box")
    with lab.cast(release, rate="20M", options=("--pair", "first")):
        second_log = lab.folder / "second.log"
        arguments = ["--group", lab.group, "--interface", "lo", "--rate", "20M", "--json", "--pair", "second"]
        with second_log.open("w") as out:
            second = subprocess.Popen(command("headend", "cast", release, *arguments), stdout=out)
        wait_for(lambda: '"casting"' in second_log.read_text(), second)
        receiving = lab.start_receive(box, timeout=60)
        time.sleep(1.0)
        second.kill()
        second.wait()
        output, _ = receiving.communicate(timeout=90)
        assert receiving.returncode == 0, output
        log = lab.folder / "cast.log"
        wait_for(lambda: not named(log.read_text(), "peer")[-1]["alive"] if named(log.read_text(), "peer") else False)
    verified = named(output, "image_verified")[0]
    assert verified["rejected_symbols"] == 0
