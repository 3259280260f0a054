"""A roll-out as bulletins do it: cohorts by threshold, sampled reports, and the real rule that advances or halts it.

    share ──► cohort (binomial, growing only) ──► boxes begin as they power up ──► sampled ones say "starting"
      ▲                                                                                    │ confirmed, or silent
      └── Rule.move (headend/rollout/stages.py) ◄── counts ◄── SampleRate asks so many ◄───┘
Boxes of a cohort are exchangeable, so counts are exact whatever their number; nobody tells the rule how many there are.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS
from bench.fleet.scenario.values import Rollout, Scenario
from bench.fleet.storm.crowd import Load, Story
from bench.fleet.storm.rollout import rollout_story
from carousel.bulletin import ALL, threshold_of
from headend.rollout.samples import SampleRate
from headend.rollout.stages import Counts, parse_rule

__all__ = ["RuledRollout", "run_ruled_rollout"]

STREAM = 25
SPREAD_S = 2.0
FloatArray = NDArray[np.float64]


class RuledRollout:
    """One roll-out, step by step; what it has come to is in its attributes."""

    def __init__(self, rollout: Rollout, boxes: int, text: str, rng: np.random.Generator) -> None:
        self._rollout, self._boxes, self._rng = rollout, boxes, rng
        self._rule = parse_rule(text, failures_below=rollout.stop_above)
        self._rate = SampleRate(rollout.reports_per_s, SPREAD_S)
        self._waiting: deque[tuple[float, int]] = deque()
        """When silence becomes failure, and of how many."""
        self._confirming: deque[tuple[float, int]] = deque()
        self._counts, self._since_s, self._received = Counts(), 0.0, 0
        self.share, self.cohort, self.begun, self.reports = 0.0, 0, 0, 0
        self.halted: str | None = None
        self._go_to(self._rule.first_share, 0.0)

    def _go_to(self, share: float, now_s: float) -> None:
        """Let the cohort grow: who is in it stays in it."""
        before = threshold_of(self.share) / ALL if self.share else 0.0
        more = (threshold_of(share) / ALL - before) / max(1e-300, 1 - before)
        self.cohort += int(self._rng.binomial(self._boxes - self.cohort, min(1.0, more)))
        self.share, self._since_s = share, now_s

    def step(self, now_s: float, step_s: float) -> int:
        """Go one step on; return how many boxes begin in it."""
        if self.halted is not None:
            return 0
        left_s = max(step_s, self._rollout.stage_over_s - (now_s - self._since_s))
        begin = int(self._rng.binomial(self.cohort - self.begun, min(1.0, step_s / left_s)))
        self.begun += begin
        self._report(begin, now_s)
        self._rate.look(self._received, now_s)
        move = self._rule.move(self.share, self._since_s, self._counts, now_s)
        if move is not None and move.halt is not None:
            self.halted = move.halt
        elif move is not None and move.share is not None:
            self._go_to(move.share, now_s)
        return begin

    def _report(self, begin: int, now_s: float) -> None:
        """Let sampled boxes say that they start, and later, unless it broke them, that they run; some of it is lost."""
        rollout, rng = self._rollout, self._rng
        arrives = 1 - rollout.report_loss
        started = int(rng.binomial(begin, self._rate.threshold / ALL * arrives))
        self._received += started
        self.reports = started
        well = int(rng.binomial(started, (1 - rollout.failing_share) * arrives))
        self._confirming.append((now_s + rollout.report_delay_s, well))
        self._waiting.append((now_s + 2 * rollout.report_delay_s, started - well))
        confirmed, failed = self._counts.confirmed, self._counts.failed
        while self._confirming and self._confirming[0][0] <= now_s:
            confirmed += self._confirming.popleft()[1]
        while self._waiting and self._waiting[0][0] <= now_s:
            failed += self._waiting.popleft()[1]
        self._counts = Counts(confirmed, failed)


def run_ruled_rollout(scenario: Scenario, seed: int, text: str) -> Story:
    """Roll an image out by a rule; the story's `up` are boxes that run it."""
    assert scenario.rollout is not None
    rollout, rng = scenario.rollout, np.random.default_rng([seed, STREAM])
    model, step_s = RuledRollout(rollout, scenario.boxes, text, rng), scenario.horizon_s / STEPS
    finer = max(1, int(np.ceil(step_s / 5.0)))
    begun, reports, shares, told = np.zeros(STEPS, dtype=np.int64), np.zeros(STEPS), np.zeros(STEPS), ""
    for step in range(STEPS):
        for part in range(finer):
            now_s = step * step_s + (part + 1) * step_s / finer
            begun[step] += model.step(now_s, step_s / finer)
            reports[step] += model.reports / step_s if model.halted is None else 0.0
            if model.halted is not None and not told:
                told = f"halted at {model.share * 100:g} % after {now_s / 3600:.1f} h: {model.halted}"
        shares[step] = model.share
    loads = [
        Load("share that it is for", "", shares, 1.0),
        Load("reports", "1/s", reports, rollout.reports_per_s),
    ]
    told = told or f"never halted, at {model.share * 100:g} % at the end"
    return rollout_story(scenario, seed, f"roll-out by rule {text}", begun, rng, told, loads)
