"""Real `dask scheduler` and `dask worker` processes on loopback; real head-ends and receivers for `live`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.fleet.executor import dask_client, run_on_dask, run_on_processes
from bench.fleet.run import run_fleet
from carousel.errors import OperatorError
from tests.bench.fleet.fleets import scenario
from tests.bench.fleet.test_run import same, silent

pytestmark = pytest.mark.processes

# Dask's own loops and sockets end a moment after the client, on threads of theirs.
QUIET = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dask(*arguments):
    command = [sys.executable, "-m", "dask", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def pool(workers):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    processes = [dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")]
    try:
        for _ in range(workers):
            processes.append(dask("worker", address, "--nthreads", 1, "--no-nanny", "--no-dashboard"))
        wait_for_workers(address, workers)
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def wait_for_workers(address, count):
    from distributed import Client

    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        try:
            with Client(address, timeout=5, set_as_default=False) as client:
                if count:
                    client.wait_for_workers(count, timeout=60)
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the pool did not come up")


STAY_S = 120


def stay(folder):
    """A shard that takes long, and says who works on it."""
    (folder / str(os.getpid())).touch()
    time.sleep(STAY_S)


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds, limit_s=60):
    deadline_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_who_runs_the_fleet(how, tmp_path):
    code = f"from pathlib import Path\nfolder = Path({str(tmp_path)!r})\n"
    code += "from bench.fleet.executor import run_on_processes\nfrom tests.bench.fleet.test_pool import stay\n"
    code += "run_on_processes(2)(stay, [folder] * 2, print)"
    boss = subprocess.Popen([sys.executable, "-c", code])
    workers = []
    try:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        workers = [int(each.name) for each in tmp_path.iterdir()]
        boss.send_signal(how)
        boss.wait()
        wait_until(lambda: not any(map(is_there, workers)), STAY_S / 2)
    finally:
        boss.kill()
        boss.wait()
        for pid in filter(is_there, workers):
            os.kill(pid, signal.SIGKILL)


@QUIET
def test_a_killed_worker_loses_nothing():
    fleet = scenario(256, down="loss=5%,burst=3", spread_s=2.0)
    expected = same(run_fleet(fleet, "packet", [5], run_on_processes(1), silent))
    with pool(2) as (address, workers), dask_client(address) as client:
        killed = []

        def kill_one(done, total):
            if done == 2 and not killed:
                killed.append(workers[0])
                os.kill(workers[0].pid, signal.SIGKILL)

        found = run_fleet(fleet, "packet", [5], run_on_dask(client), kill_one)
        assert killed
        assert workers[0].wait() == -signal.SIGKILL
    assert same(found) == expected


@QUIET
def test_a_pool_that_can_not_do_it_is_said_so():
    with pool(0) as (address, _), pytest.raises(OperatorError, match="has no workers; start some: dask worker"):
        dask_client(address).__enter__()
    with pytest.raises(OperatorError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        dask_client("tcp://127.0.0.1:1").__enter__()


@QUIET
def test_a_worker_without_the_package_is_named(tmp_path):
    """A worker of an installation without ours: an import path that holds none of it."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    hider = "import importlib.metadata as m, runpy, sys\n"
    hider += "real = m.version\n"
    hider += (
        "def version(name):\n    if name == 'bootcast': raise m.PackageNotFoundError(name)\n    return real(name)\n"
    )
    hider += "m.version = version\nsys.argv = ['dask', *sys.argv[1:]]\nrunpy.run_module('dask', run_name='__main__')\n"
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    arguments = ["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    worker = subprocess.Popen(
        [sys.executable, "-c", hider, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_workers(address, 1)
        with pytest.raises(OperatorError, match=r"worker tcp://127.0.0.1:\d+ has no bootcast; install it there"):
            dask_client(address).__enter__()
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


SHELF = """
title = "a live shelf"
boxes = 6
horizon = "40s"
deadline = "20s"
[carousel]
rate = "20M"
[[release]]
name = "lab"
image_size = "1M"
[[class]]
name = "wired"
share = 0.5
down = "loss=0.1%"
[[class]]
name = "wifi"
share = 0.5
down = "loss=5%,burst=3,delay=3ms"
trunk = "shelf"
[[trunk]]
name = "shelf"
boxes = 3
down = "loss=1%"
[spread]
kind = "uniform"
over = "1s"
"""


@QUIET
def test_real_receivers_on_two_workers_boot_off_a_real_carousel(tmp_path):
    def tool(name, *arguments):
        command = [sys.executable, "-c", f"from {name} import main; main()", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    (tmp_path / "shelf.toml").write_text(SHELF)
    (tmp_path / "image").write_bytes(os.urandom(1_000_000))
    (tmp_path / "factory").write_bytes(os.urandom(1000))
    tool("headend.cli", "keygen", "lab")
    for name, version in (("image", "2.0.0"), ("factory", "0.1.0")):
        where = ("-o", f"{name}.release", "--key", "lab.key", "--hardware", "00A1B2:7", "--version", version)
        tool("headend.cli", "pack", name, *where)
    group = f"239.255.80.1:{free_port()}"
    cast = subprocess.Popen(
        [
            sys.executable, "-c", "from headend.cli import main; main()", "cast", str(tmp_path / "image.release"),
            "--group", group, "--interface", "lo", "--rate", "20M", "--json",
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with pool(2) as (address, _):
            arguments = ("--dask", address, "--group", group, "--interface", "lo", "--trust", "lab.pub")
            tool("bench.cli", "live", "shelf.toml", *arguments, "--eeprom", "factory.release", "-o", "report")
    finally:
        cast.send_signal(signal.SIGINT)
        cast.wait()
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (story,) = report["stories"]
    assert report["fidelity"] == "live"
    assert (story["time"]["boxes"], story["time"]["never"]) == (6, 0)
    assert 0.3 < story["time"]["p50_s"] < 20
    assert (tmp_path / "report" / "index.html").exists()
