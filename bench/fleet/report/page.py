"""The report as one self-contained page: the table, the pictures, the scenario, and what each picture shows."""

import base64
import html
import json
from pathlib import Path

from bench.fleet.report.data import plain, summary_rows
from bench.fleet.run import FleetRun
from carousel.console.quantities import format_count, format_duration_s

__all__ = ["write_page"]

CAPTIONS = {
    "cdf.png": "How many boxes do not run yet, so long after their power came on. Read from the top: half of them, "
    "one in a hundred, ..., the last one. What never boots before the horizon ends in the air.",
    "phases.png": "Where the boxes are over time.",
    "load.png": "What servers, peers and the broadcast carry, as a share of what they can. The carousel's load is "
    "the same for one box and for all of them.",
    "efficiency.png": "How much of what a box received it needed: 1 is ideal, less is duplicates and the code's cost.",
    "regions.png": "Percentiles of the time to boot by region.",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-size: 14px; } td, th { padding: .3em .8em; border-bottom: 1px solid #ddd; }
th { text-align: left; } td { font-variant-numeric: tabular-nums; }
td:not(:first-child) { text-align: right; white-space: nowrap; }
img { max-width: 100%; } figure { margin: 2em 0; } figcaption { color: #555; max-width: 60em; }
.partial { background: #fde2e2; padding: .6em 1em; } details { margin: 2em 0; } pre { font-size: 12px; overflow: auto; }
"""


def write_page(run: FleetRun, pictures: list[Path], path: Path) -> None:
    """Write the page; pictures are inside it."""
    scenario = run.scenario
    head, rows = summary_rows(run)
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(scenario.title)}</title>",
        f"<style>{STYLE}</style><h1>{html.escape(scenario.title)}</h1>",
    ]
    if run.is_partial:
        parts.append("<p class='partial'>Partial: the run was ended early, and what was not done is missing.</p>")
    parts.append(
        f"<p>{format_count(scenario.boxes)} boxes, {run.fidelity} fidelity, seeds {', '.join(map(str, run.seeds))}; "
        f"deadline {format_duration_s(scenario.deadline_s)}, looked at for {format_duration_s(scenario.horizon_s)}. "
        "Times are medians over seeds, from power-on to the started image; for logins from there to being online.</p>"
    )
    parts.append("<table><tr>" + "".join(f"<th>{html.escape(each)}</th>" for each in head) + "</tr>")
    parts += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    parts.append("</table>")
    for picture in pictures:
        data = base64.b64encode(picture.read_bytes()).decode()
        caption = html.escape(CAPTIONS[picture.name])
        parts.append(f"<figure><img alt='{picture.stem}' src='data:image/png;base64,{data}'>")
        parts.append(f"<figcaption>{caption}</figcaption></figure>")
    described = html.escape(json.dumps(plain(scenario), indent=1))
    parts.append(f"<details><summary>The scenario, as it was run</summary><pre>{described}</pre></details></html>")
    path.write_text("\n".join(parts))
