"""`bootbench peers`: us beside what a user would pick instead."""

import datetime
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.bytecode import compile_ours
from bench.peers import report as reporting
from bench.peers import tables
from bench.peers.namespaces import Lab, rootless
from bench.peers.tools import BIN, HARDWARE, TOOLS, Tool
from carousel.errors import UsageError

__all__ = ["peers"]

TABLES = ("speed", "cost", "overload", "loss", "late", "traffic")
LEAST_BYTES, MOST_BYTES = 1_000_000, 2_000_000_000


def peers(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder for report.json, tables and pictures.")
    ] = Path("bench-out/peers"),
    large: Annotated[
        int, typer.Option(min=LEAST_BYTES, max=MOST_BYTES, help="Bytes of the image of `speed`.")
    ] = 200_000_000,
    small: Annotated[
        int, typer.Option(min=LEAST_BYTES, max=MOST_BYTES, help="Bytes of the image at 100 Mb/s.")
    ] = 25_000_000,
    runs: Annotated[int, typer.Option(min=1, max=20, help="Medians of so many runs.")] = 3,
    boxes: Annotated[str, typer.Option(help="How many boxes in `loss`: 1,16.")] = "1,16",
    most_boxes: Annotated[int, typer.Option(min=1, max=64, help="`traffic` goes up to so many, by twos.")] = 32,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this tool; may be repeated. bootcast is always there.")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help=f"Only this table: {', '.join(TABLES)}.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the tables at the end.")] = False,
) -> None:
    """Measure bootcast, UFTP, udpcast, flute-alc, TFTP and HTTP on one link in one run, in namespaces."""
    chosen = tuple(table or TABLES)
    for name in chosen:
        if name not in TABLES:
            raise UsageError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    counts = _counts(boxes)
    doubling = tuple(count for count in (1, 2, 4, 8, 16, 32, 64) if count <= most_boxes)
    found, absent = _find_tools(only)
    _gain_rights()
    with Lab(1):
        pass  # say at once what is lacking
    compile_ours()
    folders = _prepare(output / "work-large", large), _prepare(output / "work-small", small)
    tell = _silent if quiet else _to_terminal
    report: dict[str, Any] = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}",
        "large_bytes": large,
        "small_bytes": small,
        "runs_wanted": runs,
        "absent": absent,
    }
    try:
        _measure(report, chosen, tables.Setup(*folders, found, runs, tell), counts, doubling, output)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    (output / "report.md").write_text(reporting.markdown(report))
    pictures = reporting.plot(report, output)
    reporting.show(report)
    print(f"{output}: report.json, report.md" + "".join(f", {path.name}" for path in pictures))


def _gain_rights() -> None:
    """Without root, start again in a user namespace, if there may be one."""
    again = rootless(sys.argv) if os.geteuid() else None
    if again is not None:
        os.execvp(again[0], again)


def _measure(
    report: dict[str, Any],
    chosen: tuple[str, ...],
    setup: tables.Setup,
    counts: tuple[int, ...],
    doubling: tuple[int, ...],
    output: Path,
) -> None:
    """Fill the report row by row; what is measured so far is on disk, should somebody end it."""
    measures = {
        "speed": lambda: tables.speed(setup),
        "cost": lambda: tables.cost(setup),
        "overload": lambda: tables.overload(setup),
        "loss": lambda: tables.loss(setup, counts),
        "late": lambda: tables.late(setup),
        "traffic": lambda: tables.traffic(setup, doubling),
    }
    for name in chosen:
        report[name] = []
        for row in measures[name]():
            report[name].append(row)
            reporting.write_json(report, output / "report.json")


def _silent(line: str) -> None:
    """Keep it to oneself."""


def _to_terminal(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or not all(1 <= count <= 64 for count in counts):
        raise UsageError(f"--boxes {text!r} is no list of numbers from 1 to 64, such as 1,16")
    return counts


def _find_tools(only: list[str] | None) -> tuple[tuple[Tool, ...], dict[str, str]]:
    """Return the tools that are here, and why others are not."""
    names = [tool.name for tool in TOOLS]
    for name in only or []:
        if name not in names:
            raise UsageError(f"there is no tool {name!r}; there are {', '.join(names)}")
    wanted = [tool for tool in TOOLS if only is None or tool.name in only or tool.name == reporting.OURS]
    absent = {tool.name: reason for tool in wanted if (reason := tool.missing()) is not None}
    return tuple(tool for tool in wanted if tool.name not in absent), absent


def _prepare(folder: Path, size_bytes: int) -> Path:
    """Make an image, its release, and the store that each box starts with."""

    def ours(name: str, *arguments: object) -> None:
        command = [str(BIN / name), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "image").open("wb") as file:
        for _ in range(0, size_bytes, 1 << 20):
            file.write(os.urandom(1 << 20))
        file.truncate(size_bytes)
    (folder / "factory").write_bytes(os.urandom(1000))
    ours("headend", "keygen", folder / "lab")
    for name, version in (("image", "2.0.0"), ("factory", "0.1.0")):
        where = ("-o", folder / f"{name}.release", "--key", folder / "lab.key")
        ours("headend", "pack", folder / name, *where, "--hardware", HARDWARE, "--version", version)
    trust = ("--trust", folder / "lab.pub", "--eeprom", folder / "factory.release")
    ours("settop", "init", "--store", folder / "store", "--hardware", HARDWARE, *trust)
    return folder
