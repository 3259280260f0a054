"""The report's charts: who runs when, where boxes are, what servers carry."""

import html
import math

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS
from bench.fleet.report.colours import PHASE_TINTS, colour_of, dash_of
from bench.fleet.report.data import by_label
from bench.fleet.report.svg import Frame, Scale, area, axes, line, spread_labels, text, time_ticks, time_unit
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import Story
from carousel.console.quantities import format_count, format_duration_s

__all__ = ["curves_chart", "load_panels", "phase_panels"]

FloatArray = NDArray[np.float64]
WIDTH, HEIGHT = 980, 470
LABELS_FROM = 720.0
NARROW_WIDTH, NARROW_HEIGHT = 380, 300
"""On a telephone: the same lines, named below instead of beside them."""
LEVELS = 220
LABEL_GAP = 15.0
WIDE = 40.0
"""Times that differ by less than this are shown from zero on a straight axis: a tenth of a second is a tenth."""
MOST_LABEL = 40
FEW_TICKS = 5


def curves_chart(run: FleetRun) -> str:
    """Draw the share of boxes that do not run yet against the time since power-on: for wide pages, and for narrow."""
    return _curves(run, False) + _curves(run, True)


def _curves(run: FleetRun, is_narrow: bool) -> str:
    labels = by_label(story for story in run.stories if story.counts_from == "power-on")
    least = max(1e-9, 1 / max(1, run.scenario.boxes))
    levels = np.geomspace(1, least, LEVELS)
    times = {label: _times(stories, levels) for label, stories in labels.items()}
    seen = np.concatenate([np.append(each[1], np.nan) for each in times.values()] or [np.ones(1)])
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return "" if is_narrow else "<p>No box runs: there is nothing to draw.</p>"
    longest_s = max(float(seen.max()), min(run.scenario.deadline_s, 3 * float(seen.max())))
    is_log = longest_s / max(1e-3, float(seen.min())) > WIDE
    unit_s, unit = (1.0, "seconds") if is_log else time_unit(longest_s)
    width, height = (NARROW_WIDTH, NARROW_HEIGHT) if is_narrow else (WIDTH, HEIGHT)
    frame = Frame(72, 26, width - 14 if is_narrow else LABELS_FROM, height - 48)
    low = float(seen.min()) / 1.3 if is_log else 0.0
    x = Scale(low / unit_s, longest_s * 1.05 / unit_s, frame.left, frame.right, is_log)
    y = Scale(1.0, least, frame.top, frame.bottom, True)
    parts = [axes(frame, x, y, _time_labels(x, is_log, is_narrow), _share_ticks(least))]
    parts.append(text(frame.right, height - 12, f"{unit} from power-on to the started image", "end"))
    parts.append(text(0, 13, "boxes that do not run yet", style='class="note"'))
    over: list[str] = []
    if x.low * unit_s < run.scenario.deadline_s < x.high * unit_s:
        at = x.at(run.scenario.deadline_s / unit_s)
        parts.append(f'<path d="M{at:.1f} {frame.top}V{frame.bottom}" class="deadline"/>')
        words = f"the image is due: {format_duration_s(run.scenario.deadline_s)}"
        over.append(text(at + 4, frame.bottom - 46, words, "start", 'class="note over"'))
    below = height if is_narrow else None
    parts += _labelled_lines(times, levels, x, y, frame, unit_s, below) + over
    height += int(LABEL_GAP * len(times)) if is_narrow else 0
    data = f"data-low='{x.low * unit_s}' data-high='{x.high * unit_s}' data-log='{int(is_log)}'"
    data += f" data-boxes='{run.scenario.boxes}' data-left='{frame.left}' data-right='{frame.right}'"
    kind = f"class='curves {'narrow' if is_narrow else 'broad'}' {data}"
    return _svg(width, height, "".join(parts), kind, "Share of boxes that do not run yet, over time")


def _time_labels(x: Scale, is_log: bool, is_narrow: bool) -> list[tuple[float, str]]:
    """Return ticks with their labels; where there is little room, only every other one, or the decades, has one."""
    ticks = time_ticks(x.low, x.high, is_log)
    if is_narrow and is_log and len(ticks) > FEW_TICKS:
        return [(each, f"{each:g}" if f"{each:e}".startswith("1.0") else "") for each in ticks]
    return [(each, "" if is_narrow and number % 2 else f"{each:g}") for number, each in enumerate(ticks)]


def _times(stories: list[Story], levels: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (earliest, median, latest) times over seeds by which all but each level run."""
    whole = [story.tally.all_boot() for story in stories]
    found = np.array([[each.quantile(1 - level) or math.nan for level in levels] for each in whole])
    ordered = np.sort(found, axis=0)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]


def _share_ticks(least: float) -> list[tuple[float, str]]:
    words = {
        0: "all",
        -1: "1 in 10",
        -2: "1 in 100",
        -3: "1 in 1000",
        -4: "1 in 10 k",
        -5: "1 in 100 k",
        -6: "1 in 1 M",
    }
    powers = range(0, math.floor(math.log10(least)) - 1, -1)
    return [(10.0**power, words.get(power, f"1 in {format_count(10**-power)}")) for power in powers if power >= -9]


def _labelled_lines(
    times: dict[str, tuple[FloatArray, FloatArray, FloatArray]], levels: FloatArray, x: Scale, y: Scale, frame: Frame,
    unit_s: float, below: int | None,
) -> list[str]:  # fmt: skip
    """Draw a line for each strategy, its name at its end; or under each other from `below` on."""
    ends, parts, shown = [], [], []
    for label, (_, middle, _) in times.items():
        seen = np.flatnonzero(np.isfinite(middle))
        if not len(seen):
            continue
        shown.append(label)
        ends.append(y.at(float(levels[seen[-1]])))
    for label, at, end in zip(shown, spread_labels(ends, LABEL_GAP, frame.top + 10, frame.bottom), ends, strict=True):
        early, middle, late = times[label]
        seen = np.flatnonzero(np.isfinite(middle))
        colour, heights = colour_of(label), y(levels)
        band = ""
        if np.isfinite(early[seen]).all() and (late[seen] > early[seen]).any() and np.isfinite(late[seen]).all():
            sides = (x(early[seen] / unit_s), x(late[seen] / unit_s))
            points = [
                *zip(sides[0], heights[seen], strict=True),
                *zip(sides[1][::-1], heights[seen][::-1], strict=True),
            ]
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            band = f'<polygon points="{path}" fill="{colour}" opacity=".18"/>'
        width = 3.2 if label == "carousel" else 1.8
        drawn = line(x(middle / unit_s), heights, colour, dash_of(label), width)
        last = x.at(float(middle[seen[-1]]) / unit_s)
        if below is None:
            lead = f'<path d="M{last:.1f} {end:.1f}L{frame.right + 8:.1f} {at - 4:.1f}" class="lead"/>'
            words = text(frame.right + 12, at, _short(label), style=f'fill="{colour}" class="label"')
        else:
            line_y = below + LABEL_GAP * shown.index(label)
            lead = line(np.array([4.0, 34.0]), np.full(2, line_y - 4.0), colour, dash_of(label), width)
            words = text(42, line_y, _short(label), style=f'fill="{colour}" class="label"')
        values = ",".join(f"{each:.4g}" if math.isfinite(each) else "" for each in middle.tolist())
        parts.append(
            f"<g class='series' data-label='{html.escape(label, quote=True)}' data-times='{values}'>{band}{drawn}{lead}"
            f"{words}<title>{html.escape(label)}</title></g>"
        )
    return parts


def _short(label: str) -> str:
    words = label.replace(" retry", "").replace("healing", "heal").replace("login after carousel, ", "")
    return words if len(words) <= MOST_LABEL else words[: MOST_LABEL - 1] + "…"


def _svg(width: int, height: int, inside: str, more: str = "", title: str = "") -> str:
    return (
        f"<div class='chart'><svg viewBox='0 0 {width} {height}' role='img' aria-label='{html.escape(title)}' {more}>"
        f"{inside}</svg></div>"
    )


def _until_s(run: FleetRun, stories: list[Story]) -> float:
    """Return until when there is something to see in any of some stories: they share one time axis."""
    last = 0
    for story in stories:
        for counts in story.phases.values():
            changes = np.flatnonzero(np.diff(counts))
            last = max(last, int(changes[-1]) if len(changes) else 0)
    return min(run.scenario.horizon_s, (last + 2) * 1.05 * run.scenario.horizon_s / STEPS)


PANEL = (320, 190)


def phase_panels(run: FleetRun) -> str:
    """Draw where boxes are over time, a panel for each strategy, all on one time axis."""
    stories = [stories[0] for stories in by_label(run.stories).values()]
    if not stories:
        return ""
    until_s = _until_s(run, stories)
    unit_s, unit = time_unit(until_s)
    panels = [_phase_panel(run, story, until_s, unit_s, unit) for story in stories]
    names = [name for name in PHASE_TINTS if any(name in story.phases for story in stories)]
    keys = "".join(f"<span><i style='background:{PHASE_TINTS[name]}'></i>{name}</span>" for name in names)
    return f"<p class='keys'>{keys}</p><div class='panels'>{''.join(panels)}</div>"


def _phase_panel(run: FleetRun, story: Story, until_s: float, unit_s: float, unit: str) -> str:
    width, height = PANEL
    frame = Frame(48, 24, width - 18, height - 34)
    boxes = max(1, run.scenario.boxes)
    count = max(2, int(until_s / run.scenario.horizon_s * STEPS))
    picked = np.unique(np.linspace(0, count - 1, min(count, 300)).astype(np.int64))
    times = (picked + 1.0) * run.scenario.horizon_s / STEPS / unit_s
    x, y = Scale(0, until_s / unit_s, frame.left, frame.right), Scale(0, boxes, frame.bottom, frame.top)
    parts, below = [], np.zeros(len(picked))
    for name in [name for name in reversed(PHASE_TINTS) if name in story.phases]:
        above = below + story.phases[name][picked]
        parts.append(area(x(times), y(below), y(above), PHASE_TINTS[name]))
        below = above
    x_ticks = [(t, f"{t:g}") for t in time_ticks(0, x.high, False)]
    parts.append(axes(frame, x, y, x_ticks, [(0.0, "0"), (boxes / 2, "50 %"), (float(boxes), "100 %")]))
    parts.append(text(frame.left, 15, _short(story.label), style=f'fill="{colour_of(story.label)}" class="label"'))
    parts.append(text(frame.right, height - 4, unit, "end", 'class="note"'))
    return _svg(width, height, "".join(parts), title=f"Phases: {story.label}")


LOAD_DASHES = ("", "7 4", "2 3", "10 3 2 3")


def load_panels(run: FleetRun) -> str:
    """Draw load against capacity where something loads; the broadcast, which is the same for one box, is left out."""
    stories = [each[0] for each in by_label(run.stories).values() if each[0].loads]
    stories = [each for each in stories if each.loads[0].name != "carousel"]
    if not stories:
        return ""
    until_s = _until_s(run, stories)
    unit_s, unit = time_unit(until_s)
    return f"<div class='panels'>{''.join(_load_panel(run, story, until_s, unit_s, unit) for story in stories)}</div>"


def _load_panel(run: FleetRun, story: Story, until_s: float, unit_s: float, unit: str) -> str:
    width, height = PANEL[0], PANEL[1] + 14 * len(story.loads)
    frame = Frame(48, 24, width - 18, PANEL[1] - 34)
    count = max(2, int(until_s / run.scenario.horizon_s * STEPS))
    picked = np.unique(np.linspace(0, count - 1, min(count, 300)).astype(np.int64))
    times = (picked + 1.0) * run.scenario.horizon_s / STEPS / unit_s
    shares = [np.asarray(load.values / load.capacity)[picked] for load in story.loads]
    high = max(2.0, *(float(np.nanmax(each)) * 1.3 for each in shares))
    x = Scale(0, until_s / unit_s, frame.left, frame.right)
    y = Scale(0.01, high, frame.bottom, frame.top, True)
    ticks = [(value, f"{value:g} x") for value in (0.01, 0.1, 1, 10, 100, 1000, 10000) if value <= high]
    parts = [axes(frame, x, y, [(t, f"{t:g}") for t in time_ticks(0, x.high, False)], ticks)]
    parts.append(f'<path d="M{frame.left} {y.at(1):.1f}H{frame.right}" class="capacity"/>')
    for index, (load, share) in enumerate(zip(story.loads, shares, strict=True)):
        dash, colour = LOAD_DASHES[index % 4], colour_of(story.label)
        shown = np.where(share > 0.01, share, np.nan)
        parts.append(line(x(times), y(shown), colour, dash, 1.6))
        at = PANEL[1] + 6 + 14 * index
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path d="M4 {at - 4}h26" stroke="{colour}" stroke-width="1.6"{dashes}/>')
        parts.append(text(36, at, f"{load.name}: up to {float(np.nanmax(share)):.2g} x", style='class="note"'))
    parts.append(text(frame.left, 15, _short(story.label), style=f'fill="{colour_of(story.label)}" class="label"'))
    parts.append(text(frame.right, PANEL[1] - 6, unit, "end", 'class="note"'))
    return _svg(width, height, "".join(parts), title=f"Load: {story.label}")
