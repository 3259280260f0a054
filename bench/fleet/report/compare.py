"""`bootbench compare A B`: two runs side by side, from their reports."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from carousel.console.quantities import format_duration_s
from carousel.errors import OperatorError

__all__ = ["compare", "comparison"]

TIMES = ("p50_s", "p99_s", "p99.99_s", "last_s")


def compare(
    first: Annotated[Path, typer.Argument(help="A report's folder, or its report.json.")],
    second: Annotated[Path, typer.Argument(help="The one to set beside it.")],
) -> None:
    """Set two runs of fleets side by side: what changed, by strategy."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    reports = [_read(path) for path in (first, second)]
    head, rows = comparison(*reports)
    table = Table(*head, title=_title(*reports), title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=150, markup=False).print(table)


def _read(path: Path) -> dict[str, Any]:
    where = path / "report.json" if path.is_dir() else path
    try:
        found: dict[str, Any] = json.loads(where.read_text())
        assert found["schema"] >= 2
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        raise OperatorError(f"{where} is no report of `bootbench fleet` of this version; run it with -o") from None
    return found


def _title(one: dict[str, Any], other: dict[str, Any]) -> str:
    names, boxes = ([each["scenario"][key] for each in (one, other)] for key in ("title", "boxes"))
    partial = [" (PARTIAL: ended early)" if each.get("is_partial") else "" for each in (one, other)]
    sizes = [f"{count:,} boxes{words}" for count, words in zip(boxes, partial, strict=True)]
    if names[0] != names[1]:
        return " against ".join(f"{name}, {size}" for name, size in zip(names, sizes, strict=True))
    counts = sizes if any(partial) else dict.fromkeys(sizes)
    return f"{names[0]}, {' against '.join(counts)}"


def comparison(one: dict[str, Any], other: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return a table's head and rows: medians over seeds, the change in percent."""
    labels = list(dict.fromkeys(story["label"] for report in (one, other) for story in report["stories"]))
    rows = []
    for label in labels:
        stories = [[each for each in report["stories"] if each["label"] == label] for report in (one, other)]
        never = [_median([each["time"]["never"] / max(1, each["time"]["boxes"]) for each in some]) for some in stories]
        in_time = [_median([each["in_time"] for each in some]) for some in stories]
        cells = [label, _both([_share(each, "all", 1.0) for each in in_time])]
        cells.append(_both([_share(each, "0", 0.0) for each in never]))
        for name in TIMES:
            cells.append(_change(*(_median([each["time"][name] for each in some]) for some in stories)))
        rows.append(cells)
    return ["strategy", "in time", "never", *(name.removesuffix("_s") for name in TIMES)], rows


def _share(share: float | None, word: str, worth: float) -> str:
    return "-" if share is None else word if share == worth else f"{share:.2%}"


def _median(values: list[float | None]) -> float | None:
    seen = sorted(each for each in values if each is not None)
    return seen[len(seen) // 2] if seen and len(seen) * 2 > len(values) else None


def _change(one: float | None, other: float | None) -> str:
    words = _both(["-" if each is None else format_duration_s(each) for each in (one, other)])
    change = f"{other / one - 1:+.1%}" if one and other else ""
    return f"{words} ({change})" if change.strip("+-0.%") else words


def _both(words: list[str]) -> str:
    return words[0] if words[0] == words[1] else " → ".join(words)
