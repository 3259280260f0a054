"""`--fail-if 'p99.99 > 60s'`: figures that must not be, for pipelines."""

import math
import re
from dataclasses import dataclass

from bench.fleet.report.data import in_time_of
from bench.fleet.run import FleetRun
from bench.fleet.scenario.values import Scenario
from bench.fleet.storm.crowd import Story
from carousel.console.quantities import format_duration_s, parse_duration_s
from carousel.errors import UsageError

__all__ = ["Threshold", "broken", "parse_threshold", "thresholds_of"]

_WORDS = re.compile(r"(?:(?P<who>[a-z0-9 ,-]+?):\s*)?(?P<what>p\d+(?:\.\d+)?|last|mean|never|in-time)\s*"
                    r"(?P<than>[<>])\s*(?P<value>[\d.]+\s*[a-z%]*)")  # fmt: skip


@dataclass(frozen=True)
class Threshold:
    """`who` is a strategy, or a label's begin up to a comma (None: the first strategy); `value` in seconds, or a share
    for never and in-time.
    """

    words: str
    who: str | None
    what: str
    is_above: bool
    value: float

    def is_about(self, label: str, first: str) -> bool:
        """Whether a story of this label is judged; `first` is the first story's label."""
        return f"{label}, ".startswith(f"{self.who or first}, ")

    def figure(self, story: Story) -> float:
        """Return the figure that is judged; infinity for a time that so many boxes do not reach, or that is refused."""
        times = story.tally.all_boot()
        if self.what == "never":
            return times.unfinished / max(1, times.total)
        if self.what == "in-time":
            return in_time_of(story) or 0.0
        found = times.mean_s if self.what == "mean" else times.quantile(self._share)
        return math.inf if found is None else found

    @property
    def _share(self) -> float:
        return 1.0 if self.what == "last" else float(self.what[1:]) / 100


def thresholds_of(all_words: list[str], scenario: Scenario) -> list[Threshold]:
    """Read some; those on strategies that are not run are refused, before all is run."""
    thresholds = [parse_threshold(words) for words in all_words]
    run = [*scenario.strategies, *(["login"] if scenario.login is not None else [])]
    for each in thresholds:
        who = (each.who or run[0]).split(",")[0]
        if who not in run and not (who.startswith(("login", "roll-out")) and {"login", "rollout"} & {*run}):
            raise UsageError(
                f"--fail-if {each.words!r}: there is no strategy {who!r} in this run; {', '.join(run)} are"
            )
    return thresholds


def parse_threshold(words: str) -> Threshold:
    """Read one; `UsageError` says how they are written."""
    match = _WORDS.fullmatch(words.strip())
    if not match:
        raise UsageError(f"--fail-if {words!r} is not such as 'p99.99 > 60s', 'never > 0.1%' or 'unicast: p50 > 5m'")
    value, what = match["value"].strip(), match["what"]
    if what in ("never", "in-time"):
        if not value.endswith("%"):
            raise UsageError(f"--fail-if {words!r}: {what} is a share, such as 0.1%")
        number = float(value[:-1]) / 100
    else:
        number = parse_duration_s(value)
        if what[0] == "p" and not 0 < float(what[1:]) <= 100:
            raise UsageError(f"--fail-if {words!r}: there is no percentile {what}")
    return Threshold(words, match["who"], what, match["than"] == ">", number)


def broken(run: FleetRun, thresholds: list[Threshold]) -> list[str]:
    """Return a sentence for each threshold that is broken, of every seed."""
    found = []
    for each in thresholds:
        first = run.stories[0].label if run.stories else ""
        judged = [story for story in run.stories if each.is_about(story.label, first)]
        if not judged:
            raise UsageError(f"--fail-if {each.words!r}: there is no strategy {each.who!r} in this run")
        for story in judged:
            figure = each.figure(story)
            if (figure > each.value) if each.is_above else (figure < each.value):
                is_share = each.what in ("never", "in-time")
                told = f"{figure:.4%}" if is_share else "never" if math.isinf(figure) else format_duration_s(figure)
                found.append(f"{story.label}, seed {story.seed}: {each.what} is {told} ({each.words})")
    return found
