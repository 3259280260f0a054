"""The report as one self-contained page: what the run says, who boots in time, when, and what it hangs on."""

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from bench.fleet.report.charts import curves_chart, load_panels, phase_panels
from bench.fleet.report.data import PERCENTILES, by_label, percent, plain, summary_rows
from bench.fleet.report.headline import headline
from bench.fleet.report.rollouts import rollout_table, rollouts_of
from bench.fleet.run import FleetRun
from bench.fleet.scenario.values import Scenario
from bench.fleet.storm.crowd import LOGIN_START
from carousel.console.quantities import format_count, format_duration_s, format_rate_bps, format_size_bytes

__all__ = ["table", "write_page"]

READING = "<p class='reading'>Point at the chart to read it; click on a line to hide it.</p>"
SCALE = (
    "<p class='note'>Down to one box in ten the scale is straight; below, each line is a tenth of the one above. A "
    "ring: the others are not through within the time looked at, or the figure is refused.</p>"
)
_HERE = files("bench.fleet.report")
STYLE, SCRIPT = _HERE.joinpath("page.css").read_text(), _HERE.joinpath("page.js").read_text()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    cells = "".join(f"<th>{html.escape(each)}</th>" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{cells}</tr>{body}</table></div>"


def write_page(run: FleetRun, path: Path) -> None:
    """Write the page."""
    scenario = run.scenario
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>{html.escape(scenario.title)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(scenario.title)}</h1><p class='headline'>{_kept_together(headline(run))}</p>",
    ]
    if run.is_partial:
        parts.append("<p class='partial'>Partial: the run was ended early, and what was not done is missing.</p>")
    if scenario.description:
        parts.append(f"<p class='note'>{html.escape(scenario.description)}</p>")
    parts += _tables(run)
    counted = [
        (counts_from, title)
        for counts_from, title in (("power-on", "Who does not run yet"), (LOGIN_START, "Who is not online yet"))
        if any(story.counts_from == counts_from for story in run.stories)
    ]
    if len(counted) > 1 and sum(story.counts_from == "power-on" for story in run.stories) == len(run.seeds):
        del counted[0]  # one line alone: the question is who logs in
    for counts_from, title in counted:
        parts.append(f"<h2>{title}</h2><div class='read'>{curves_chart(run, counts_from)}{READING}</div>")
    parts.append(SCALE if counted else "")
    panels = phase_panels(run)
    if panels:
        parts.append("<h2>Where the boxes are</h2>" + panels)
    loads = load_panels(run)
    if loads:
        parts.append("<h2>What servers and peers are asked, by what they can</h2>" + loads)
    parts.append(_regions(run) + _assumptions(run, scenario))
    described = html.escape(json.dumps(plain(scenario), indent=1))
    parts.append(f"<details><summary>The scenario, as it was run</summary><pre>{described}</pre></details>")
    parts.append(f"<script>{SCRIPT}</script></html>")
    path.write_text("\n".join(parts))


def _kept_together(words: str) -> str:
    """Return words of which no line ends between a number and its unit."""
    return html.escape(re.sub(r"(?<=\d) (?=%|(?:ms|s|min|h|d)\b)", "\N{NO-BREAK SPACE}", words))


def _tables(run: FleetRun) -> list[str]:
    """Return the tables of strategies and of roll-outs, with what their words mean."""
    scenario, parts = run.scenario, [f"<p class='note'>{html.escape(sentence)}</p>" for sentence in run.refused]
    head, rows = summary_rows(run)
    if rows:
        medians = f"Medians over {len(run.seeds)} seeds. " if len(run.seeds) > 1 else ""
        parts = [table(head, rows), *parts]
        parts.append(
            f"<p class='note'>{medians}“In time” has its image within {format_duration_s(scenario.deadline_s)} of "
            "power-on (the times are of the started image); “never”, not within the "
            f"{format_duration_s(scenario.horizon_s)} looked at; a dash: fewer boxes got there, or the figure is "
            "refused (see what it hangs on).</p>"
        )
    if rollouts_of(run):
        parts.append(rollout_table(run))
        parts.append(
            "<p class='note'>“Lost” boots nothing until somebody comes; “back on the old image” fell back by itself; "
            "“not offered” was spared, since the image was withdrawn first.</p>"
        )
    return parts


def _regions(run: FleetRun) -> str:
    """Return percentiles by region, of the first strategy and seed."""
    story = next((each for each in run.stories if each.counts_from == "power-on"), None)
    if story is None or len(story.tally.boot) < 2:
        return ""
    rows = []
    for name, times in story.tally.boot.items():
        found = [times.quantile(share) for share in PERCENTILES.values()]
        cells = ["-" if each is None else format_duration_s(each) for each in found]
        rows.append([name, format_count(times.total), *cells])
    return f"<h2>By region: {html.escape(story.label)}</h2>" + table(["region", "boxes", *PERCENTILES], rows)


def _repair(ratio: float) -> str:
    return "one repair symbol" if ratio == 1 else f"{ratio:g} repair symbols" if ratio else "no repair symbols"


def _assumptions(run: FleetRun, scenario: Scenario) -> str:
    """Return what the figures hang on: the carousel, the links, and each approximation with its measured error."""
    carousel = scenario.carousel
    lines = [f"The carousel sends {format_rate_bps(carousel.rate_bps)}, announced every "
             f"{format_duration_s(carousel.announce_interval_s)}."]  # fmt: skip
    for release in scenario.releases:
        size = format_size_bytes(release.image_bytes)
        lines.append(f"Release {release.name}: {size}, {_repair(release.repair_ratio)} for each source symbol.")
    for each in scenario.classes:
        down, up = each.down.mean_loss, each.up.mean_loss
        burst = f" in bursts of {each.down.burst:g}" if each.down.burst else ""
        back = "nothing comes back" if each.up.is_dead else f"{percent(up)} of what it sends"
        lines.append(f"Class {each.name}: loses {percent(down)} of what it is sent{burst}, {back}.")
    for stories in by_label(run.stories).values():
        story = stories[0]
        lines += [f"{story.label}: {note}." for note in story.notes]
        if story.step_s is not None:
            lines.append(
                f"{story.label}: steps of {story.step_s:.3g} s; halving them last changed a figure by "
                f"{percent(story.step_error or 0.0)}."
            )
    items = "".join(f"<li>{html.escape(each)}</li>" for each in lines)
    return f"<h2>What the figures hang on</h2><ul>{items}</ul>"
