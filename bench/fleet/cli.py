"""`bootbench fleet`, `plan` and `live`."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.fleet.executor import Run, dask_client, run_on_dask, run_on_processes
from bench.fleet.report.data import report_of, show, write_json
from bench.fleet.report.headline import headline
from bench.fleet.report.page import write_page
from bench.fleet.report.thresholds import broken, thresholds_of
from bench.fleet.run import FIDELITIES, FleetRun, run_fleet
from bench.fleet.scenario.reading import find_scenario, shipped
from bench.fleet.scenario.values import Scenario
from carousel.console.command import EXIT_INTERRUPTED
from carousel.console.quantities import parse_count
from carousel.errors import UsageError

__all__ = ["fleet", "progress_bar", "write_report"]

MOST_SEEDS = 100
FAILED_EXIT = 3
LOG_EVERY_S = 10.0


def fleet(
    scenario: Annotated[str | None, typer.Argument(help="A TOML file, or the name of one that ships.")] = None,
    boxes: Annotated[str | None, typer.Option(help="How many, instead of the scenario's number: 220M.")] = None,
    fidelity: Annotated[str | None, typer.Option(help="packet (box by box) or sampled.")] = None,
    real_receivers: Annotated[
        bool, typer.Option("--real-receivers", help="In packet fidelity, run the receiver's own code for each box.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 7,
    seeds: Annotated[int, typer.Option(min=1, max=MOST_SEEDS, help="How many runs, for bands.")] = 1,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Local processes; 0: one for each core.")] = 0,
    dask: Annotated[str | None, typer.Option(help="A Dask scheduler instead: tcp://host:8786.")] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="Only this strategy; may be repeated.")] = None,
    profiles: Annotated[Path | None, typer.Option(help="More link profiles, as for `bootbench link`.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the report.")] = Path("bench-out/fleet"),
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION", help="Exit 3 if it is so: 'p99.99 > 60s', 'unicast: never > 1%'; repeatable."
        ),
    ] = None,
    list_scenarios: Annotated[bool, typer.Option("--list", help="List the scenarios that ship.")] = False,
) -> None:
    """Simulate a fleet that boots, and write a report: who boots when, and what it costs the network."""
    if list_scenarios:
        for name in shipped():
            print(f"{name:20} {find_scenario(name).title}")
        return
    if scenario is None:
        raise UsageError("which scenario? A file, or one of: " + ", ".join(shipped()))
    chosen = _adapted(find_scenario(scenario, profiles), boxes, strategy)
    thresholds = thresholds_of(fail_if or [], chosen)
    fidelity = fidelity or "sampled"
    _check_fidelity(fidelity, real_receivers)
    output.mkdir(parents=True, exist_ok=True)
    numbers = [seed + index for index in range(seeds)]
    print(f"{chosen.name}: seed{'s' * (seeds > 1)} {', '.join(map(str, numbers))}", file=sys.stderr)
    with _pool(workers, dask) as (run, where), progress_bar(chosen.name) as tell:
        begin_s = time.monotonic()
        result = run_fleet(chosen, fidelity, numbers, run, tell, real_receivers)
        wall_s = time.monotonic() - begin_s
    if result.stories or result.refused or not result.is_partial:
        write_report(result, wall_s, where, output)
    _end_if_partial(result)
    failed = broken(result, thresholds)
    for sentence in failed:
        print(f"failed: {sentence}")
    if failed:
        raise SystemExit(FAILED_EXIT)


def _end_if_partial(result: FleetRun) -> None:
    if not result.is_partial:
        return
    if not (result.stories or result.refused):
        print("ended before anything was done: there is no report", file=sys.stderr)
    raise SystemExit(EXIT_INTERRUPTED)


def _check_fidelity(fidelity: str, real_receivers: bool) -> None:
    if fidelity not in FIDELITIES:
        raise UsageError(f"--fidelity {fidelity!r} is neither {' nor '.join(FIDELITIES)}")
    if real_receivers and fidelity != "packet":
        raise UsageError("--real-receivers is for --fidelity packet: the sampled one follows no single boxes")


def _adapted(scenario: Scenario, boxes: str | None, strategies: list[str] | None) -> Scenario:
    if boxes is not None:
        scenario = replace(scenario, boxes=parse_count(boxes))
    if strategies:
        unknown = [name for name in strategies if name not in scenario.strategies]
        if unknown:
            raise UsageError(f"the scenario has no strategy {unknown[0]!r}; it has {', '.join(scenario.strategies)}")
        scenario = replace(scenario, strategies=tuple(strategies))
    return scenario


@contextmanager
def _pool(workers: int, dask: str | None) -> Iterator[tuple[Run, str]]:
    if dask is not None:
        with dask_client(dask) as client:
            yield run_on_dask(client), f"dask, {len(client.scheduler_info(n_workers=-1)['workers'])} workers"
        return
    count = workers or os.cpu_count() or 1
    yield run_on_processes(count), f"{count} processes"


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal; elsewhere a line every so often, so that a log shows that it runs."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn(title, markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(title, total=None)
        told_s = [time.monotonic()]

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            if not console.is_terminal and time.monotonic() - told_s[0] > LOG_EVERY_S:
                told_s[0] = time.monotonic()
                print(f"{title}: {done} of {total}", file=sys.stderr)

        yield tell


def write_report(result: FleetRun, wall_s: float, where: str, output: Path) -> None:
    """Write report.json and the page, and print the table and what it comes to."""
    write_json(report_of(result, wall_s, where), output / "report.json")
    write_page(result, output / "index.html")
    show(result)
    for sentence in result.refused:
        print(sentence)
    if result.stories:
        print(headline(result))
    print(f"{output}: report.json, index.html ({wall_s:.1f} s, {where})")
