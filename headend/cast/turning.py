"""Keep a carousel turning until told to stop. The clock, the wait and the wire are arguments."""

import errno
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from carousel.batch import Batch
from carousel.console.command import in_a_sentence
from carousel.errors import BootcastError
from carousel.flute.releasefile import Release
from headend.cast.broadcaster import Broadcaster
from headend.cast.pair import Pair
from headend.cast.shares import Demand
from headend.events import Decided, OnAir, Peer, Status, Swapped, Tell, Trouble, TroubleOver

__all__ = ["Carousel", "Rollout", "Shelf", "Wire"]

RETRY_S = 0.1
"""How long to wait for a network that takes nothing."""
SKIP_S = 0.001
"""How long what could not be rendered takes: it has no packets that would count against the rate."""
RELOAD_CHECK_S = 1.0
STATUS_S = 1.0
ROLLOUT_CHECK_S = 0.1
"""A halt is to reach every box within two seconds."""
RELOAD_PAUSE_S = 0.5
"""Reloads that are asked for faster than this are done together: a flood of SIGHUPs must not starve the carousel."""
SAME_TROUBLE_S = 60.0
"""Trouble that comes and goes is told this often: a file that was cut in place has some in every cycle, for ever."""


_TROUBLES = {
    errno.ENOBUFS: "the send buffer is full",
    errno.EFAULT: "a release file was cut in place; what it lacks is not sent until it is whole again",
}


class Wire(Protocol):
    """Where batches go."""

    def send(self, batch: Batch) -> None:
        """Send a batch; `OSError` where the network does not take it."""


class Shelf(Protocol):
    """Where releases come from."""

    def has_changed(self) -> bool:
        """Say whether a release was replaced since `load`."""

    def load(self) -> list[Release]:
        """Return the releases as they are now."""

    def demands(self) -> Sequence[Demand]:
        """Say how much each of what `load` returned last is wanted; nothing: all alike."""

    def close_replaced(self) -> None:
        """Give back what releases that are cast no more still hold."""


class Rollout(Protocol):
    """Where decisions about releases come from."""

    def tend(self) -> int | None:
        """Take over decisions that were replaced; return their epoch if it is another one."""


@dataclass
class Carousel:
    """Drives a broadcaster: waits until a batch is due, sends it, reports, swaps releases."""

    broadcaster: Broadcaster
    shelf: Shelf
    wire: Wire
    clock: Callable[[], float]
    wait: Callable[[float], None]
    tell: Tell
    pair: Pair | None = None
    rollout: Rollout | None = None

    def __post_init__(self) -> None:
        self.should_stop = False
        self.should_reload = False
        self._trouble: str | None = None
        self._told_s: dict[str, float] = {}
        self._reloaded_s = -math.inf
        self._sent_bytes = 0
        self._sent_packets = 0
        self._errors = 0

    def run(self, cycles: int) -> None:
        """Turn until `should_stop`, or until so many cycles are done (0: for ever)."""
        now = status_s = check_s = rollout_s = self.clock()
        while not self.should_stop and not (cycles and self.broadcaster.cycles_done >= cycles):
            if self.pair is not None and self.pair.tend(self.broadcaster, now):
                self.tell(Peer(alive=not self.pair.is_alone))
            if now - rollout_s >= ROLLOUT_CHECK_S:
                rollout_s = now
                self._tend_rollout()
            pause_s = self.broadcaster.due(now) - now
            if pause_s > 0:
                self.wait(pause_s)
                now = self.clock()
                continue
            self._send_next(now)
            now = self.clock()
            if now - status_s >= STATUS_S:
                self._tell_status(now - status_s)
                status_s = now
            is_asked = self.should_reload and now - self._reloaded_s >= RELOAD_PAUSE_S
            if is_asked or now - check_s >= RELOAD_CHECK_S:
                check_s = now
                self._reload_if_changed(now)

    def _tend_rollout(self) -> None:
        """Speak for new decisions; those that can't be read leave the old ones in force."""
        try:
            epoch = self.rollout.tend() if self.rollout else None
        except (BootcastError, OSError) as error:
            self._tell_trouble(f"going on with the old decisions: {in_a_sentence(error)}")
            return
        if epoch is not None:
            self.tell(Decided(epoch))

    def _send_next(self, now: float) -> None:
        """Send what is due. Trouble is reported once, and once more when it is over; what a file lacks is left out."""
        try:
            batch = self.broadcaster.next_batch(now)
        except OSError as error:
            self._note_trouble(error)
            self.wait(SKIP_S)
            return
        try:
            self.wire.send(batch)
        except OSError as error:
            self._note_trouble(error)
            if error.errno != errno.EFAULT:
                self.wait(RETRY_S)
            return
        if self._trouble is not None:
            self.tell(TroubleOver(self._trouble))
            self._trouble = None
        self._sent_bytes += batch.stride * batch.count
        self._sent_packets += batch.count

    def _note_trouble(self, error: OSError) -> None:
        self._errors += 1
        what = _TROUBLES.get(error.errno or 0) or in_a_sentence(error)
        if what != self._trouble and self._tell_trouble(what):
            self._trouble = what

    def _tell_trouble(self, reason: str) -> bool:
        """Tell of trouble, but not of the same too often; say whether it was told."""
        now = self.clock()
        if now - self._told_s.get(reason, -math.inf) < SAME_TROUBLE_S:
            return False
        self._told_s = {known: when for known, when in self._told_s.items() if now - when < SAME_TROUBLE_S}
        self._told_s[reason] = now
        self.tell(Trouble(reason))
        return True

    def _tell_status(self, elapsed_s: float) -> None:
        position = self.broadcaster.position
        self.tell(
            Status(
                rate_bps=round(self._sent_bytes * 8 / elapsed_s),
                packets=self._sent_packets,
                cycle=position.cycle,
                share=round(position.share, 4),
                sent_bytes=self._sent_bytes,
                errors=self._errors,
                announced_ago_s=round(self.clock() - self.broadcaster.announced_s, 3),
            )
        )
        self._sent_bytes = self._sent_packets = self._errors = 0

    def _reload_if_changed(self, now: float) -> None:
        asked, self.should_reload = self.should_reload, False
        if not asked and not self.shelf.has_changed():
            return
        self._reloaded_s = now
        try:
            releases = self.shelf.load()
            self.broadcaster.replace(releases, now, self.shelf.demands())
        except (BootcastError, OSError) as error:
            self._tell_trouble(f"going on with the old content: {in_a_sentence(error)}")
            return
        self.shelf.close_replaced()
        self.tell(Swapped(tuple(map(OnAir.of, releases))))
