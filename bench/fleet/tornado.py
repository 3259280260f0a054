"""`bootbench tornado`: is it tuned, or does it work by design? Every parameter a share up and down, one at a time."""

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.fleet.cli import progress_bar
from bench.fleet.executor import run_on_processes
from bench.fleet.report.colours import colour_of
from bench.fleet.report.page import STYLE
from bench.fleet.report.svg import Scale, text, time_ticks
from bench.fleet.run import run_fleet
from bench.fleet.scenario.reading import find_scenario
from bench.fleet.scenario.values import Scenario
from carousel.console.quantities import format_duration_s, parse_count, parse_probability
from carousel.errors import OperatorError, UsageError

__all__ = ["Turn", "tornado", "turns_of"]

MOST_SHARE = 0.9
MOST_LOSS = 0.99
LATEST = 0.01
LEAST_CHANGE = 0.005
WIDTH, ROW, PLOT = 420, 22, (30.0, 390.0)
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
PLAIN_REPAIR = ("carousel-plain", "repair")
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

    @property
    def words(self) -> str:
        """Say what is turned."""
        return "as it is" if self.what is None else f"{self.what} {_change(self.factor)}"


def turns_of(scenario: Scenario, share: float) -> list[Turn]:
    """Return all runs: each strategy as it is, and with each of its parameters a share up and down."""
    tables = {"unicast": "server", "datacentres": "datacentres", "elastic": "elastic"}
    turns = []
    for strategy in scenario.strategies:
        if strategy.startswith("carousel"):
            changes = COMMON | {what: each for what, each in CAROUSEL.items() if (strategy, what) != PLAIN_REPAIR}
        elif strategy in tables:
            changes = COMMON | {what: _field(tables[strategy], name) for what, name in SERVER_FIELDS.items()}
        elif strategy == "p2p":
            changes = COMMON | {what: _field("peers", name) for what, name in PEER_FIELDS.items()}
        else:
            continue
        one = replace(scenario, strategies=(strategy,), retries=scenario.retries[:1], healing=(True,), login=None)
        turns.append(Turn(one, strategy, None, 1.0))
        for what, change in changes.items():
            factors = (1 - share, min(1 + share, _most_factor(one, strategy, what)))
            turned = [Turn(change(one, factor), strategy, what, factor) for factor in factors]
            turns += [each for each in turned if each.scenario != one]  # no loss can't be turned
    return turns


def _most_factor(scenario: Scenario, strategy: str, what: str) -> float:
    """Return by how much something can be turned up: a share ends at all, a loss where bursts allow no more."""
    if what == "loss":
        links = [each.down for each in scenario.classes if 0 < each.down.loss < 1]
        return min([(1 / (1 + 1 / each.burst) if each.burst else MOST_LOSS) / each.loss for each in links],
                   default=math.inf)  # fmt: skip
    field = PEER_FIELDS.get(what, "") if strategy == "p2p" else ""
    return 1 / float(getattr(scenario.peers, field)) if field.endswith("_share") else math.inf


@dataclass(frozen=True)
class Outcome:
    """By when 99 % run (None: they never do), and which share never does; `is_refused`: nobody knows."""

    p99_s: float | None
    never: float
    is_refused: bool = False

    def __str__(self) -> str:
        if self.is_refused:
            return "refused"
        if self.p99_s is None:
            return f"{self.never:.2%} never run"
        return format_duration_s(self.p99_s) + (f", {self.never:.2%} never" if self.never else "")


Pairs = dict[str, list[tuple[float, Outcome]]]
"""Of each parameter by what factor it was turned, and what came of it."""


def _run(turn: Turn) -> Outcome:
    """Return what becomes of the boxes."""
    run = run_fleet(turn.scenario, "sampled", [7], run_on_processes(1), lambda done, total: None)
    if not run.stories:
        return Outcome(None, 0.0, True)
    times = run.stories[0].tally.all_boot()
    p99_s, never = times.quantile(0.99), times.unfinished / max(1, times.total)
    return Outcome(p99_s, never, p99_s is None and never < LATEST)


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
    if not turns:
        raise OperatorError(f"{scenario} has no strategy with parameters to turn: carousels, servers and peers have")
    found = [Outcome(None, 1.0)] * len(turns)
    with progress_bar("tornado") as tell:
        done = [0]

        def keep(index: int, result: Outcome) -> None:
            found[index] = result
            done[0] += 1
            tell(done[0], len(turns))

        run_on_processes(workers)(_run, turns, keep)
    output.mkdir(parents=True, exist_ok=True)
    (output / "index.html").write_text(_page(chosen, turns, found, turned))
    for turn, outcome in zip(turns, found, strict=True):
        print(f"{turn.strategy:15} {turn.words:32} p99 {outcome}")
    print(f"{output}/index.html")


def _change(factor: float) -> str:
    """Write by how much something is turned, with a sign that is as wide as the other."""
    return f"{factor - 1:+.0%}".replace("-", "\N{MINUS SIGN}")


def _page(scenario: Scenario, turns: list[Turn], found: list[Outcome], share: float) -> str:
    """Draw a tornado for each strategy, all on one scale: p99 against its own as it is, what moves it most first."""
    bases = {turn.strategy: outcome for turn, outcome in zip(turns, found, strict=True) if turn.what is None}
    pairs: dict[str, Pairs] = {strategy: {} for strategy in bases}
    for turn, outcome in zip(turns, found, strict=True):
        if turn.what is not None:
            pairs[turn.strategy].setdefault(turn.what, []).append((turn.factor, outcome))
    ratios = [_ratio(outcome, bases[turn.strategy]) for turn, outcome in zip(turns, found, strict=True)]
    seen = [each for each in ratios if math.isfinite(each)]
    x = Scale(min([1 - 1.5 * share, *seen]), max([1 + 1.5 * share, *seen]), *PLOT)
    charts = "".join(_tornado_of(strategy, bases[strategy], pairs[strategy], x) for strategy in bases)
    said = "".join(f"<li>{html.escape(each)}</li>" for each in _sentences(bases, pairs))
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Tornado</title><style>{STYLE}</style><h1>{html.escape(scenario.title)}</h1>"
        f"<p class='headline'>What a change of {share:.0%} does to the time by which 99 % of the boxes run</p>"
        f"<ul>{said}</ul><p class='note'>Each parameter {share:.0%} down (pale) and up (full), by itself; bars are of "
        "the time, as a multiple (x) of what it is with nothing turned, all on one scale. Where 99 % never run, bars "
        "are of the share that never does; a bar to the right edge: 99 % run as it is, and don't so.</p>"
        + charts
        + "</html>"
    )


def _sentences(bases: dict[str, Outcome], pairs: dict[str, Pairs]) -> list[str]:
    """Say what moves each strategy most."""
    sentences = []
    for strategy, base in bases.items():
        most = [(abs(_ratio(outcome, base) - 1), what, factor, outcome)
                for what, some in pairs[strategy].items() for factor, outcome in some]  # fmt: skip
        change, what, factor, outcome = max(most, key=lambda each: each[0])
        if change < LEAST_CHANGE:
            sentences.append(f"{strategy} ({base}): nothing moves it")
        else:
            sentences.append(f"{strategy} ({base}): {what} {_change(factor)} moves it most, to {outcome}")
    return sentences


def _tornado_of(strategy: str, base: Outcome, pairs: Pairs, x: Scale) -> str:
    """Draw one strategy, a row for each parameter; a bar to the edge is one of which 99 % never run."""
    order = sorted(pairs, key=lambda what: -max(abs(_ratio(outcome, base) - 1) for _, outcome in pairs[what]))
    ticks = [each for each in time_ticks(x.low, x.high, False) if each != 1]
    marks = "".join(text(x.at(each), 14, f"{each:g} x", "middle") for each in [*ticks, 1])
    head = f"<tr><th></th><th>{_bar_svg(marks)}</th><th>turned down</th><th>turned up</th></tr>"
    rows = []
    for what in order:
        cells = {factor < 1: f"{_change(factor)}: {outcome}" for factor, outcome in pairs[what]}
        bars = "".join(_bar(strategy, factor, _ratio(outcome, base), x) for factor, outcome in pairs[what])
        grid = "".join(f'<path d="M{x.at(each):.1f} 0V{ROW}" class="grid"/>' for each in ticks)
        drawn = _bar_svg(f'{grid}{bars}<path d="M{x.at(1):.1f} 0V{ROW}" class="axis"/>')
        words = "".join(f"<td>{html.escape(cells.get(is_down, '-'))}</td>" for is_down in (True, False))
        rows.append(f"<tr><td>{html.escape(what)}</td><td class='bar'>{drawn}</td>{words}</tr>")
    title = f"{strategy}: {base} as it is" if base.p99_s is None else f"{strategy}: 99 % run within {base} as it is"
    return f"<h2>{html.escape(title)}</h2><div class='wide'><table class='tornado'>{head}{''.join(rows)}</table></div>"


def _bar_svg(inside: str) -> str:
    return f"<svg viewBox='0 0 {WIDTH} {ROW}'>{inside}</svg>"


def _bar(strategy: str, factor: float, ratio: float, x: Scale) -> str:
    end = min(x.at(min(ratio, 2 * x.high)), float(WIDTH))
    left, right = min(end, x.at(1)), max(end, x.at(1))
    return (
        f'<rect x="{left:.1f}" y="3" width="{right - left:.1f}" height="{ROW - 6}" fill="{colour_of(strategy)}" '
        f'opacity="{0.4 if factor < 1 else 1}"/>'
    )


def _ratio(outcome: Outcome, base: Outcome) -> float:
    """Return p99 by that of the strategy as it is, infinity where 99 % never run; by the shares that never do, where
    they don't as it is; 1 where nothing is known.
    """
    if outcome.is_refused or base.is_refused:
        return 1.0
    if base.p99_s is None:
        return outcome.never / base.never
    return math.inf if outcome.p99_s is None else outcome.p99_s / base.p99_s
