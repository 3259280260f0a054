"""Reports of boxes, counted; and how many boxes are asked to report, so that a target is met whatever their number.

Who reports "starting" and "confirmed" is one box: each counts once a kind, however often its packet comes. Only reports
with a good MAC count for a rule; the others are counted apart, for people to look at.
"""

from dataclasses import dataclass, field
from typing import Protocol

from carousel.bulletin import ALL
from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind
from headend.rollout.stages import Counts

__all__ = ["Journal", "SampleRate", "Samples"]

MAX_BOXES = 100_000
"""Of one release: then its newcomers are not noted any more; what is proven by then is proven."""
MAX_RELEASES = 64
FASTEST = 2.0
LEAST_THRESHOLD = 1
SMOOTHING = 0.5
NEAR = (0.8, 1.25)


@dataclass
class _Trials:
    started_s: dict[str, float] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)


class Journal(Protocol):
    """Who keeps what counts."""

    def note(self, report: Report) -> None:
        """Keep a report that is news."""

    def forget(self, release: ReleaseId) -> None:
        """Keep nothing of a release."""


class Samples:
    """The reports of each release; what counts is told to a journal, and may be restored from it."""

    def __init__(self, secret: bytes, journal: Journal | None = None) -> None:
        self._secret, self._journal = secret, journal
        self._trials: dict[ReleaseId, _Trials] = {}
        self.received = 0
        """Reports with a good MAC that were news."""
        self.unproven = 0

    def take(self, report: Report, now: float) -> bool:
        """Take a report; say whether it counts."""
        if report.release not in self._trials and len(self._trials) >= MAX_RELEASES:
            return False
        if not report.is_by(self._secret):
            self.unproven += 1
            return False
        trials = self._trials.setdefault(report.release, _Trials())
        if report.kind is ReportKind.STARTING:
            is_news = report.box_id not in trials.started_s and len(trials.started_s) < MAX_BOXES
            if is_news:
                trials.started_s[report.box_id] = now
        else:
            is_news = report.box_id in trials.started_s and report.box_id not in trials.confirmed
            if is_news:
                trials.confirmed.add(report.box_id)
        self.received += is_news
        if is_news and self._journal is not None:
            self._journal.note(report)
        return is_news

    def restore(self, release: ReleaseId, box_id: str, started_s: float, is_confirmed: bool) -> None:
        """Know again what counted before."""
        trials = self._trials.setdefault(release, _Trials())
        trials.started_s[box_id] = started_s
        if is_confirmed:
            trials.confirmed.add(box_id)

    def counts(self, release: ReleaseId, confirm_within_s: float, now: float) -> Counts:
        """Return how trials went; those that have time left count for nothing yet."""
        trials = self._trials.get(release, _Trials())
        failed = sum(
            box not in trials.confirmed and now - since_s >= confirm_within_s
            for box, since_s in trials.started_s.items()
        )
        return Counts(len(trials.confirmed), failed)

    def started(self, release: ReleaseId) -> int:
        """Return how many boxes have said that they start it."""
        return len(self._trials.get(release, _Trials()).started_s)

    def forget(self, release: ReleaseId) -> None:
        """Count a release anew: other boxes were drawn, or it was resumed."""
        self._trials.pop(release, None)
        if self._journal is not None:
            self._journal.forget(release)


class SampleRate:
    """Finds the threshold at which so many reports a second come, whatever the number of boxes.

    It doubles from tiny while there are too few, and follows the proportion near the target. Reports come up to
    `spread_s` late, so it looks that long before it moves up; a flood is answered at once.
    """

    def __init__(self, target_per_s: float, spread_s: float, threshold: int = LEAST_THRESHOLD) -> None:
        self._target_per_s = target_per_s
        self._period_s = spread_s + 1.0
        self.threshold = max(LEAST_THRESHOLD, threshold)
        self._since_s: float | None = None
        self._received = 0
        self._is_found = False

    def look(self, received: int, now: float) -> int:
        """Return the threshold to ask for from now on; `received` is how many reports came so far, in all."""
        if self._since_s is None:
            self._since_s, self._received = now, received
        passed_s, came = now - self._since_s, received - self._received
        is_flood = came > 2 * self._target_per_s * self._period_s
        if passed_s < self._period_s and not is_flood:
            return self.threshold
        wanted = self._target_per_s * max(passed_s, 1.0)
        factor = min(FASTEST, wanted / came if came else FASTEST)
        if self._is_found and came and not is_flood:
            factor = factor**SMOOTHING  # counts scatter: half of the way
        self._is_found = self._is_found or came >= wanted / 2
        if self._is_found and not is_flood and NEAR[0] < factor < NEAR[1]:
            factor = 1.0  # each change is a decision, which every box writes down
        self.threshold = max(LEAST_THRESHOLD, min(ALL, round(self.threshold * factor)))
        self._since_s, self._received = now, received
        return self.threshold
