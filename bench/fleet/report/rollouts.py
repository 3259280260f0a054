"""What roll-outs of a bad image cost: a sentence, a table, and bars on one straight scale."""

import html

from bench.fleet.report.colours import LOST_COLOUR
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import ROLLOUT_START, Story
from bench.fleet.storm.rollout import LOST, NOT_OFFERED, ON_NEW, ON_OLD

__all__ = ["rollout_rows", "rollout_sentences", "rollout_table", "rollouts_of"]

BAR = 260


def rollouts_of(run: FleetRun) -> list[Story]:
    """Return the roll-outs of the first seed, which all others are much like."""
    return [each for each in run.stories if each.counts_from == ROLLOUT_START and each.seed == run.seeds[0]]


def _at_end(story: Story, phase: str) -> int:
    return int(story.phases[phase][-1])


def rollout_sentences(run: FleetRun) -> list[str]:
    """Say how many boxes each roll-out loses, the worst first."""
    order = sorted(rollouts_of(run), key=lambda story: -_at_end(story, LOST))
    if not order:
        return []
    first, *others = order
    whole = f"a bad image loses {_at_end(first, LOST):,} of {run.scenario.boxes:,} boxes {_way(first)}"
    return [whole, *(f"{_at_end(each, LOST):,} {_way(each)}" for each in others)]


def _way(story: Story) -> str:
    name = story.label.removeprefix("roll-out ")
    return "where all have it at once" if name == "100 %" else name if name.startswith("by ") else f"by {name}"


def rollout_rows(run: FleetRun) -> tuple[list[str], list[list[str]]]:
    """Return a table's head and cells, a row for each roll-out."""
    phases = (LOST, ON_OLD, ON_NEW, NOT_OFFERED)
    rows = [
        [story.label.removeprefix("roll-out "), *(f"{_at_end(story, phase):,}" for phase in phases), story.ended]
        for story in rollouts_of(run)
    ]
    return ["roll-out", "boxes lost", *phases[1:], "it ended"], rows


def rollout_table(run: FleetRun) -> str:
    """Return the table as HTML, with a bar for the boxes lost."""
    head, rows = rollout_rows(run)
    most = max((_at_end(story, LOST) for story in rollouts_of(run)), default=0)
    cells = "".join(f"<th>{html.escape(each)}</th>" for each in [*head[:2], "", *head[2:]])
    body = ""
    for story, row in zip(rollouts_of(run), rows, strict=True):
        width = BAR * _at_end(story, LOST) / max(1, most)
        bar = f"<svg viewBox='0 0 {BAR} 16'><rect width='{width:.1f}' height='16' fill='{LOST_COLOUR}'/></svg>"
        first, second, *others = (f"<td>{html.escape(cell)}</td>" for cell in row)
        body += f"<tr>{first}{second}<td class='bar'>{bar}</td>{''.join(others)}</tr>"
    return f"<div class='wide'><table class='bars'><tr>{cells}</tr>{body}</table></div>"
