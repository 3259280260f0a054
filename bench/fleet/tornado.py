"""`bootbench tornado`: is it tuned, or does it work by design? Every parameter a share up and down, one at a time."""

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.fleet.cli import progress_bar
from bench.fleet.executor import run_on_processes
from bench.fleet.report.colours import colour_of
from bench.fleet.report.page import STYLE
from bench.fleet.run import run_fleet
from bench.fleet.scenario.reading import find_scenario
from bench.fleet.scenario.values import Scenario
from carousel.console.quantities import format_duration_s, parse_count, parse_probability
from carousel.errors import UsageError

__all__ = ["Turn", "tornado", "turns_of"]

MOST_SHARE = 0.9
Change = Callable[[Scenario, float], Scenario]


def _field(table: str, name: str) -> Change:
    def change(scenario: Scenario, factor: float) -> Scenario:
        part: Any = getattr(scenario, table)
        return replace(
            scenario, **{table: replace(part, **{name: type(getattr(part, name))(getattr(part, name) * factor)})}
        )

    return change


def _image(scenario: Scenario, factor: float) -> Scenario:
    releases = tuple(replace(each, image_bytes=int(each.image_bytes * factor)) for each in scenario.releases)
    return replace(scenario, releases=releases)


def _repair(scenario: Scenario, factor: float) -> Scenario:
    return replace(
        scenario, releases=tuple(replace(each, repair_ratio=each.repair_ratio * factor) for each in scenario.releases)
    )


def _loss(scenario: Scenario, factor: float) -> Scenario:
    classes = tuple(
        replace(each, down=replace(each.down, loss=each.down.loss * factor)) if 0 < each.down.loss < 1 else each
        for each in scenario.classes
    )
    return replace(scenario, classes=classes)


def _spread(scenario: Scenario, factor: float) -> Scenario:
    regions = tuple(
        replace(each, spread=replace(each.spread, over_s=each.spread.over_s * factor)) for each in scenario.regions
    )
    return replace(scenario, regions=regions)


COMMON: dict[str, Change] = {"image size": _image, "loss": _loss, "spread of power-on": _spread}
CAROUSEL: dict[str, Change] = {
    "carousel rate": _field("carousel", "rate_bps"),
    "announcement interval": _field("carousel", "announce_interval_s"),
    "repair": _repair,
}
SERVER_FIELDS = {
    "server rate": "rate_bps_per_million", "connections": "connections_per_million",
    "requests it answers": "requests_per_s_per_million", "clients' time-out": "request_timeout_s",
}  # fmt: skip
PEER_FIELDS = {
    "super nodes": "supernode_share", "rate of a super node": "rate_bps", "share that restarts": "restart_share",
    "clients' time-out": "request_timeout_s", "answers of a super node": "probes_per_s",
}  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """One run: a strategy, what is turned (None: nothing), and by what factor."""

    scenario: Scenario
    strategy: str
    what: str | None
    factor: float


def turns_of(scenario: Scenario, share: float) -> list[Turn]:
    """Return all runs: each strategy as it is, and with each of its parameters a share up and down."""
    tables = {"unicast": "server", "datacentres": "datacentres", "elastic": "elastic"}
    turns = []
    for strategy in scenario.strategies:
        if strategy.startswith("carousel"):
            changes = COMMON | CAROUSEL
        elif strategy in tables:
            changes = COMMON | {what: _field(tables[strategy], name) for what, name in SERVER_FIELDS.items()}
        elif strategy == "p2p":
            changes = COMMON | {what: _field("peers", name) for what, name in PEER_FIELDS.items()}
        else:
            continue
        one = replace(scenario, strategies=(strategy,), retries=scenario.retries[:1], healing=(True,), login=None)
        turns.append(Turn(one, strategy, None, 1.0))
        for what, change in changes.items():
            turns += [Turn(change(one, factor), strategy, what, factor) for factor in (1 - share, 1 + share)]
    return turns


def _run(turn: Turn) -> tuple[float | None, float]:
    """Return (p99 of the time to boot in s, share that never boots)."""
    story = run_fleet(turn.scenario, "sampled", [7], run_on_processes(1), lambda done, total: None).stories[0]
    times = story.tally.all_boot()
    return times.quantile(0.99), times.unfinished / max(1, times.total)


def tornado(
    scenario: Annotated[str, typer.Argument(help="A TOML file, or the name of one that ships.")],
    boxes: Annotated[str | None, typer.Option(help="How many, instead of the scenario's number.")] = None,
    share: Annotated[str, typer.Option(help="By how much each parameter is turned.")] = "20%",
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Processes.")] = 2,
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the page.")] = Path("bench-out/tornado"),
) -> None:
    """Turn every parameter of a scenario up and down, and see what that does to each strategy."""
    turned = parse_probability(share)
    if not 0 < turned <= MOST_SHARE:
        raise UsageError(f"--share {share} is not above 0 and up to {MOST_SHARE}")
    chosen = find_scenario(scenario)
    chosen = replace(chosen, boxes=parse_count(boxes)) if boxes else chosen
    turns = turns_of(chosen, turned)
    found: list[tuple[float | None, float]] = [(None, 1.0)] * len(turns)
    with progress_bar("tornado") as tell:
        done = [0]

        def keep(index: int, result: tuple[float | None, float]) -> None:
            found[index] = result
            done[0] += 1
            tell(done[0], len(turns))

        run_on_processes(workers)(_run, turns, keep)
    output.mkdir(parents=True, exist_ok=True)
    (output / "index.html").write_text(_page(chosen, turns, found, turned))
    for turn, (p99_s, never) in zip(turns, found, strict=True):
        what = "as it is" if turn.what is None else f"{turn.what} {turn.factor - 1:+.0%}"
        time = "never" if p99_s is None else format_duration_s(p99_s)
        print(f"{turn.strategy:15} {what:32} p99 {time:>10}  never {never:.2%}")
    print(f"{output}/index.html")


def _page(scenario: Scenario, turns: list[Turn], found: list[tuple[float | None, float]], share: float) -> str:
    """Draw a bar for each run: its p99 against the strategy's own, and what never boots."""
    bases = {turn.strategy: result for turn, result in zip(turns, found, strict=True) if turn.what is None}
    widest = max(
        [1.5, *(_ratio(result[0], bases[turn.strategy][0]) for turn, result in zip(turns, found, strict=True))]
    )
    rows = []
    for turn, (p99_s, never) in zip(turns, found, strict=True):
        what = "as it is" if turn.what is None else f"{turn.what} {turn.factor - 1:+.0%}"
        style = (
            f"width:{100 * _ratio(p99_s, bases[turn.strategy][0]) / widest:.1f}%;background:{colour_of(turn.strategy)}"
        )
        bar = f"<i style='display:inline-block;height:.8em;{style}'></i>"
        time = "never" if p99_s is None else format_duration_s(p99_s)
        rows.append(
            f"<tr><td>{html.escape(turn.strategy)}: {html.escape(what)}</td><td>{time}</td><td>{never:.2%}</td>"
            f"<td style='width:45%;text-align:left'>{bar}</td></tr>"
        )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Tornado</title><style>{STYLE}</style>"
        f"<h1>{html.escape(scenario.title)}</h1><p class='headline'>Every parameter turned by {share:.0%}</p>"
        "<p class='note'>Bars: the time by which 99 % of the boxes run, against the strategy as it is.</p><table>"
        f"<tr><th>what</th><th>p99</th><th>never</th><th></th></tr>{''.join(rows)}</table></html>"
    )


def _ratio(value: float | None, base: float | None) -> float:
    return value / base if value and base else 0.0
