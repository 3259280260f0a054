"""The report as pictures. Matplotlib is heavy, and an extra: it is loaded when a picture is drawn."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.fleet.model.tally import EFFICIENCY_BINS, STEPS
from bench.fleet.report.data import PERCENTILES, by_label, efficiency_of
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import Story
from carousel.console.quantities import format_count, format_duration_s

__all__ = ["draw_all"]

DPI = 110
COLUMNS = 3
PHASE_COLOURS = {
    "off": "#d9d9d9", "not up": "#d9d9d9", "receiving": "#edae49", "searching": "#edae49", "logging in": "#d1495b",
    "on EEPROM": "#8d6a9f", "starting": "#66a182", "up": "#0b6e4f", "online": "#0b6e4f",
}  # fmt: skip
LOAD_COLOURS = {
    "carousel": "#0b6e4f", "server throughput": "#30638e", "requests": "#d1495b", "connections": "#8d6a9f",
    "sent by super nodes": "#30638e", "super nodes": "#66a182", "login requests": "#d1495b",
    "logins that somebody waited for": "#0b6e4f", "looking for a super node": "#edae49",
}  # fmt: skip


def draw_all(run: FleetRun, folder: Path) -> list[Path]:
    """Draw what there is to be drawn; return the pictures' paths."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    drawn = [
        draw(run, folder / name)
        for name, draw in (
            ("cdf.png", _draw_cdf),
            ("phases.png", _draw_phases),
            ("load.png", _draw_load),
            ("efficiency.png", _draw_efficiency),
            ("regions.png", _draw_regions),
        )
    ]
    return [path for path in drawn if path is not None]


def _time_axis(panel: Any, horizon_s: float) -> float:
    """Label a panel's time axis in a fit unit; return its seconds."""
    units = ((86400.0, "days", 4), (3600.0, "h", 3), (60.0, "min", 3))
    unit_s, name = next(((unit, word) for unit, word, least in units if horizon_s >= least * unit), (1.0, "s"))
    panel.set_xlabel(f"time since the scenario began, {name}")
    return unit_s


def _draw_cdf(run: FleetRun, path: Path) -> Path:
    """Draw the share of boxes that do not run yet against the time since power-on, down to the last box."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    labels = by_label(story for story in run.stories if story.counts_from == "power-on")
    least = 1 / max(1, run.scenario.boxes)
    levels = np.geomspace(1, least, 300)
    figure, panel = plt.subplots(figsize=(9, 5.2), layout="constrained")
    styles = ["-", "--", ":", "-."]
    for index, (label, stories) in enumerate(labels.items()):
        whole = [story.tally.all_boot() for story in stories]
        times = np.array([[each.quantile(1 - level) or math.nan for level in levels] for each in whole])
        if np.isnan(times).all():
            continue
        order = np.sort(times, axis=0)
        middle = order[len(order) // 2]
        is_ours = label.startswith("carousel")
        (line,) = panel.plot(
            middle,
            levels,
            styles[index // 10 % 4],
            label=label,
            linewidth=2.5 if is_ours else 1.3,
            color=f"C{index % 10}",
        )
        panel.fill_betweenx(levels, order[0], order[-1], alpha=0.25, color=line.get_color(), linewidth=0)
    panel.axvline(run.scenario.deadline_s, color="grey", linewidth=1, linestyle="--")
    panel.text(run.scenario.deadline_s, least, " deadline", color="grey", rotation=90, ha="right", va="bottom")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    begin_s, end_s = panel.get_xlim()
    is_narrow = end_s / begin_s < 200
    panel.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if is_narrow and f"{x:.0e}"[0] in "25" else "")
    panel.set_ylim(least / 1.5, 1.3)
    panel.set_xlabel("time from power-on to the started image, s")
    panel.set_ylabel("share of boxes that do not run yet")
    bands = f"; bands: {len(run.seeds)} seeds" if len(run.seeds) > 1 else ""
    panel.set_title(f"Time to boot, {format_count(run.scenario.boxes)} boxes{bands}")
    panel.grid(alpha=0.3, which="both")
    if panel.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return _save(figure, path)


def _panels(run: FleetRun, draw: Callable[[Any, Story], None], title: str, path: Path) -> Path:
    """Draw a panel for each strategy, of the first seed, and one legend for all."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    firsts = [stories[0] for stories in by_label(run.stories).values()]
    columns = min(COLUMNS, len(firsts)) or 1
    rows = -(-len(firsts) // columns) or 1
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 3.1 * rows + 0.7), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(firsts) :]:
        panel.set_visible(False)
    found: dict[str, Any] = {}
    for panel, story in zip(panels.flat, firsts, strict=False):
        draw(panel, story)
        panel.set_title(story.label.replace("login after carousel, ", "login, "), fontsize=9)
        handles, names = panel.get_legend_handles_labels()
        found |= dict(zip(names, handles, strict=True))
    figure.suptitle(title)
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=4, frameon=False)
    return _save(figure, path)


def _draw_phases(run: FleetRun, path: Path) -> Path:
    """Draw how many boxes are in each phase over time, stacked."""
    horizon_s = run.scenario.horizon_s

    def draw(panel: Any, story: Story) -> None:
        unit_s = _time_axis(panel, horizon_s)
        times = np.arange(1, STEPS + 1) * horizon_s / STEPS / unit_s
        names = [name for name in PHASE_COLOURS if name in story.phases]
        names.sort(key=lambda name: list(PHASE_COLOURS).index(name), reverse=True)
        panel.stackplot(
            times, *(story.phases[name] for name in names), labels=names, colors=[PHASE_COLOURS[n] for n in names]
        )
        panel.set_ylabel("boxes")
        panel.yaxis.set_major_formatter(lambda value, _: format_count(value) if value else "0")
        panel.set_xlim(0, _until(story, horizon_s) / unit_s)

    return _panels(run, draw, f"Boxes by phase (seed {run.seeds[0]})", path)


def _until(story: Story, horizon_s: float) -> float:
    """Return until when there is something to see: a little after the last change of phases."""
    changes = [np.flatnonzero(np.diff(counts)) for counts in story.phases.values()]
    last = max((int(each[-1]) for each in changes if len(each)), default=STEPS - 1)
    return min(horizon_s, (last + 2) * 1.08 * horizon_s / STEPS)


def _draw_load(run: FleetRun, path: Path) -> Path:
    """Draw loads against capacity: above 1, somebody is turned away."""
    horizon_s = run.scenario.horizon_s

    def draw(panel: Any, story: Story) -> None:
        unit_s = _time_axis(panel, horizon_s)
        times = np.arange(1, STEPS + 1) * horizon_s / STEPS / unit_s
        for load in story.loads:
            share = load.values / load.capacity
            shown = np.where(share > 0, share, np.nan)
            panel.plot(times, shown, label=load.name, color=LOAD_COLOURS[load.name], linewidth=1.6)
        panel.axhline(1, color="black", linewidth=1, linestyle="--", label="capacity")
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.set_ylabel("load / capacity")
        low, high = panel.get_ylim()
        panel.set_ylim(max(1e-4, min(low, 0.05)), max(high, 2))
        panel.set_xlim(0, horizon_s / unit_s)
        panel.grid(alpha=0.3)

    return _panels(run, draw, f"Load against capacity (seed {run.seeds[0]})", path)


def _draw_efficiency(run: FleetRun, path: Path) -> Path | None:
    """Draw how much of what boxes received they needed."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    labels = {label: each for label, each in by_label(run.stories).items() if each[0].tally.efficiency.any()}
    if not labels:
        return None
    figure, panel = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for index, (label, stories) in enumerate(labels.items()):
        counts = np.sum([story.tally.efficiency for story in stories], axis=0).astype(float)
        mean, worst = efficiency_of(stories[0].tally)
        shares = np.arange(EFFICIENCY_BINS + 1) / EFFICIENCY_BINS
        name = f"{label}: mean {mean:.3f}, worst {worst:.3f}"
        panel.plot(shares, np.cumsum(counts) / counts.sum(), label=name, color=f"C{index}", linewidth=2)
    least = min(efficiency_of(stories[0].tally)[1] or 0.0 for stories in labels.values())
    panel.set_xlim(max(0.0, 1 - 1.15 * (1 - least) - 0.002), 1 + 0.03 * (1 - least) + 0.001)
    panel.set_xlabel("needed / received symbols")
    panel.set_ylabel("share of boxes at or below")
    panel.set_yscale("log")
    panel.set_title("Reception efficiency")
    panel.grid(alpha=0.3, which="both")
    panel.legend(frameon=False, loc="upper left")
    return _save(figure, path)


def _draw_regions(run: FleetRun, path: Path) -> Path | None:
    """Draw regions against percentiles, for the first strategy that boots boxes."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    story = next((each for each in run.stories if each.counts_from == "power-on"), None)
    if story is None:
        return None
    names = list(story.tally.boot)
    times = np.array(
        [[each.quantile(share) or math.nan for share in PERCENTILES.values()] for each in story.tally.boot.values()]
    )
    figure, panel = plt.subplots(figsize=(8, 1.6 + 0.5 * len(names)), layout="constrained")
    image = panel.imshow(np.ma.masked_invalid(times), aspect="auto", cmap="viridis")
    panel.set_xticks(range(len(PERCENTILES)), list(PERCENTILES))
    panel.set_yticks(range(len(names)), names)
    middle = np.nanmean([np.nanmin(times), np.nanmax(times)]) if not np.isnan(times).all() else 0
    for (row, column), value in np.ndenumerate(times):
        text = "-" if math.isnan(value) else format_duration_s(value)
        panel.text(
            column, row, text, ha="center", va="center", color="white" if not value > middle else "black", fontsize=9
        )
    figure.colorbar(image, ax=panel, label="time to boot, s")
    panel.set_title(f"Time to boot by region ({story.label}, seed {story.seed})")
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path
