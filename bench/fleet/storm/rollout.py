"""A roll-out by stages: what an image that breaks boxes does before anybody notices.

    stage 1 (canaries) ── soak ──► enough reports, few failures? ── yes ──► stage 2 ... ──► everybody
                                           │ no
                                           ▼ the head-end withdraws the image: who has not begun does not

The carousel asks no box, and hears from none; the few that can report (`reporting_share`: a lab's, a CMTS's log, those
with a way back) do so `report_delay_s` after they broke or ran. A bulletin takes the image off as soon as more than
`stop_above` of at least `least_reports` say it broke them. Broken boxes boot their old image after three tries, if the
fault lets them (`recovering_share`); the others are lost until somebody comes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import Histogram
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Rollout, Scenario
from bench.fleet.storm.crowd import ROLLOUT_START, Load, Story
from carousel.release.blocks import IntArray

__all__ = ["LOST", "NOT_OFFERED", "ON_NEW", "ON_OLD", "rollout_story", "run_rollout"]

FloatArray = NDArray[np.float64]
ROLLOUT_STREAM = 24
NOT_OFFERED, ON_OLD, LOST, ON_NEW = "not offered", "back on the old image", "lost", "on the new image"
"""Where boxes are: its phases."""


def run_rollout(scenario: Scenario, seed: int, stages: tuple[float, ...]) -> Story:
    """Roll an image out by cumulative shares of the fleet; the story's `up` are boxes that run it."""
    assert scenario.rollout is not None
    rollout, rng = scenario.rollout, np.random.default_rng([seed, ROLLOUT_STREAM, len(stages)])
    step_s = scenario.horizon_s / STEPS
    begun, stopped_at = _begin(rollout, scenario.boxes, stages, step_s, rng)
    words = " → ".join(f"{share * 100:g} %" for share in stages)
    told = "never stopped" if stopped_at is None else f"stopped after {stopped_at * step_s / 3600:.1f} h"
    return rollout_story(scenario, seed, f"roll-out {words}", begun, rng, told)


def rollout_story(
    scenario: Scenario, seed: int, label: str, begun: IntArray, rng: np.random.Generator, told: str,
    loads: Sequence[Load] = (),
) -> Story:  # fmt: skip
    """Return what an image does to boxes that begin with it in each step, where the roll-out ended as is told."""
    assert scenario.rollout is not None
    broken = rng.binomial(begun, scenario.rollout.failing_share)
    recovering = rng.binomial(broken, scenario.rollout.recovering_share)
    tally, running, step_s = Tally(scenario.horizon_s), begun - broken, scenario.horizon_s / STEPS
    times_s: FloatArray = (np.arange(STEPS, dtype=np.float64) + 0.5) * step_s
    tally.boot["all"] = Histogram.of_counts(times_s, running, scenario.boxes)
    for name in ("verified", "up"):
        tally.events[name][:STEPS] += running
        tally.events[name][STEPS] += scenario.boxes - int(running.sum())
    tally.events["power"][0] = scenario.boxes
    on_old, lost, ran = np.cumsum(recovering), np.cumsum(broken - recovering), np.cumsum(running)
    offered = ran + on_old + lost
    phases = {NOT_OFFERED: scenario.boxes - offered, ON_OLD: on_old, LOST: lost, ON_NEW: ran}
    notes = (f"{int(lost[-1]):,} boxes lost, {int(on_old[-1]):,} back on their old image, {told}",)
    return Story(label, seed, tally, phases, [*loads], None, ROLLOUT_START, notes=notes, ended=told)


def _begin(
    rollout: Rollout, boxes: int, stages: tuple[float, ...], step_s: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], int | None]:
    """Return how many boxes begin in each step, and the step in which the image is withdrawn."""
    begun = np.zeros(STEPS, dtype=np.int64)
    reports, failures = np.zeros(STEPS), np.zeros(STEPS)
    delay = max(1, int(np.ceil(rollout.report_delay_s / step_s)))
    stage, stage_begins, done = 0, 0, 0
    for step in range(STEPS):
        heard, broke = reports[: max(0, step - delay + 1)].sum(), failures[: max(0, step - delay + 1)].sum()
        if heard >= rollout.least_reports and broke > rollout.stop_above * heard:
            return begun, step
        target = int(stages[stage] * boxes)
        if done < target:
            share = min(1.0, step_s / max(step_s, rollout.stage_over_s - (step - stage_begins) * step_s))
            some = int(rng.binomial(target - done, share))
            begun[step] = some
            done += some
            reports[step] = rng.binomial(some, rollout.reporting_share)
            failures[step] = rng.binomial(int(reports[step]), rollout.failing_share)
        elif stage + 1 < len(stages) and (step - stage_begins) * step_s >= rollout.stage_over_s + rollout.soak_s:
            stage, stage_begins = stage + 1, step
    return begun, None
