"""The receiver: releases and symbols in, effects and jobs out. Sans-IO; it knows neither wire nor disk nor threads.

    Announcement ──► judge ──► refused, or up to date
                       │
                       ▼          a free place, or better than the worst candidate (which is given up)
                   newcomer ──────────────────────────────────────► Collect ──► the driver gets memory
                       │ no better: it waits its turn                              │            │
                       ▼                                                        collect      decline
                    waiting ◄── given up                                           ▼
                                                                              a candidate: an Assembly

Several acceptable releases may be on the air (a swap, a replay, two head-ends): up to `MAX_CANDIDATES` are collected
side by side, and `choose` says which to install. Headers are cheap to replay, so places go by rank: what has proven
something comes before what has not, then the newer version, then who has proven more. A newcomer has proven nothing
and so never displaces what has; a candidate that proves nothing, while a release that waits is heard more, gives its
place to that one. So replayed headers take nothing from a release whose symbols come.
"""

from collections.abc import Callable, Sequence

from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing
from settop.events import Collect, Effect, Event, GivenUp, ImageFound, ImageRefused
from settop.stitch.assembly import Assembly
from settop.stitch.drafts import MOST_DRAFT_BYTES
from settop.stitch.jobs import Job, JobResult
from settop.stitch.policy import BoxProfile, judge
from settop.stitch.seam import Heard, Symbols

__all__ = ["MAX_CANDIDATES", "TAKES_AGAIN", "Receiver", "Standing"]

MAX_CANDIDATES = 3
MAX_WAITING = 16
TAKES_AGAIN = 8
"""How often a wake-up's contested packets are taken again: of two for a row, one stays forged once in 256 times."""
MAX_REFUSED = 64
STALE_S = 2.0
"""A release unheard for this long is taken to be off the air."""
PROBATION_S = 0.5
"""So long a candidate may prove nothing while a release that waits is heard more."""

Rank = tuple[bool, tuple[int, int, int], int]


class Standing:
    """How an acceptable release stands: its assembly once it is collected, and what was heard of it."""

    def __init__(self, header: SignedHeader, heard: Heard) -> None:
        self.header = header
        self.heard = heard
        self.since_s = 0.0
        """When it got its place; while it waits, nobody asks."""
        self.assembly: Assembly | None = None

    @property
    def rank(self) -> Rank:
        """Order of places, the best highest."""
        proven = self.assembly.proven_symbols if self.assembly else 0
        version = self.header.version
        return proven > 0, (version.major, version.minor, version.patch), proven


class _Refusals:
    """What this box may not take."""

    def __init__(self) -> None:
        self.releases: set[ReleaseId] = set()
        self.up_to_date: SignedHeader | None = None


class Receiver:
    """One box listening to one group, since the time `now`."""

    def __init__(self, box: BoxProfile, can_decode: bool, now: float, most_draft_bytes: int = MOST_DRAFT_BYTES) -> None:
        self.candidates: dict[ReleaseId, Standing] = {}
        """Releases that are collected, or for which the driver is getting memory."""
        self._box = box
        self._can_decode, self._most_draft_bytes = can_decode, most_draft_bytes
        self._since_s = now
        self._waiting: dict[ReleaseId, Standing] = {}
        self._refusals = _Refusals()
        self._patient_until_s: float | None = None

    # --- releases ---------------------------------------------------------------------------------------

    def announce(self, header: SignedHeader, now: float) -> list[Effect]:
        """Judge an authentic release."""
        release = header.release_id
        if release in self.candidates or release in self._waiting or release in self._refusals.releases:
            return []
        verdict = judge(header, self._box)
        if verdict.is_up_to_date:
            self._refusals.up_to_date = header
            return []
        if verdict.refusal is not None:
            return self._refuse(header, verdict.refusal)
        return self._seat(Standing(header, Heard(now)), now)

    def would_take(self, header: SignedHeader) -> bool:
        """Say whether this box may take a release, be it collected already or not."""
        return header.release_id not in self._refusals.releases and judge(header, self._box).refusal is None

    @property
    def headers(self) -> list[SignedHeader]:
        """The releases that are collected, or wait for a place."""
        return [each.header for each in (*self.candidates.values(), *self._waiting.values())]

    def withdraw(self, release: ReleaseId) -> list[Effect]:
        """Let go of a release that must not be taken for now; it may be announced anew."""
        had = self.candidates.pop(release, None) or self._waiting.pop(release, None)
        return [GivenUp(release)] if had is not None else []

    def _refuse(self, header: SignedHeader, reason: str) -> list[Effect]:
        if len(self._refusals.releases) < MAX_REFUSED:
            self._refusals.releases.add(header.release_id)
        return [ImageRefused(header.version, header.name, reason)]

    def _seat(self, newcomer: Standing, now: float) -> list[Effect]:
        """Give a release a place among the candidates, or let it wait."""
        effects: list[Effect] = []
        if len(self.candidates) >= MAX_CANDIDATES:
            worst = min(self.candidates.values(), key=lambda each: each.rank)
            if newcomer.rank <= worst.rank:
                return self._wait(newcomer)
            effects = self._give_up(worst)
        newcomer.since_s = now
        self.candidates[newcomer.header.release_id] = newcomer
        return [*effects, Collect(newcomer.header, ReleaseLayout.of_header(newcomer.header))]

    def _wait(self, standing: Standing) -> list[Effect]:
        """Keep a release in mind; the lowest version of too many is forgotten, and may be announced anew."""
        self._waiting[standing.header.release_id] = standing
        if len(self._waiting) <= MAX_WAITING:
            return []
        least = min(self._waiting.values(), key=lambda each: (each.heard.received, each.rank))
        del self._waiting[least.header.release_id]
        return [GivenUp(least.header.release_id)]

    def _give_up(self, standing: Standing) -> list[Effect]:
        """Take a candidate's place away; it waits from now on."""
        release = standing.header.release_id
        del self.candidates[release]
        return [GivenUp(release), *self._wait(Standing(standing.header, standing.heard))]

    def collect(self, header: SignedHeader, landings: Sequence[Landing], resumed: bool, now: float) -> list[Effect]:
        """Collect a release into this memory: the driver has followed `Collect`."""
        standing = self.candidates.get(header.release_id)
        if standing is None:
            return [GivenUp(header.release_id)]
        layout = ReleaseLayout.of_header(header)
        standing.assembly = Assembly(header, layout, list(landings), resumed, self._can_decode, self._most_draft_bytes)
        elapsed_s = round(now - self._since_s, 4)
        return [ImageFound(header.name, header.version, header.image_size, header.release_id, resumed, elapsed_s)]

    def decline(self, header: SignedHeader, reason: str) -> list[Effect]:
        """Take note that there is no memory for a release: worse ones make room, else it alone is refused."""
        mine = self.candidates.pop(header.release_id, None)
        rivals = [each for each in self.candidates.values() if each.assembly is not None]
        worst = min(rivals, key=lambda each: each.rank, default=None)
        if mine is not None and worst is not None and worst.rank < mine.rank:
            effects = self._give_up(worst)
            self.candidates[header.release_id] = mine
            return [*effects, Collect(header, ReleaseLayout.of_header(header))]
        return self._refuse(header, reason)

    def lose(self, release: ReleaseId, reason: str) -> list[Effect]:
        """Take note that a release's memory failed: it alone is refused."""
        standing = self.candidates.pop(release, None)
        if standing is None:
            return []
        return [*self._refuse(standing.header, reason), GivenUp(release)]

    def look_around(self, heard: Callable[[ReleaseId], Heard], now: float) -> list[Effect]:
        """Take note of what was heard, now and then; who waits may get the place of one that proves nothing."""
        for release, standing in (*self.candidates.items(), *self._waiting.items()):
            standing.heard = heard(release)
        effects: list[Effect] = []
        best = max(self._waiting.values(), key=lambda each: each.heard.received, default=None)
        if best is None or now - best.heard.last_s > STALE_S:
            return effects
        if len(self.candidates) >= MAX_CANDIDATES:
            silent = [each for each in self.candidates.values() if self._is_silent(each, best, now)]
            if not silent:
                return effects
            effects = self._give_up(min(silent, key=lambda each: (each.heard.received, each.rank)))
        del self._waiting[best.header.release_id]
        return effects + self._seat(best, now)

    def _is_silent(self, candidate: Standing, waiting: Standing, now: float) -> bool:
        is_new = now - candidate.since_s < PROBATION_S
        return not (is_new or candidate.rank[0]) and candidate.heard.received < waiting.heard.received

    # --- symbols and jobs -------------------------------------------------------------------------------

    def take(self, symbols: Symbols) -> bool:
        """Take note of symbols that have landed; say whether any proved forged, so that `Wire.take_again` helps."""
        assembly = self.assembly(symbols.release)
        return assembly is not None and assembly.take(symbols)

    def next_job(self) -> Job | None:
        """Return the next job of the best candidate that has one."""
        for assembly in self._by_rank():
            job = assembly.next_job()
            if job is not None:
                return job
        return None

    def finish_job(self, result: JobResult) -> list[Event]:
        """Take what came of a job; a release that was given up meanwhile has no use for it."""
        assembly = self.assembly(result.job.release)
        if assembly is None or (assembly.landings[0] is not result.job.landing and not result.job.level):
            return []
        return assembly.finish_job(result)

    def _by_rank(self) -> list[Assembly]:
        standings = [each for each in self.candidates.values() if each.assembly is not None]
        if len(standings) > 1:
            standings.sort(key=lambda each: each.rank, reverse=True)
        return [each.assembly for each in standings if each.assembly is not None]

    def assembly(self, release: ReleaseId) -> Assembly | None:
        """Return what is collected of a release, or None."""
        standing = self.candidates.get(release)
        return standing.assembly if standing is not None else None

    # --- where it stands --------------------------------------------------------------------------------

    def choose(self, now: float) -> Assembly | None:
        """Return the assembly to install now, or None to go on listening.

        The newest version that is verified; but while a newer one is heard and proves itself, that one gets as
        long again as listening has lasted so far. So a replayed release that never completes delays a good image by
        a factor of two at most.
        """
        best = self.at_deadline()
        if best is None:
            return None
        if self._patient_until_s is None:
            self._patient_until_s = 2 * now - self._since_s
        better_is_coming = any(
            each.header.version > best.header.version and each.rank[0] and now - each.heard.last_s < STALE_S
            for each in self.candidates.values()
        )
        return None if better_is_coming and now < self._patient_until_s else best

    def at_deadline(self) -> Assembly | None:
        """Return the newest release that is verified: what to install when there is no more time."""
        verified = [each for each in self._by_rank() if each.is_verified]
        return max(verified, key=lambda each: each.header.version, default=None)

    @property
    def most_complete(self) -> Assembly | None:
        """The release that has most of its symbols."""
        return max(self._by_rank(), key=lambda each: each.useful_symbols / each.needed_symbols, default=None)

    @property
    def is_sated(self) -> bool:
        """Whether more packets would be of no use at the moment: only jobs are left to do."""
        standings = self.candidates.values()
        return bool(standings) and all(each.assembly is not None and each.assembly.is_sated for each in standings)

    @property
    def up_to_date(self) -> SignedHeader | None:
        """The release that is on the air and in this box already, if nothing better is being collected."""
        return None if self.candidates else self._refusals.up_to_date

    @property
    def is_refusing(self) -> bool:
        """Whether all that was heard was refused."""
        return bool(self._refusals.releases) and not self.candidates
