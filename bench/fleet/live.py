"""`bootbench live`: real `settop receive` processes on a pool of workstations, against a real carousel.

Each worker starts one relay (`bootbench link`) that gives every box of its share a link of its own, and a receiver
with its own store for each box, at the time when the scenario switches it on. What the receivers say in JSON becomes
the same report as a simulation's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.fleet.cli import progress_bar, write_report
from bench.fleet.executor import dask_client, run_on_processes
from bench.fleet.model.starts import draw_starts
from bench.fleet.model.tally import STEPS, Tally, phases_of_events
from bench.fleet.run import FleetRun
from bench.fleet.scenario.reading import find_scenario
from bench.fleet.scenario.values import BoxClass, Scenario
from bench.fleet.storm.crowd import Load, Story
from bench.link.spec import format_link
from carousel.console.endpoint import Endpoint
from carousel.console.quantities import parse_count
from carousel.errors import FormatError, OperatorError
from carousel.flute.releasefile import Release

__all__ = ["LiveBox", "LiveShard", "live", "run_live_shard"]

MOST_LIVE_BOXES = 2000
RELAY_STARTS_S = 15.0
PATIENCE_S = 20.0
"""How long past its time-out a receiver may take to end before it is ended."""
BOX_GROUP = "239.255.79.1"
"""Each box has a port of its own in this group, on its worker's loopback interface."""
FIRST_PORT, LAST_PORT = 20_000, 30_000
LIVE_STREAM = 30


@dataclass(frozen=True)
class LiveBox:
    """A box: its region and class, and when it is switched on."""

    region: str
    class_name: str
    start_s: float


@dataclass(frozen=True)
class LiveShard:
    """One worker's share of the boxes, and what they need: keys and the factory image travel as bytes."""

    scenario: Scenario
    seed: int
    number: int
    boxes: tuple[LiveBox, ...]
    group: str
    interface: str
    trust: tuple[bytes, ...]
    eeprom: bytes
    hardware: str


@dataclass(frozen=True)
class Outcome:
    """What one receiver said: when its image was verified after it began to listen, and the symbols it took."""

    box: LiveBox
    verified_s: float | None
    efficiency: float = 0.0
    complaint: str = ""


def run_live_shard(shard: LiveShard) -> list[Outcome]:
    """Run a share of the boxes on this machine; every process that it starts has ended when it returns."""
    folder = Path(tempfile.mkdtemp(prefix="bootcast-live-"))
    try:
        ports = _free_ports(len(shard.boxes), shard.number)
        stores = _make_stores(shard, folder)
        with _relay(shard, folder, ports):
            return _receive_all(shard, stores, ports)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int, number: int) -> range:
    """Find so many UDP ports in a row that nobody has; workers of one machine look at different places."""
    first = FIRST_PORT + (os.getpid() * 97 + number * 501) % (LAST_PORT - FIRST_PORT - count)
    for begin in (*range(first, LAST_PORT - count, count), *range(FIRST_PORT, first, count)):
        if all(_is_free(port) for port in range(begin, begin + count)):
            return range(begin, begin + count)
    raise OperatorError(f"there are no {count} free UDP ports in a row between {FIRST_PORT} and {LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((BOX_GROUP, port))
        except OSError:
            return False
    return True


def _tool(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", f"from {module} import main; main()", *map(str, arguments)]


def _make_stores(shard: LiveShard, folder: Path) -> list[Path]:
    """Make a store for each box: one by the tool, copies of it for the others."""
    keys = []
    for index, pem in enumerate(shard.trust):
        keys += ["--trust", folder / f"key{index}.pub"]
        (folder / f"key{index}.pub").write_bytes(pem)
    (folder / "eeprom.release").write_bytes(shard.eeprom)
    first = folder / "box0"
    made = subprocess.run(
        _tool(
            "settop.cli", "init", "--store", first, "--hardware", shard.hardware, *keys,
            "--eeprom", folder / "eeprom.release",
        ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise OperatorError(f"settop init: {made.stderr.strip()}")
    stores = [first]
    for index in range(1, len(shard.boxes)):
        stores.append(folder / f"box{index}")
        shutil.copytree(first, stores[-1])
    return stores


def _topology(shard: LiveShard, ports: range) -> str:
    """Write the boxes' links as a topology of `bootbench link`: one class for each box, trunks shared."""
    by_name = {each.name: each for each in shard.scenario.classes}
    parts = [f"seed = {shard.seed * 1000 + shard.number}"]
    for trunk in shard.scenario.trunks:
        parts += ["[[trunk]]", f'name = "{trunk.name}"', f'down = "{format_link(trunk.down)}"']
    for index, (box, port) in enumerate(zip(shard.boxes, ports, strict=True)):
        box_class: BoxClass = by_name[box.class_name]
        parts += ["[[class]]", f'name = "box{index}"', f'to = "{BOX_GROUP}:{port}%lo"']
        parts += [f'down = "{format_link(box_class.down)}"', f'up = "{format_link(box_class.up)}"']
        parts += [f'trunk = "{box_class.trunk}"'] if box_class.trunk else []
    return "\n".join(parts) + "\n"


@contextmanager
def _relay(shard: LiveShard, folder: Path, ports: range) -> Iterator[None]:
    """Run `bootbench link` between the carousel and the boxes."""
    (folder / "links.toml").write_text(_topology(shard, ports))
    arguments = ("link", "--from", shard.group, "--interface", shard.interface, "--topology", folder / "links.toml")
    with (folder / "relay.log").open("w+b") as log:
        relay = subprocess.Popen(_tool("bench.cli", *arguments, "--json"), stdout=log, stderr=log)
        try:
            deadline_s = time.monotonic() + RELAY_STARTS_S
            while not (folder / "relay.log").stat().st_size and time.monotonic() < deadline_s:
                time.sleep(0.05)
            if relay.poll() is not None:
                raise OperatorError(f"bootbench link: {(folder / 'relay.log').read_text(errors='replace').strip()}")
            yield
        finally:
            relay.send_signal(signal.SIGINT)
            try:
                relay.wait(timeout=10)
            except subprocess.TimeoutExpired:
                relay.kill()
                relay.wait()


def _receive_all(shard: LiveShard, stores: list[Path], ports: range) -> list[Outcome]:
    """Switch each box on at its time, and gather what all of them say."""
    found: list[Outcome | None] = [None] * len(shard.boxes)
    begin_s = time.monotonic()

    def receive(index: int) -> None:
        found[index] = _receive_one(shard, shard.boxes[index], stores[index], ports[index])

    threads = []
    for index in sorted(range(len(shard.boxes)), key=lambda each: shard.boxes[each].start_s):
        time.sleep(max(0.0, begin_s + shard.boxes[index].start_s - time.monotonic()))
        threads.append(threading.Thread(target=receive, args=(index,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return [each if each is not None else Outcome(shard.boxes[i], None, 0, "died") for i, each in enumerate(found)]


def _receive_one(shard: LiveShard, box: LiveBox, store: Path, port: int) -> Outcome:
    timeout_s = max(0.1, shard.scenario.horizon_s - box.start_s)
    arguments = ("--store", store, "--group", f"{BOX_GROUP}:{port}", "--interface", "lo", "--workers", 1)
    command = _tool("settop.cli", "receive", *arguments, "--timeout", timeout_s, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, complaint = process.communicate(timeout=timeout_s + PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, complaint = process.communicate()
    for line in out.splitlines():
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "image_verified":
            heard = max(1, told["received_symbols"])
            return Outcome(box, told["elapsed_s"], min(1.0, told["needed_symbols"] / heard))
    return Outcome(box, None, 0.0, complaint.strip().splitlines()[-1] if complaint.strip() else "")


def tally_of(scenario: Scenario, outcomes: list[Outcome]) -> Tally:
    """Count what became of live boxes, as a simulation's are counted."""
    tally = Tally(scenario.horizon_s)
    by_name = {each.name: each for each in scenario.classes}
    for outcome in outcomes:
        box, box_class = outcome.box, by_name[outcome.box.class_name]
        start_s = np.array([box.start_s])
        verified_s = start_s + (np.inf if outcome.verified_s is None else outcome.verified_s)
        up_s = verified_s + scenario.start_up_s(box_class)
        tally.count_boxes(box.region, start_s, verified_s, up_s, scenario.deadline_s)
        if outcome.verified_s is not None:
            tally.count_efficiency(np.array([outcome.efficiency]))
    return tally


def draw_boxes(scenario: Scenario, seed: int) -> list[LiveBox]:
    """Draw each box's power-on time."""
    if scenario.boxes > MOST_LIVE_BOXES:
        raise OperatorError(
            f"each live box is a process: {MOST_LIVE_BOXES} at the most, not {scenario.boxes}; give --boxes"
        )
    boxes = []
    for group in scenario.groups():
        rng = np.random.default_rng([seed, LIVE_STREAM, group.index])
        boxes += [
            LiveBox(group.region.name, group.box_class.name, float(start_s))
            for start_s in draw_starts(group, group.boxes, rng)
        ]
    return boxes


def _shards(scenario: Scenario, seed: int, count: int, common: dict[str, Any]) -> list[LiveShard]:
    boxes = draw_boxes(scenario, seed)
    parts = [tuple(boxes[number::count]) for number in range(count)]
    return [LiveShard(scenario, seed, number, part, **common) for number, part in enumerate(parts) if part]


def _run_on_pool(client: Any, scenario: Scenario, seed: int, common: dict[str, Any]) -> list[Outcome]:
    """Give each worker its share; another one takes over where a worker dies."""
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    shards = _shards(scenario, seed, len(workers), common)
    futures = [
        client.submit(run_live_shard, shard, workers=[worker], allow_other_workers=True, pure=False)
        for shard, worker in zip(shards, workers, strict=False)
    ]
    return [outcome for part in client.gather(futures) for outcome in part]


def live(
    scenario: Annotated[str, typer.Argument(help="A TOML file, or the name of a scenario that ships.")],
    group: Annotated[str, typer.Option(help="The carousel's group and port: 239.255.77.1:5077.")],
    interface: Annotated[str, typer.Option(help="The interface that it comes in on, on each worker.")],
    trust: Annotated[list[Path], typer.Option(help="A public key that the boxes trust; may be repeated.")],
    eeprom: Annotated[Path, typer.Option(help="The boxes' factory image, a release file for their hardware.")],
    dask: Annotated[str | None, typer.Option(help="A Dask scheduler: tcp://host:8786. Else local processes.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Local processes, without --dask.")] = 1,
    boxes: Annotated[str | None, typer.Option(help="How many, instead of the scenario's number.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Power-on times and losses.")] = 7,
    profiles: Annotated[Path | None, typer.Option(help="More link profiles.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the report.")] = Path("bench-out/live"),
) -> None:
    """Run real receivers on a pool, each behind a link of its own, against a carousel that is on the air."""
    chosen = replace(find_scenario(scenario, profiles), strategies=("carousel",), login=None)
    if boxes is not None:
        chosen = replace(chosen, boxes=parse_count(boxes))
    Endpoint.parse(group)
    factory = eeprom.read_bytes()
    try:
        hardware = Release.parse(memoryview(factory)).header.hardware
    except FormatError:
        raise OperatorError(f"{eeprom} is no release file; make one by `headend pack`") from None
    common = {
        "group": group,
        "interface": interface,
        "trust": tuple(path.read_bytes() for path in trust),
        "eeprom": factory,
        "hardware": str(hardware),
    }
    output.mkdir(parents=True, exist_ok=True)
    begin_s = time.monotonic()
    outcomes: list[Outcome] = []
    if dask is not None:
        with dask_client(dask) as client:
            outcomes = _run_on_pool(client, chosen, seed, common)
            where = "dask"
    else:
        shards = _shards(chosen, seed, workers, common)
        with progress_bar("live") as tell:

            def keep(index: int, part: list[Outcome]) -> None:
                outcomes.extend(part)
                tell(index + 1, len(shards))

            run_on_processes(workers)(run_live_shard, shards, keep)
        where = f"{workers} processes"
    _finish(chosen, seed, outcomes, time.monotonic() - begin_s, where, output)


def _finish(scenario: Scenario, seed: int, outcomes: list[Outcome], wall_s: float, where: str, output: Path) -> None:
    tally = tally_of(scenario, outcomes)
    load = Load("carousel", "b/s", np.full(STEPS, scenario.carousel.rate_bps), scenario.carousel.rate_bps)
    story = Story("carousel", seed, tally, phases_of_events(tally.events), [load])
    write_report(FleetRun(scenario, "live", [seed], [story]), wall_s, where, output)
    for complaint in sorted({outcome.complaint for outcome in outcomes if outcome.complaint}):
        print(f"a box said: {complaint}", file=sys.stderr)
