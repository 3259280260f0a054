"""`headend rollout watch`: follows rules and paces the gate, beside a carousel that goes on without it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from carousel.errors import FormatError, UsageError
from carousel.report import Report
from headend.link.mailbox import Mailbox, fetch_json, parse_address
from headend.pack.keys import new_secret, read_secret
from headend.rollout.decisions import Decisions
from headend.rollout.pace import Feed
from headend.rollout.samples import Samples
from headend.rollout.steward import GateKeeper, Steward
from headend.rolloutfile import RolloutFile

__all__ = ["Watch", "watch_rollout"]

FEED_TIMEOUT_S = 0.7
LOOK_S = 1.0


@dataclass
class Watch:
    """One look a second: reports in, rules followed, the gate paced; what is decided is in the file."""

    file: RolloutFile
    samples: Samples
    steward: Steward
    mailbox: Mailbox | None
    capacity_url: str | None
    tell: Callable[..., None]
    keeper: GateKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = GateKeeper(lambda ticks: self.file.new_chain(new_secret(), ticks))
        self._is_fed = True

    def look(self, now: float, unix_s: float) -> None:
        """Do what there is to do."""
        for raw in self.mailbox.letters() if self.mailbox else ():
            try:
                self.samples.take(Report.parse(raw), now)
            except FormatError:
                continue
        feed = self._feed() if self.capacity_url else None

        def decide(decisions: Decisions) -> Decisions:
            after = self.steward.tend(decisions, now, unix_s)
            return self.keeper.tend(after, feed, now, unix_s) if self.capacity_url else after

        epoch = self.file.load().epoch
        after = self.file.change(decide)
        if after.epoch != epoch:
            self._tell(after)

    def _feed(self) -> Feed | None:
        assert self.capacity_url is not None
        try:
            feed = Feed.read(fetch_json(self.capacity_url, FEED_TIMEOUT_S))
        except (OSError, ValueError) as error:
            if self._is_fed:
                self.tell("note", text=f"the capacity feed says nothing: {error}")
            self._is_fed = False
            return None
        self._is_fed = True
        return feed

    def _tell(self, decisions: Decisions) -> None:
        self.tell("decided", epoch=decisions.epoch)
        for release, ruling in decisions.releases.items():
            if ruling.rule is not None:
                stage = f"halted: {ruling.why}" if ruling.is_halted else f"at {ruling.share * 100:.4g} %"
                self.tell("note", text=f"release {release}: {stage}")


def watch_rollout(
    path: Path,
    listen: str | None,
    secret: Path | None,
    reports_per_s: float,
    url: str | None,
    tell: Callable[..., None],
) -> None:
    """Watch until interrupted."""
    if (listen is None) != (secret is None):
        raise UsageError("--listen and --secret go together: where reports come in, and whose are believed")
    with ExitStack() as stack:
        mailbox = None
        if listen is not None:
            mailbox = Mailbox(*parse_address(listen))
            stack.callback(mailbox.close)
        samples = Samples(read_secret(secret) if secret else b"")
        watch = Watch(RolloutFile(path), samples, Steward(samples, reports_per_s), mailbox, url, tell)
        while True:
            watch.look(time.monotonic(), time.time())
            time.sleep(LOOK_S)
