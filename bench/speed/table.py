"""The end-to-end table of `make bench`: real processes over lo, a 200 MB image, everything verified and on disk.

Figures are printed beside the raw GSO→GRO figure of the same run, and written to bench-out/table.json. Machines
are shared and noisy: each row is the median of some runs, with the best and the worst.
"""

import argparse
import json
import math
import mmap
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.bytecode import compile_ours
from bench.speed.rawpath import raw_goodput_bps
from carousel import crc, fec
from carousel.console.endpoint import Endpoint
from carousel.console.quantities import parse_rate_bps

__all__ = ["LIVE_BPS", "Bench", "Row", "ideal_s", "live_ratio", "main"]

BIN = Path(sys.executable).parent
HARDWARE = "00A1B2:7"
T_SHARE = 1440 / 1468
LIVE_BPS = 50e6
SHAPED = """
ip link set lo up && ip link add shaped type veth peer name other && ip addr add 10.77.0.1/24 dev shaped &&
ip link set shaped up && ip link set other up && tc qdisc add dev shaped root tbf rate 106mbit burst 14k limit 1m &&
exec "$@" """
"""A network namespace of its own, with an interface that spaces 100 Mb/s; it ends with its process."""
TOUCHED_BYTES = 1 << 30


@dataclass(frozen=True)
class Row:
    """One line of the table. `values` are of several runs; `goal` is None where there is none."""

    name: str
    unit: str
    values: list[float]
    goal: str = ""

    @property
    def median(self) -> float:
        """The middle run."""
        return statistics.median(self.values)


class Bench:
    """A folder with keys, releases and a box that starts anew for each run."""

    def __init__(self, folder: Path, image_bytes: int) -> None:
        self.folder = folder
        shutil.rmtree(folder / "work", ignore_errors=True)
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        compile_ours()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.group = f"239.255.77.1:{probe.getsockname()[1]}"
        self._run("headend", "keygen", self.work / "lab")
        self.eeprom = self.pack(100_000, "0.1.0")
        self.large = self.pack(image_bytes, "2.0.0")
        self.image_bits = image_bytes * 8

    def _run(self, name: str, *arguments: object) -> None:
        subprocess.run([BIN / name, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def pack(self, size_bytes: int, version: str, *options: str) -> Path:
        """Pack random bytes."""
        image = self.work / version
        with image.open("wb") as file:
            for _ in range(0, size_bytes, 1 << 20):
                file.write(os.urandom(1 << 20))
            file.truncate(size_bytes)
        release = self.work / f"{version}.release"
        where = ("-o", release, "--key", self.work / "lab.key", "--hardware", HARDWARE, "--version", version)
        self._run("headend", "pack", image, *where, *options)
        image.unlink()
        return release

    def new_box(self) -> Path:
        """Return a box that has nothing yet."""
        box = self.work / "box"
        shutil.rmtree(box, ignore_errors=True)
        arguments = ("--hardware", HARDWARE, "--trust", self.work / "lab.pub", "--eeprom", self.eeprom)
        self._run("settop", "init", "--store", box, *arguments)
        os.sync()  # what earlier runs wrote must not go to the disk during this one
        return box

    @contextmanager
    def cast(
        self, release: Path, rate: str, *options: str, interface: str = "lo", inside: Sequence[str] = ()
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Cast for the length of a with statement, on the first core, `inside` what a command sets up."""
        arguments = [release, "--group", self.group, "--interface", interface, "--rate", rate, *options]
        command = [*inside, "taskset", "-c", "0", str(BIN / "headend"), "cast", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def receive(self, *options: str) -> "subprocess.Popen[str]":
        """Start a box; it is listening when this returns."""
        arguments = [
            "--store",
            self.new_box(),
            "--group",
            self.group,
            "--interface",
            "lo",
            "--timeout",
            "120",
            "--json",
        ]
        command = [str(BIN / "settop"), "receive", *map(str, arguments), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert process.stdout is not None
        while '"listening"' not in process.stdout.readline():
            if process.poll() is not None:
                raise RuntimeError("the box did not start")
        return process


def outcome(box: "subprocess.Popen[str]") -> dict[str, dict[str, float]]:
    """Wait for a box; return its events by name, the last of each."""
    output, _ = box.communicate(timeout=180)
    return {event["event"]: event for event in map(json.loads, output.splitlines())}


def goodput_gbps(bench: Bench, rate: str, cast_options: tuple[str, ...], box_options: tuple[str, ...]) -> float:
    """Image bits over the time from the announcement to the verified image."""
    box = bench.receive(*box_options)
    touch_memory()
    with bench.cast(bench.large, rate, *cast_options):
        events = outcome(box)
    took_s = events["image_verified"]["elapsed_s"] - events["image_found"]["elapsed_s"]
    return bench.image_bits / took_s / 1e9


def touch_memory() -> None:
    """Have the host back the memory that the page cache will take: some hypervisors take free memory away.

    Without this, a run measures how fast the host hands pages out (seen: 0.05 s or 0.4 s for the same writes).
    """
    with mmap.mmap(-1, TOUCHED_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for offset in range(0, TOUCHED_BYTES, mmap.PAGESIZE):
            memory[offset] = 1


def ideal_s(size_bytes: int, loss: float) -> float:
    """Return the time of an image's bits alone, at `LIVE_BPS`."""
    return size_bytes * 8 / LIVE_BPS / (1 - loss)


def live_ratio(bench: Bench, release: Path, size_bytes: int, loss: float, start_s: float) -> tuple[float, float]:
    """Return (time to the verified image over the ideal, time to the announcement) at 50 Mb/s."""
    with bench.cast(release, f"{LIVE_BPS:.0f}"):
        time.sleep(0.5 + start_s)
        box = bench.receive("--drop", str(loss), "--drop-seed", str(int(start_s * 1000)))
        events = outcome(box)
    ratio = events["image_verified"]["elapsed_s"] / ideal_s(size_bytes, loss)
    return ratio, events["image_found"]["elapsed_s"]


def cpu_share(bench: Bench, rate: str, seconds: float, is_shaped: bool = False) -> float:
    """Return the share of a core that the head-end uses, in %, start-up not counted; NaN where it can't be had."""
    where: dict[str, Any] = {}
    if is_shaped:
        where = {"interface": "shaped", "inside": ["unshare", "--net", "sh", "-c", SHAPED, "sh"]}
    with bench.cast(bench.large, rate, **where) as process:
        time.sleep(2.0)
        if process.poll() is not None:
            return math.nan
        before_s, began_s = cpu_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        return 100 * (cpu_seconds(process.pid) - before_s) / (time.monotonic() - began_s)


def cpu_seconds_per_gb(bench: Bench, release: Path, rate: str, *options: str) -> float:
    """Return what the head-end uses of a core for each GB that goes out, start-up not counted; 3 s of it."""
    rate_bps = parse_rate_bps(rate)
    with bench.cast(release, rate, *options) as process:
        time.sleep(2.0)
        before_s, began_s = cpu_seconds(process.pid), time.monotonic()
        time.sleep(3.0)
        used_s, took_s = cpu_seconds(process.pid) - before_s, time.monotonic() - began_s
    return used_s / (rate_bps / 8 * took_s / 1e9)


def sleeper_share() -> float:
    """Return what 1000 sleeps a second cost alone: on some virtual machines more than the head-end's work."""
    before_s, began_s = cpu_seconds(os.getpid()), time.monotonic()
    while time.monotonic() - began_s < 1.0:
        time.sleep(0.00085)
    return 100 * (cpu_seconds(os.getpid()) - before_s) / (time.monotonic() - began_s)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, from the scheduler's nanosecond account."""
    return float(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def peak_anonymous_mib(bench: Bench, rate: str) -> float:
    """Return the most anonymous memory that a receiving box and its workers use together, tiles included."""
    release = bench.pack(1 << 30, "3.0.0")
    box = bench.receive("--drop", "1%")
    peak = 0
    with bench.cast(release, rate):
        while box.poll() is None:
            kib = sum(memory_kib(pid, "RssAnon") for pid in [box.pid, *children_of(box.pid)])
            peak = max(peak, kib + memory_kib(box.pid, "RssShmem"))
            time.sleep(0.02)
        outcome(box)
    release.unlink()
    return peak / 1024


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def memory_kib(pid: int, kind: str) -> int:
    """Return RssAnon or RssShmem of a process, 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind))


def several(runs: int, measure: Callable[[], float]) -> list[float]:
    """Measure some times."""
    return [measure() for _ in range(runs)]


def rows(bench: Bench, runs: int) -> Iterator[Row]:
    """Measure everything, row by row."""
    endpoint = Endpoint.parse(bench.group)

    def raw() -> float:
        return raw_goodput_bps(endpoint, "lo", 400_000_000, T_SHARE) / 1e9

    yield Row("raw GSO→GRO, nothing looked at", "Gb/s", several(runs, raw))
    core = ("--core", str((os.cpu_count() or 1) - 1))  # the head-end has the first
    for name, rate, (cast, box), goal in (
        ("no loss", "8G", ((), core), ">= 6"),
        ("1 % loss", "5G", ((), (*core, "--drop", "1%")), ">= 1.5"),
        ("5 % loss", "5G", ((), (*core, "--drop", "5%")), ">= 1.5"),
        ("no GSO, no GRO", "1.2G", (("--no-gso",), (*core, "--no-gro")), ""),
    ):
        # Short and scattered: a box that a stall of the host leaves behind by its socket buffer loses packets.
        values = several(2 * runs + 1, lambda r=rate, c=cast, b=box: goodput_gbps(bench, r, c, b))  # type: ignore[misc]
        yield Row(f"goodput, {name} (cast at {rate})", "Gb/s", values, goal)
    small_bytes = 48_000_000
    small = bench.pack(small_bytes, "1.0.0")
    announced: list[float] = []
    for loss in (0.0, 0.01, 0.05, 0.2):
        ratios = []
        for run in range(runs):
            ratio, announced_s = live_ratio(bench, small, small_bytes, loss, start_s=0.37 * run)
            ratios.append(ratio)
            announced += [announced_s] if loss == 0 else []
        yield Row(f"time over ideal at 50 Mb/s, {loss:.0%} loss, any start", "x", ratios, "<= 1.05")
    yield Row("announcement heard after, no loss", "s", announced, "<= 0.3")
    for name, is_shaped in (("the kernel spaces packets (tbf)", True), ("it spaces them itself", False)):
        values = several(runs, lambda s=is_shaped: cpu_share(bench, "100M", 3.0, s))  # type: ignore[misc]
        yield Row(f"head-end at 100 Mb/s, {name}", "% of a core", values, "<= 3" if is_shaped else "")
    for_both = bench.pack(50_000_000, "1.1.0", "--ssu")
    transports: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("FLUTE", ()),
        ("DVB-SSU", ("--ssu",)),
        ("DVB-SSU over RTP", ("--ssu", "--rtp")),
    )
    for name, how in transports:
        values = several(runs, lambda c=how: cpu_seconds_per_gb(bench, for_both, "200M", *c))  # type: ignore[misc]
        yield Row(f"head-end at 200 Mb/s, one release as {name}", "CPU s/GB", values)
    yield Row("  a process that only sleeps as often", "% of a core", several(runs, sleeper_share), "")
    yield Row("anonymous memory, 1 GiB image", "MiB", [peak_anonymous_mib(bench, "1G")], "<= 96")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=200_000_000)
    parser.add_argument("-o", "--output", type=Path, default=Path("bench-out"))
    options = parser.parse_args()
    console = Console(width=118)
    about = f"{os.cpu_count()} cores, CRC by {crc.implementation()}, RaptorQ by {fec.codec().name}"
    table = Table(
        "what", "median", "best", "worst", "goal", title=f"bootcast end to end: {about}", title_justify="left"
    )
    found = []
    for row in rows(Bench(options.output, options.image_size), options.runs):
        found.append(row)
        best, worst = (max, min) if row.unit == "Gb/s" else (min, max)
        shown = [f"{value:.4g} {row.unit}" for value in (row.median, best(row.values), worst(row.values))]
        console.print(f"{row.name}: {shown[0]}", style="dim")
        table.add_row(row.name, *shown, row.goal)
    raw = found[0].median
    for row in found[1:]:
        if row.unit == "Gb/s":
            table.add_row(f"  {row.name.split(' (')[0]}, of the raw figure", f"{row.median / raw:.1%}")
    console.print(table)
    (options.output / "table.json").write_text(json.dumps([asdict(row) for row in found], indent=1))
    shutil.rmtree(options.output / "work")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
