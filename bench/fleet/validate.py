"""`bootbench validate`: the sampled fleet against an oracle that shares no code with it, over a grid of settings.

The oracle is tests/bench/fleet/montecarlo.py: single boxes, written from docs/protocol.md. So this runs in a checkout.
"""

import html
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from bench.fleet.cli import progress_bar
from bench.fleet.executor import run_on_processes
from bench.fleet.model.curves import curve_of
from bench.fleet.model.histogram import EDGES_S
from bench.fleet.report.page import STYLE, table
from bench.fleet.scenario.values import (
    BoxClass,
    Carousel,
    Region,
    ReleaseSpec,
    Scenario,
    Spread,
    SpreadKind,
    Trunk,
)
from bench.link.spec import LinkSpec, parse_link
from carousel.errors import OperatorError

__all__ = ["POINTS", "Point", "Verdict", "check", "validate"]

FloatArray = NDArray[np.float64]
SHARES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
AGREES = 0.01
SIGMAS = 3.3
MOST_BOXES = 10_000_000
PAGE_STYLE = (
    "body { max-width: 92em; } td:first-child { min-width: 15em; } "
    "@media print { @page { size: landscape; } table { font-size: 9px; } td:first-child { min-width: 24em; } }"
)


@dataclass(frozen=True)
class Point:
    """One setting. Losses as (mean, burst or None)."""

    image_bytes: int
    rate_bps: float
    repair: float
    loss: float = 0.0
    burst: float | None = None
    trunk_loss: float = 0.0
    trunk_burst: float | None = None
    spread_s: float = 30.0
    announce_s: float = 0.25

    @property
    def name(self) -> str:
        """Say it in words."""
        own = f"{self.loss:.3g} lost" + (f" in bursts of {self.burst:g}" if self.burst else "")
        trunk = f", trunk {self.trunk_loss:.3g}" if self.trunk_loss else ""
        trunk += f" in bursts of {self.trunk_burst:g}" if self.trunk_burst else ""
        starts = f", over {self.spread_s:g} s" if self.spread_s != Point.spread_s else ""
        starts += f", announced every {self.announce_s:g} s" if self.announce_s != Point.announce_s else ""
        return (
            f"{self.image_bytes / 1e6:g} MB at {self.rate_bps / 1e6:g} Mb/s, R/K {self.repair:g}, {own}{trunk}{starts}"
        )


@dataclass(frozen=True)
class Verdict:
    """What was found at one point: times in s by share of boxes, None where refused; `worst` beyond scatter."""

    point: Point
    boxes: int
    said_s: tuple[float | None, ...]
    true_s: tuple[float, ...]
    distance: float
    worst: float
    note: str

    @property
    def holds(self) -> bool:
        """Whether all that was said is within a percent, and the oracle's own scatter."""
        return self.worst <= AGREES


_GRID: tuple[tuple[float, float, float | None], ...] = (
    (1.0, 0.0, None), (1.0, 0.01, None), (1.0, 0.05, 4), (1.0, 0.1, None), (1.0, 0.2, 16), (1.0, 0.3, None),
    (1.0, 0.45, None), (1.0, 0.55, None), (1.0, 0.2, 200), (0.5, 0.05, None), (0.5, 0.3, None), (0.5, 0.3, 16),
    (0.1, 0.02, None), (0.1, 0.05, 4), (0.0, 0.001, None), (0.0, 0.01, None), (0.0, 0.1, None), (0.0, 0.1, 8),
)  # fmt: skip
POINTS = (
    *(Point(700_000, 50e6, *each) for each in _GRID),
    *(Point(4_000_000, 50e6, repair, loss, burst) for repair, loss, burst in _GRID[1:12:3]),
    Point(256_000, 50e6, 1.0, 0.1), Point(64_000, 10e6, 1.0, 0.05), Point(256_000, 5e6, 0.0, 0.1),
    Point(4_000_000, 1e9, 1.0, 0.2), Point(700_000, 50e6, 1.0, 0.2, 2000),
    Point(1_000_000, 50e6, 0.0, trunk_loss=0.01, trunk_burst=10),
    Point(1_000_000, 50e6, 0.5, trunk_loss=0.3, trunk_burst=50),
    Point(1_000_000, 50e6, 1.0, trunk_loss=0.03, trunk_burst=5),
    Point(1_000_000, 50e6, 1.0, 0.01, trunk_loss=0.01, trunk_burst=10),
    Point(700_000, 50e6, 1.0, 0.01, spread_s=12.0), Point(700_000, 50e6, 1.0, 0.05, announce_s=1.0),
    Point(7_200_000, 100e6, 1.0, 0.02, 4),
)  # fmt: skip


def _scenario(point: Point) -> Scenario:
    def link(loss: float, burst: float | None) -> LinkSpec:
        return parse_link("" if not loss else f"loss={loss}" + (f",burst={burst:g}" if burst else ""))

    trunks = (Trunk("t", 1, link(point.trunk_loss, point.trunk_burst)),) if point.trunk_loss else ()
    box_class = BoxClass("c", 1.0, "a", link(point.loss, point.burst), LinkSpec(), "t" if trunks else None)
    region = Region("here", 1.0, 0.0, Spread(SpreadKind.UNIFORM, point.spread_s))
    return Scenario(
        "validate", "validate", 1_000_000, 86400.0, 3600.0, Carousel(point.rate_bps, point.announce_s),
        (ReleaseSpec("a", point.image_bytes, point.repair),), (box_class,), (region,), trunks,
    )  # fmt: skip


def check(point: Point, boxes: int, seed: int) -> Verdict:
    """Set a class's curve beside so many single boxes of the oracle."""
    try:
        oracle: Any = import_module("tests.bench.fleet.montecarlo")
    except ImportError:
        raise OperatorError(
            "`bootbench validate` runs in a checkout of bootcast: its oracle is among the tests"
        ) from None
    scenario = _scenario(point)
    curve = curve_of(scenario, scenario.classes[0], seed)
    setting = oracle.Setting(point.image_bytes, point.rate_bps, point.repair, announce_s=point.announce_s)
    trunk = oracle.Loss(point.trunk_loss, point.trunk_burst) if point.trunk_loss else None
    found: FloatArray = np.sort(oracle.times_s(setting, oracle.Loss(point.loss, point.burst), boxes, seed, trunk))
    said: list[float | None] = []
    worst = 0.0
    for share in SHARES:
        if 1 - share < curve.shown - 1e-12:
            said.append(None)
            continue
        said_s = float(EDGES_S[int(np.argmax(curve.late <= 1 - share))])
        scatter = SIGMAS * (share * (1 - share) / boxes) ** 0.5
        low_s, high_s = np.quantile(found, [max(0.0, share - scatter), min(1.0, share + scatter)])
        worst = max(worst, float(max(0.0, low_s - said_s, said_s - high_s) / said_s))
        said.append(said_s)
    steps = np.arange(1, boxes + 1) / boxes
    distance = float(np.abs(1 - np.interp(found, EDGES_S, curve.late) - steps).max())
    true_s = tuple(float(each) for each in np.quantile(found, SHARES))
    return Verdict(point, boxes, tuple(said), true_s, distance, worst, curve.note)


@dataclass(frozen=True)
class _Job:
    point: Point
    boxes: int
    seed: int


def _run(job: _Job) -> Verdict:
    return check(job.point, job.boxes, job.seed)


def validate(
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for the page.")] = Path("bench-out/validate"),
    boxes: Annotated[int, typer.Option(min=1000, max=MOST_BOXES, help="Single boxes at each point.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="The oracle's and the walks' seed.")] = 7,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Processes.")] = 2,
    only: Annotated[list[str] | None, typer.Option(help="Only settings that are called so, in part.")] = None,
) -> None:
    """Check the sampled fleet against single boxes written from the protocol; exit 1 where it is off by over 1 %."""
    points = [each for each in POINTS if only is None or any(part in each.name for part in only)]
    if not points:
        raise OperatorError(f"no setting is called so; one is called {POINTS[0].name!r}")
    output.mkdir(parents=True, exist_ok=True)
    verdicts: list[Verdict | None] = [None] * len(points)
    begin_s = time.monotonic()
    with progress_bar("validate") as tell:
        keep = _keeper(verdicts, tell, output, seed)
        run_on_processes(workers)(_run, [_Job(point, boxes, seed) for point in points], keep)
    found = [each for each in verdicts if each is not None]
    bad = [each for each in found if not each.holds]
    for each in bad:
        print(f"off by {each.worst:.1%}: {each.point.name} ({each.note})")
    wall_s = time.monotonic() - begin_s
    print(
        f"{len(found) - len(bad)} of {len(found)} points hold, {boxes:,} boxes each ({wall_s:.0f} s)"
        f": {output}/index.html"
    )
    if bad:
        raise SystemExit(1)


def _keeper(
    verdicts: list[Verdict | None], tell: Callable[[int, int], None], output: Path, seed: int
) -> Callable[[int, Verdict], None]:
    """Return what notes a verdict; files are written each time, so that an interruption leaves what is done."""

    def keep(index: int, verdict: Verdict) -> None:
        verdicts[index] = verdict
        found = [each for each in verdicts if each is not None]
        (output / "validation.json").write_text(json.dumps([asdict(each) for each in found]) + "\n")
        _write_page(found, output / "index.html", seed)
        tell(len(found), len(verdicts))

    return keep


def _write_page(verdicts: list[Verdict], path: Path, seed: int) -> None:
    """Write what was found: the verdict first, the worst setting on top."""
    head = ["setting", "holds", "beyond scatter", *(f"p{share * 100:g}" for share in SHARES), "drawn from"]
    rows = []
    for each in sorted(verdicts, key=lambda each: -each.worst):
        cells = [
            f"{'refused' if said is None else f'{said:.3g}'} / {true:.3g}"
            for said, true in zip(each.said_s, each.true_s, strict=True)
        ]
        source = "the law" if ": law" in each.note else "boxes one by one"
        rows.append([each.point.name, "yes" if each.holds else "NO", f"{each.worst:.2%}", *cells, source])
    count = sum(each.holds for each in verdicts)
    notes = "".join(f"<li>{html.escape(each.point.name)}: {html.escape(each.note)}</li>" for each in verdicts)
    said = f"no reported time is off by more than {AGREES:.0%} and scatter" if count == len(verdicts) else "see below"
    note = (
        "Each cell: what the sampled fleet says / what single boxes took, in seconds from power-on to the verified "
        f"image. The {verdicts[0].boxes:,} single boxes of each setting are simulated by an oracle that is written "
        "from docs/protocol.md alone and shares no code with the fleet. “Beyond scatter”: by how much the worst of the "
        f"percentiles is off beyond {SIGMAS:g} standard deviations of the oracle's own scatter; up to {AGREES:.0%} "
        "holds. “Refused”: a report shows a dash there, since nobody knows. R/K is repair by source symbols; boxes "
        "power up over 30 s and hear announcements every 250 ms where nothing else is said. "
        f"Seed {seed}, bootcast {metadata.version('bootcast')}."
    )
    path.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Validation</title><style>{STYLE}{PAGE_STYLE}</style><h1>Sampled fleets against single boxes</h1>"
        f"<p class='headline'>{count} of {len(verdicts)} settings hold: {said}</p>"
        f"<p class='note'>{html.escape(note)}</p>"
        + table(head, rows)
        + f"<details><summary>What each curve is drawn from</summary><ul>{notes}</ul></details></html>"
    )
