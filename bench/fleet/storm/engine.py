"""Runs a storm in steps as short as its physics asks for, and halves them until no figure changes."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from bench.fleet.storm.crowd import Clock, Story
from carousel.console.quantities import format_duration_s
from carousel.errors import OperatorError

__all__ = ["Storm", "run_converged"]

CONVERGED = 0.01
UNTOLD_STEPS = 4
"""Where nothing else hangs on the step, times within so many are not told apart."""
SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999)
ENOUGH_BOXES, SIGMAS = 20_000, 3.0
"""Figures that fewer boxes hold up scatter too much to judge a step by; of others, so many deviations are forgiven."""


class NotConvergedError(OperatorError):
    """One storm's figures hang on its step, however short: it is left out, and the others are shown."""


class Storm(Protocol):
    """What a strategy on servers or peers looks like: add one by a class like this, and a line in strategies.py."""

    def step(self, index: int) -> None:
        """Go one step on."""

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen any more."""

    def story(self) -> Story:
        """Return what happened."""


def run_converged(make: Callable[[Clock], Storm], horizon_s: float, shortest_s: float) -> Story:
    """Run with steps by the shortest time that matters, and with half of them, until no figure changes by a percent.

    The story keeps the change that was seen last. `OperatorError` where that would take too many steps.
    """
    finer = 1
    before = _run(make, Clock.of(horizon_s, shortest_s))
    while True:
        finer *= 2
        clock = Clock.of(horizon_s, shortest_s, finer)
        story = _run(make, clock)
        story.step_s, story.step_error = clock.step_s, _change(before, story)
        if story.step_error <= CONVERGED:
            return story
        try:
            Clock.of(horizon_s, shortest_s, finer * 2)
        except OperatorError as error:
            if _holds_beyond_a_step(before, story):
                return story
            raise NotConvergedError(
                f"{story.label}: refused, since figures still change by {story.step_error:.1%} when steps are halved "
                f"to {clock.step_s:.3g} s; {error}"
            ) from None
        before = story


def _holds_beyond_a_step(before: Story, story: Story) -> bool:
    """Whether all figures hold where times within a step are not told apart; then the story says so."""
    least_s = UNTOLD_STEPS * (story.step_s or 0.0)
    for histogram in (*before.tally.boot.values(), *story.tally.boot.values()):
        histogram.least_s = least_s
    story.step_error = _change(before, story)
    words = f"{story.label}: times below {format_duration_s(least_s)} are not told apart, and shown as that"
    story.notes = (*story.notes, words)
    return story.step_error <= CONVERGED


def _run(make: Callable[[Clock], Storm], clock: Clock) -> Story:
    storm = make(clock)
    for index in range(clock.count):
        storm.step(index)
        if storm.is_over:
            break
    return storm.story()


def _change(one: Story, other: Story) -> float:
    """Return by what share a reported figure differs, of those that enough boxes hold up."""
    changes = [0.0]
    times = [each.tally.all_boot() for each in (one, other)]
    boxes = times[0].total

    def judge(first: float, second: float, held_by: float, is_scatter: bool = False) -> None:
        if held_by >= ENOUGH_BOXES:
            change = abs(first / second - 1)
            changes.append(min(change, CONVERGED) if is_scatter or change <= SIGMAS / held_by**0.5 else change)

    for finished in ([each.finished for each in times], [boxes - each.finished for each in times]):
        judge(finished[0], max(1, finished[1]), min(finished))
    for share in SHARES:
        first, second = (each.quantile(share) for each in times)
        if first is not None and second is not None:
            scatter = SIGMAS * (share * (1 - share) / boxes) ** 0.5  # in who is the last of the share, not in its time
            band = [times[1].quantile(min(1.0, max(0.0, share + sign * scatter))) for sign in (-1, 1)]
            is_scatter = (band[0] or 0.0) <= first <= (band[1] or 0.0)
            judge(first, second, boxes * min(share, 1 - share), is_scatter)
    if one.wire_bytes_per_box and other.wire_bytes_per_box:
        judge(one.wire_bytes_per_box, other.wire_bytes_per_box, boxes)
    return float(np.max(changes))
