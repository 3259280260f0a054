"""A roll-out by rule: `1 % 10 min, 10 % 1 h, 100 %`. When it goes on, and when it halts itself.

                     hold time over, and failures proven to be few
      stage i ──────────────────────────────────────────────────────► stage i + 1 ── ... ──► the last one: done
         │  failures proven to be many, at any time
         └──────────────────────────────────────────► halted; a person resumes it

A trial that said "starting" and said nothing more in `confirm_within_s` has failed. What is proven is a Wilson bound at
95 % to one side: 400 reports without a failure say that it is below 0.7 %. A lost "confirmed" looks like a failure, so
the bound must not be below what the way back loses. Pure: what stands in the record, the counts and the time decide.
"""

import re
from dataclasses import dataclass
from enum import Enum

from carousel.console.quantities import parse_duration_s
from carousel.errors import UsageError

__all__ = ["Counts", "Move", "Rule", "Step", "Success", "parse_rule", "wilson_bounds"]

Z_95 = 1.6449
"""One side, 95 %."""
_STEP = re.compile(r"(\d+(?:\.\d+)?) ?%(?: +(\d+(?:\.\d+)? ?[a-z]*))?")


class Success(Enum):
    """What lets a stage go on once its time is over."""

    SAMPLES = "samples"
    TIME = "time"
    """Nobody reports: nothing but time, and no halt."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: the share of boxes, and how long it lasts at least."""

    share: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What boxes that can be believed have reported of one release, since its present salt."""

    confirmed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be decided: another share, or a halt with its reason."""

    share: float | None = None
    halt: str | None = None


@dataclass(frozen=True)
class Rule:
    """Stages, and what decides between them; `failures_below` is the bound in both directions."""

    steps: tuple[Step, ...]
    success: Success = Success.SAMPLES
    failures_below: float = 0.02
    confirm_within_s: float = 600.0

    @property
    def first_share(self) -> float:
        """Where it begins."""
        return self.steps[0].share

    def move(self, share: float, since_unix_s: float, counts: Counts, unix_s: float) -> Move | None:
        """Return what to decide about a release that has been at `share` since then; None: nothing."""
        low, high = wilson_bounds(counts.failed, counts.failed + counts.confirmed)
        if self.success is Success.SAMPLES and low > self.failures_below:
            return Move(halt=f"{counts.failed} of {counts.failed + counts.confirmed} trials failed")
        step = next((each for each in self.steps if each.share >= share - 1e-12), None)
        later = next((each for each in self.steps if each.share > share + 1e-12), None)
        if step is None or later is None or unix_s - since_unix_s < step.hold_s:
            return None
        if self.success is Success.SAMPLES and high >= self.failures_below:
            return None
        return Move(share=later.share)

    def lasts_s(self, share: float) -> float | None:
        """Return how long the stage at `share` lasts at least; None: it is the last, or none of these."""
        step = next((each for each in self.steps if each.share >= share - 1e-12), None)
        return None if step is None or step is self.steps[-1] else step.hold_s

    def in_words(self) -> str:
        """Return the stages as people write them."""
        last = len(self.steps) - 1
        return ", ".join(
            f"{step.share * 100:.6g} %" + (f" {_in_whole(step.hold_s)}" if number < last else "")
            for number, step in enumerate(self.steps)
        )

    def __str__(self) -> str:
        last = len(self.steps) - 1
        return ", ".join(
            f"{step.share * 100:.12g} %" + (f" {step.hold_s:g} s" if number < last else "")
            for number, step in enumerate(self.steps)
        )


def _in_whole(hold_s: float) -> str:
    """Write a time in the largest unit that it is a whole number of."""
    for unit, unit_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if hold_s and hold_s % unit_s == 0:
            return f"{hold_s / unit_s:.0f} {unit}"
    return f"{hold_s:g} s"


def wilson_bounds(failed: int, total: int) -> tuple[float, float]:
    """Return the bounds of a share that `failed` of `total` tell: each is passed with 5 % chance."""
    if not total:
        return 0.0, 1.0
    share, z2 = failed / total, Z_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = Z_95 / (1 + z2 / total) * (share * (1 - share) / total + z2 / (4 * total**2)) ** 0.5
    return max(0.0, middle - spread), min(1.0, middle + spread)


def parse_rule(text: str, success: Success = Success.SAMPLES, failures_below: float = 0.02) -> Rule:
    """Read stages such as `1 % 10 min, 10 % 1 h, 100 %`: shares that grow, with how long each lasts at least."""
    steps = []
    for part in text.split(","):
        match = _STEP.fullmatch(part.strip())
        if not match:
            raise UsageError(f"{part.strip()!r} is no stage such as `1 % 10 min` or, the last one, `100 %`")
        steps.append(Step(float(match[1]) / 100, parse_duration_s(match[2]) if match[2] else 0.0))
    shares = [step.share for step in steps]
    if shares != sorted(set(shares)) or shares[-1] > 1:
        raise UsageError(f"{text!r}: stages grow, up to 100 % at most")
    return Rule(tuple(steps), success, failures_below)
