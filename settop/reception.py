"""Listen until there is an image to install, or the deadline passes: sockets, workers and receiver together."""

import select
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from settop.link.listener import GroupListener, batches_of
from settop.link.loss import TestLoss
from settop.stitch.assembly import Assembly
from settop.stitch.events import Event
from settop.stitch.receiver import Receiver
from settop.work.workers import WorkerPool

__all__ = ["Outcome", "Reception"]

BATCHES_AT_ONCE = 2
"""How many reads of the socket go before jobs are looked after."""
FULL_READ_BYTES = 1 << 18
"""A read that brings less than this has emptied the socket."""
SETTLE_S = 1.0
"""An up-to-date image ends listening when nothing better was announced for this long."""
REJOIN_AFTER_S = 30.0
MAX_WAIT_S = 0.1
GATHER_MS = 3


class Outcome(Enum):
    """How listening ended."""

    VERIFIED = "verified"
    UP_TO_DATE = "up to date"
    REFUSED = "refused"
    NOTHING = "nothing"


@dataclass
class Reception:
    """One round of listening. `clock` is monotonic, in seconds."""

    receiver: Receiver
    listener: GroupListener
    workers: WorkerPool
    clock: Callable[[], float]
    on_event: Callable[[Event, float], None]
    on_progress: Callable[[float], None]
    progress_interval_s: float = 0.2
    dropper: TestLoss | None = None

    def run(self, timeout_s: float) -> tuple[Outcome, Assembly | None]:
        """Listen until an image is verified, this box is found up to date, or `timeout_s` is over."""
        self._since_s = self._heard_s = self._progress_s = now = self.clock()
        while now - self._since_s < timeout_s:
            sated = self.receiver.is_sated()
            busy = not sated and self._read_packets()
            self._look_after_jobs()
            now = self.clock()
            chosen = self.receiver.choose(now, self._since_s)
            if chosen is not None:
                return Outcome.VERIFIED, chosen
            if self._is_up_to_date(now):
                return Outcome.UP_TO_DATE, None
            if now - self._progress_s >= self.progress_interval_s:
                self._progress_s = now
                self.on_progress(now)
            if not busy:
                self._wait(min(MAX_WAIT_S, self._since_s + timeout_s - now), for_packets=not sated)
            if now - self._heard_s > REJOIN_AFTER_S:
                self.listener.rejoin()
                self._heard_s = now
        refused = bool(self.receiver.refused) and not self.receiver.assemblies
        return (Outcome.REFUSED if refused else Outcome.NOTHING), None

    def _read_packets(self) -> bool:
        """Take in what waits, bounded; say whether there is much more, so that it is not worth waiting for it."""
        for _ in range(BATCHES_AT_ONCE):
            now, pieces = self.clock(), self.listener.read()
            came_bytes = sum(piece.size for piece in pieces)
            kept = self.dropper.thin(pieces) if self.dropper else pieces
            for batch in batches_of(self.listener.buffer, kept):
                for event in self.receiver.receive(batch, now):
                    self.on_event(event, now)
            if came_bytes:
                self._heard_s = now
            if came_bytes < FULL_READ_BYTES:
                return False
        return True

    def _look_after_jobs(self) -> None:
        for result in self.workers.collect():
            for event in self.receiver.finish_job(result):
                self.on_event(event, self.clock())
        while self.workers.has_room():
            job = self.receiver.next_job()
            if job is None:
                return
            self.workers.submit(job)

    def _is_up_to_date(self, now: float) -> bool:
        """Say whether what is on the air is what this box has, and nothing better has come up."""
        has_it = any(refused.is_up_to_date for refused in self.receiver.refused.values())
        return has_it and not self.receiver.assemblies and now - self._since_s >= SETTLE_S

    def _wait(self, timeout_s: float, for_packets: bool) -> None:
        """Sleep until results come, or packets; then a moment more, for packets that come one by one.

        Taking in a batch costs about the same for 4 packets and for 40: at 50 Mb/s the moment saves a fifth of a
        core. (Not with a small socket buffer, which would overflow meanwhile.) And who needs no more packets leaves
        them, and the core, to the workers.
        """
        timeout_ms = max(0.0, timeout_s) * 1000
        results = select.poll()
        for connection in self.workers.connections():
            results.register(connection.fileno(), select.POLLIN)
        if not for_packets:
            results.poll(timeout_ms)
            return
        packets = select.poll()
        for descriptor in (self.listener.fileno(), *(each.fileno() for each in self.workers.connections())):
            packets.register(descriptor, select.POLLIN)
        if packets.poll(timeout_ms) and self.listener.is_patient:
            results.poll(GATHER_MS)
