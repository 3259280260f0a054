"""The report's charts: who runs when, where boxes are, what servers carry."""

import html
import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS
from bench.fleet.report.colours import PHASE_TINTS, colour_of, dash_of
from bench.fleet.report.data import by_label
from bench.fleet.report.labels import Box, Label, place_labels, points_along
from bench.fleet.report.svg import (
    ROUND_TIMES_S,
    TENTH,
    Frame,
    Scale,
    TailScale,
    area,
    axes,
    line,
    text,
    time_ticks,
    time_unit,
)
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import ROLLOUT_START, Story
from carousel.console.quantities import format_count, format_duration_s

__all__ = ["curves_chart", "load_panels", "phase_panels"]

FloatArray = NDArray[np.float64]
WIDTH, HEIGHT = 980, 520
FRAME_LEFT = 72.0
NARROW_WIDTH, NARROW_HEIGHT = 380, 300
"""On a telephone: the same lines, named below instead of beside them."""
STRAIGHT_LEVELS, TAIL_LEVELS = 181, 120
LABEL_GAP = 15.0
WIDE = 8.0
"""Times that differ by less than this are shown from zero on a straight axis: a tenth of a second is a tenth."""
WIDEST = 5000.0
"""What is sooner than this part of the last is at once."""
MOST_LABEL = 64
ROOM, NARROW_ROOM = 58.0, 58.0
"""Pixels from one time on the axis to the next."""


def curves_chart(run: FleetRun, counts_from: str = "power-on") -> str:
    """Draw the share of boxes that are not through yet against the time since `counts_from`: for wide pages, and for
    narrow ones.
    """
    return _curves(run, counts_from, False) + _curves(run, counts_from, True)


@dataclass(frozen=True)
class _Line:
    """One line: its name, and the earliest, middle and latest times over seeds by which all but each level are
    through.
    """

    label: str
    early: FloatArray
    middle: FloatArray
    late: FloatArray

    @property
    def width(self) -> float:
        """The carousel is what it is about; without healing is thin."""
        return 3.2 if self.label == "carousel" else 1.1 if "healing off" in self.label else 2.0


def _curves(run: FleetRun, counts_from: str, is_narrow: bool) -> str:
    labels = by_label(story for story in run.stories if story.counts_from == counts_from)
    least = max(1e-9, 1 / max(1, run.scenario.boxes))
    straight = np.linspace(1.0, max(TENTH, least), STRAIGHT_LEVELS)
    levels = np.append(straight, np.geomspace(TENTH, least, TAIL_LEVELS)[1:] if least < TENTH else [])
    lines = [_Line(label, *_times(stories, levels)) for label, stories in labels.items()]
    lines = [each for each in lines if np.isfinite(each.middle).any()]
    if not lines:
        return "" if is_narrow else "<p>No box gets there: there is nothing to draw.</p>"
    seen = np.concatenate([each.late[np.isfinite(each.late)] for each in lines])
    deadline_s = run.scenario.deadline_s if counts_from == "power-on" else 0.0
    x = _time_scale(seen, deadline_s, is_narrow)
    width, height = (NARROW_WIDTH, NARROW_HEIGHT) if is_narrow else (WIDTH, HEIGHT)
    frame = Frame(FRAME_LEFT, 26, x.end, height - 48)
    y = TailScale(least, frame.top, frame.bottom)
    unit_s, unit = (1.0, "time") if x.is_log else time_unit(x.high)
    parts = [axes(frame, x, y, _time_labels(x, unit_s, is_narrow), _share_ticks(least))]
    to = "the started image" if counts_from == "power-on" else "coming through"
    since = counts_from if counts_from == "power-on" else "the start"
    parts.append(text(frame.right, height - 12, f"{unit} from {since} to {to}", "end"))
    parts.append(text(0, 13, "boxes that are not through yet", style='class="note"'))
    written = []
    if x.low < deadline_s < x.high:
        at, words = x.at(deadline_s), f"the image is due: {format_duration_s(deadline_s)}"
        parts.append(f'<path d="M{at:.1f} {frame.top}V{frame.bottom}" class="deadline"/>')
        side = (at + 4, "start") if at < (frame.left + frame.right) / 2 else (at - 4, "end")
        above = frame.top + 14 if is_narrow else frame.top - 5
        parts.append(text(side[0], above, words, side[1], 'class="note over"'))
        written = [Label(side[0], above, side[1]).box(words)]
    parts += _labelled_lines(lines, levels, (x, y), frame, written, height if is_narrow else None)
    height += int(LABEL_GAP * (len(lines) + 1)) if is_narrow else 0
    data = f"data-low='{x.low}' data-high='{x.high}' data-log='{int(x.is_log)}'"
    data += f" data-levels='{','.join(f'{each:.4g}' for each in levels)}' data-left='{frame.left}'"
    kind = f"class='curves {'narrow' if is_narrow else 'broad'}' {data} data-right='{frame.right}'"
    return _svg(width, height, "".join(parts), kind, f"Share of boxes that are not through yet, from {since} on")


def _time_scale(seen_s: FloatArray, deadline_s: float, is_narrow: bool) -> Scale:
    """Return the axis for times as these: straight from zero where they are alike."""
    last_s = max(ROUND_TIMES_S[0], float(seen_s.max()))
    first_s = max(last_s / WIDEST, float(seen_s.min()))
    longest_s = max(last_s, min(deadline_s, 3 * last_s))
    is_log = longest_s / first_s > WIDE
    low_s = first_s / 1.3 if is_log else 0.0
    return Scale(low_s, longest_s * 1.05, FRAME_LEFT, (NARROW_WIDTH if is_narrow else WIDTH) - 14, is_log)


def _time_labels(x: Scale, unit_s: float, is_narrow: bool) -> list[tuple[float, str]]:
    """Return ticks with their labels, as far as there is room for these."""
    if not x.is_log:
        ticks = [(each * unit_s, f"{each:g}") for each in time_ticks(0.0, x.high / unit_s, False)]
    else:
        ticks = [(each, _round_time(each)) for each in ROUND_TIMES_S if x.low <= each <= x.high]
    room, last, found = NARROW_ROOM if is_narrow else ROOM, -math.inf, []
    for value, words in ticks:
        is_shown = x.at(value) - last >= room
        last = x.at(value) if is_shown else last
        found.append((value, words if is_shown else ""))
    return found


def _round_time(time_s: float) -> str:
    for unit_s, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if time_s >= unit_s:
            return f"{time_s / unit_s:g} {name}"
    return f"{time_s * 1e3:g} ms"


def _times(stories: list[Story], levels: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (earliest, median, latest) times over seeds by which all but each level are through."""
    whole = [story.tally.all_boot() for story in stories]
    found = np.array([[each.quantile(1 - level) or math.nan for level in levels] for each in whole])
    ordered = np.sort(found, axis=0)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]


def _share_ticks(least: float) -> list[tuple[float, str]]:
    words = {-2: "1 in 100", -3: "1 in 1000", -4: "1 in 10 k", -5: "1 in 100 k", -6: "1 in 1 M"}
    ticks = [(1.0, "all"), (0.75, "75 %"), (0.5, "50 %"), (0.25, "25 %"), (0.1, "1 in 10")]
    powers = range(-2, math.floor(math.log10(least) + 1e-9) - 1, -1)
    ticks += [(10.0**power, words.get(power, f"1 in {format_count(10**-power)}")) for power in powers if power >= -9]
    return [each for each in ticks if each[0] >= least * 0.999]


def _labelled_lines(
    lines: list[_Line], levels: FloatArray, scales: tuple[Scale, TailScale], frame: Frame, written: list[Box],
    below: int | None,
) -> list[str]:  # fmt: skip
    """Draw the lines, each with its name beside it; or under each other from `below` on."""
    (x, y), names = scales, [_short(each.label) for each in lines]
    seen = [np.isfinite(each.middle) for each in lines]
    pixels = [
        (np.maximum(frame.left, x(each.middle[some])), y(levels[some])) for each, some in zip(lines, seen, strict=True)
    ]
    places = place_labels([points_along(*each) for each in pixels], names, frame, written)
    parts = []
    for number, (each, name, place, (xs, ys)) in enumerate(zip(lines, names, places, pixels, strict=True)):
        colour, dash = colour_of(each.label), dash_of(each.label)
        drawn = _band(each, levels, x, y, colour) + line(xs, ys, colour, dash, each.width)
        if not seen[number].all():  # the rest is not through by the horizon, or is refused
            drawn += f'<circle cx="{xs[-1]:.1f}" cy="{ys[-1]:.1f}" r="3" fill="#fff" stroke="{colour}"/>'
        if below is None:
            words = text(place.x, place.y, name, place.anchor, f'fill="{colour}" class="label over"')
        else:
            line_y = below + LABEL_GAP * (number + 0.5)
            drawn += line(np.array([4.0, 34.0]), np.full(2, line_y - 4.0), colour, dash, each.width)
            words = text(42, line_y, name, style=f'fill="{colour}" class="label"')
        values = ",".join(f"{time_s:.4g}" if math.isfinite(time_s) else "" for time_s in each.middle.tolist())
        whole = html.escape(each.label, quote=True)
        attributes = f"class='series' data-label='{whole}' data-times='{values}'"
        parts.append(f"<g {attributes}>{drawn}{words}<title>{whole}</title></g>")
    return parts


def _band(each: _Line, levels: FloatArray, x: Scale, y: TailScale, colour: str) -> str:
    """Draw from the earliest to the latest seed, where there are several."""
    some = np.isfinite(each.late) & np.isfinite(each.early)
    if not (each.late[some] > each.early[some]).any():
        return ""
    ys = y(levels[some])
    sides = [*zip(x(each.early[some]), ys, strict=True), *zip(x(each.late[some])[::-1], ys[::-1], strict=True)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in sides)
    return f'<polygon points="{path}" fill="{colour}" opacity=".18"/>'


def _short(label: str) -> str:
    words = label.replace(" retry", "").replace("healing", "heal")
    words = re.sub(r"^login after [^,]*, ", "login ", words)
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


PANEL, PANEL_LABEL = (320, 190), 36


def phase_panels(run: FleetRun) -> str:
    """Draw where boxes are over time, a panel for each strategy, all on one time axis."""
    stories = [stories[0] for stories in by_label(run.stories).values() if stories[0].counts_from != ROLLOUT_START]
    if not stories:
        return ""
    until_s = _until_s(run, stories)
    panels = [_phase_panel(run, story, until_s, time_unit(until_s), _are_short(stories)) for story in stories]
    names = [name for name in PHASE_TINTS if any(name in story.phases for story in stories)]
    keys = "".join(f"<span><i style='background:{PHASE_TINTS[name]}'></i>{name}</span>" for name in names)
    return f"<p class='keys'>{keys}</p><div class='panels'>{''.join(panels)}</div>"


def _are_short(stories: list[Story]) -> bool:
    """Whether the names of all panels go into a line."""
    return all(len(_short(story.label)) <= PANEL_LABEL for story in stories)


def _panel_title(story: Story, frame: Frame) -> str:
    """Return a panel's name, in two lines where it is long."""
    name, style = _short(story.label), f'fill="{colour_of(story.label)}" class="label"'
    if len(name) <= PANEL_LABEL:
        return text(frame.left, frame.top - 9, name, style=style)
    first, second = name.rsplit(", ", 1) if ", " in name else (name[:PANEL_LABEL], name[PANEL_LABEL:])
    return text(frame.left, frame.top - 23, first, style=style) + text(frame.left, frame.top - 9, second, style=style)


def _phase_panel(run: FleetRun, story: Story, until_s: float, unit: tuple[float, str], is_short: bool) -> str:
    width, height = PANEL
    frame = Frame(48, 24 if is_short else 38, width - 18, height - 34)
    boxes = max(1, run.scenario.boxes)
    count = max(2, int(until_s / run.scenario.horizon_s * STEPS))
    picked = np.unique(np.linspace(0, count - 1, min(count, 300)).astype(np.int64))
    times = (picked + 1.0) * run.scenario.horizon_s / STEPS / unit[0]
    x, y = Scale(0, until_s / unit[0], frame.left, frame.right), Scale(0, boxes, frame.bottom, frame.top)
    parts, below = [], np.zeros(len(picked))
    for name in [name for name in reversed(PHASE_TINTS) if name in story.phases]:
        above = below + story.phases[name][picked]
        parts.append(area(x(times), y(below), y(above), PHASE_TINTS[name]))
        below = above
    x_ticks = [(t, f"{t:g}") for t in time_ticks(0, x.high, False)]
    parts.append(axes(frame, x, y, x_ticks, [(0.0, "0"), (boxes / 2, "50 %"), (float(boxes), "100 %")]))
    parts.append(_panel_title(story, frame))
    parts.append(text(frame.right, height - 4, unit[1], "end", 'class="note"'))
    return _svg(width, height, "".join(parts), title=f"Phases: {story.label}")


LOAD_DASHES = ("", "7 4", "2 3", "10 3 2 3")


def load_panels(run: FleetRun) -> str:
    """Draw load against capacity where something loads; the broadcast, which is the same for one box, is left out."""
    stories = [each[0] for each in by_label(run.stories).values() if each[0].loads]
    stories = [each for each in stories if each.loads[0].name != "carousel"]
    if not stories:
        return ""
    until_s = _until_s(run, stories)
    panels = [_load_panel(run, story, until_s, time_unit(until_s), _are_short(stories)) for story in stories]
    return f"<div class='panels'>{''.join(panels)}</div>"


def _load_panel(run: FleetRun, story: Story, until_s: float, unit: tuple[float, str], is_short: bool) -> str:
    width, height = PANEL[0], PANEL[1] + 14 * len(story.loads)
    frame = Frame(48, 24 if is_short else 38, width - 18, PANEL[1] - 34)
    count = max(2, int(until_s / run.scenario.horizon_s * STEPS))
    picked = np.unique(np.linspace(0, count - 1, min(count, 300)).astype(np.int64))
    times = (picked + 1.0) * run.scenario.horizon_s / STEPS / unit[0]
    shares = [np.asarray(load.values / load.capacity)[picked] for load in story.loads]
    high = max(2.0, *(float(np.nanmax(each)) * 1.3 for each in shares))
    x = Scale(0, until_s / unit[0], frame.left, frame.right)
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
    parts.append(_panel_title(story, frame))
    parts.append(text(frame.right, PANEL[1] - 6, unit[1], "end", 'class="note"'))
    return _svg(width, height, "".join(parts), title=f"Load: {story.label}")
