"""The report as data (its schema is in docs/fleet.md) and as tables on a terminal."""

import json
import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import EDGES_S, Histogram
from bench.fleet.model.tally import EFFICIENCY_BINS, STEPS, Tally
from bench.fleet.report.rollouts import rollout_rows
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import ROLLOUT_START, Story
from carousel.console.quantities import format_count, format_duration_s, format_size_bytes

__all__ = [
    "PERCENTILES",
    "by_label",
    "efficiency_of",
    "in_time_of",
    "percent",
    "plain",
    "report_of",
    "show",
    "summary_rows",
    "write_json",
]

SCHEMA = 2
LEAST_SHARE = 1e-4
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999, "p99.9999": 0.999999}


def by_label(stories: Iterable[Story]) -> dict[str, list[Story]]:
    """Return the stories of each strategy, one for each seed."""
    found: dict[str, list[Story]] = {}
    for story in stories:
        found.setdefault(story.label, []).append(story)
    return found


def plain(value: Any) -> Any:
    """Return dataclasses, enums and tuples as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")


def times_of(histogram: Histogram) -> dict[str, Any]:
    """Return a histogram's percentiles; null where fewer boxes got there."""
    return {
        "boxes": histogram.total,
        "never": histogram.unfinished,
        "mean_s": _rounded(histogram.mean_s),
        **{f"{name}_s": _rounded(histogram.quantile(share)) for name, share in PERCENTILES.items()},
        "last_s": _rounded(histogram.quantile(1.0)),
    }


def efficiency_of(tally: Tally) -> tuple[float | None, float | None]:
    """Return mean and worst of needed over received symbols; None where nothing was received."""
    bins = np.flatnonzero(tally.efficiency)
    if not len(bins):
        return None, None
    shares = np.minimum(1.0, (bins + 0.5) / EFFICIENCY_BINS)
    return float(tally.efficiency[bins] @ shares / tally.efficiency.sum()), float(shares[0])


def _story(story: Story) -> dict[str, Any]:
    mean, worst = efficiency_of(story.tally)
    return {
        "label": story.label,
        "seed": story.seed,
        "counts_from": story.counts_from,
        "in_time": _rounded(in_time_of(story)),
        "time": times_of(story.tally.all_boot()),
        "regions": {name: times_of(each) for name, each in story.tally.boot.items()},
        "efficiency": {"mean": _rounded(mean), "worst": _rounded(worst)},
        "step_s": _rounded(story.step_s),
        "step_error": _rounded(story.step_error),
        "notes": list(story.notes),
        "price": _rounded(story.price),
        "wire_bytes_per_box": _rounded(story.wire_bytes_per_box),
        "receiver_packets": story.tally.packets,
        "phases": {name: counts.tolist() for name, counts in story.phases.items()},
        "loads": [
            {
                "name": each.name,
                "unit": each.unit,
                "capacity": _plain_capacity(each.capacity),
                "values": [float(f"{value:.6g}") for value in each.values.tolist()],
            }
            for each in story.loads
        ],
    }


def _plain_capacity(capacity: float | NDArray[np.float64]) -> float | list[float | None] | None:
    return _rounded(capacity) if isinstance(capacity, float) else [_rounded(each) for each in capacity.tolist()]


def report_of(run: FleetRun, wall_s: float, workers: str) -> dict[str, Any]:
    """Return the whole report; all but `simulator` is the same for the same scenario and seeds."""
    packets = sum(story.tally.packets for story in run.stories)
    boxes = sum(story.tally.boxes for story in run.stories)
    return {
        "schema": SCHEMA,
        "bootcast": metadata.version("bootcast"),
        "scenario": plain(run.scenario),
        "fidelity": run.fidelity,
        "seeds": run.seeds,
        "is_partial": run.is_partial,
        "refused": run.refused,
        "step_s": run.scenario.horizon_s / STEPS,
        "stories": [_story(story) for story in run.stories],
        "simulator": {
            "wall_s": round(wall_s, 3),
            "workers": workers,
            "boxes_per_s": _rounded(boxes / wall_s),
            "receiver_packets_per_s": _rounded(packets / wall_s),
            "real_receivers": sum(story.tally.real_boxes for story in run.stories),
            "counted_receivers": sum(story.tally.counted_boxes for story in run.stories),
        },
    }


def write_json(report: dict[str, Any], path: Path) -> None:
    """Write the report."""
    path.write_text(json.dumps(report, allow_nan=False) + "\n")


def in_time_of(story: Story) -> float | None:
    """Return the share of boxes that had their image by the deadline; None where there is none (logins)."""
    if story.counts_from != "power-on":
        return None
    boxes = max(1, story.tally.boxes)
    return 1 - int(story.tally.events["fallback"][:-1].sum()) / boxes


def percent(share: float) -> str:
    """Write a share, such as `75 %` or `0.25 %`; near the whole not even one box in a million is rounded away."""
    if 0 < share < LEAST_SHARE:
        return f"under {LEAST_SHARE * 100:g} %"
    return f"{share * 100:.6g} %" if share > 0.99 else f"{share * 100:.4g} %"


def _share_words(share: float) -> str:
    return "all" if share == 1 else percent(share)


def _never_words(never: int, boxes: int) -> str:
    return f"{format_count(never)} ({percent(never / max(1, boxes))})" if never else "0"


def _median(values: list[float | None]) -> float | None:
    found = sorted(math.inf if value is None else value for value in values)
    middle = found[len(found) // 2]
    return None if math.isinf(middle) else middle


def _told(value: float | None) -> str:
    if value is None:
        return "-"
    return "at once" if value <= EDGES_S[1] else format_duration_s(value)


def summary_rows(run: FleetRun) -> tuple[list[str], list[list[str]]]:
    """Return a table's head and cells, a row for each strategy but roll-outs (rollouts.py): medians over seeds."""
    head = ["strategy", "in time", "never", "p50", "p99", "p99.99", "last box", "sent per box"]
    rows = []
    for label, stories in by_label(run.stories).items():
        if stories[0].counts_from == ROLLOUT_START:
            continue
        whole = [story.tally.all_boot() for story in stories]
        times = [_median([each.quantile(share) for each in whole]) for share in (0.5, 0.99, 0.9999, 1.0)]
        never = max(each.unfinished for each in whole)
        in_time = [each for each in map(in_time_of, stories) if each is not None]
        sent = stories[0].wire_bytes_per_box
        rows.append(
            [
                label,
                _share_words(min(in_time)) if in_time else "-",
                _never_words(never, whole[0].total),
                *(_told(value) for value in times),
                format_size_bytes(sent) if sent is not None else "",
            ]
        )
    return head, rows


def show(run: FleetRun) -> None:
    """Print the summary on the terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    seeds = f", seeds {', '.join(map(str, run.seeds))}: medians" if len(run.seeds) > 1 else f", seed {run.seeds[0]}"
    title = f"{run.scenario.title}: {format_count(run.scenario.boxes)} boxes, {run.fidelity}{seeds}"
    console = Console(width=150, markup=False)
    if run.is_partial:
        console.print("PARTIAL: ended early; strategies that were not done are missing")
    for head, rows in (summary_rows(run), rollout_rows(run)):
        if rows:
            table = Table(*head, title=title, title_justify="left")
            for row in rows:
                table.add_row(*row)
            console.print(table)
