"""The one driver: reads packets, has them stitched, has jobs done, and does what the receiver asks for.

Nothing here waits but `_wait`, and that ends with the deadline.
"""

import math
import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from settop.events import BlockVerified, Collect, Effect, Event, GivenUp, ImageVerified, Note, Progress
from settop.link.listener import GroupListener
from settop.link.loss import TestLoss
from settop.link.patience import Patience
from settop.options import Outcome
from settop.rollout.admission import Admission
from settop.stitch.assembly import Assembly
from settop.stitch.receiver import TAKES_AGAIN, Receiver
from settop.stitch.seam import Announcement, Arrival, Bulletin, Symbols, Wire
from settop.store.partfile import NoRoomError, PartFile
from settop.work.threads import WorkThreads

if TYPE_CHECKING:
    from settop.rollout.board import Board, InForce

__all__ = ["Reception"]

READS_AT_ONCE = 2
"""How many reads of the socket go before jobs are looked after."""
SETTLE_S = 1.0
"""An up-to-date image ends listening when nothing better was announced for this long."""
LONGEST_SETTLE_S = 3.0
"""The same while headers wait for their check: a flood of them must not keep a box listening for ever."""
REJOIN_AFTER_S = 30.0
SILENT_S = 5.0
LOOK_INTERVAL_S = 0.2
MAX_WAIT_S = 0.1
OVERLOAD_SHARE = 0.01
"""More drops of the socket than this, of what came: the user is told once."""


class Reception:
    """One round of listening. `clock` is monotonic, in seconds; `board`: what bulletins say, where a box obeys any."""

    def __init__(
        self,
        receiver: Receiver,
        listener: GroupListener,
        wire: Wire,
        work: WorkThreads,
        open_part: Callable[[SignedHeader, ReleaseLayout], PartFile],
        on_event: Callable[[Event], None],
        clock: Callable[[], float],
        *,
        test_loss: TestLoss | None = None,
        board: "Board | None" = None,
        on_decided: "Callable[[list[InForce]], None]" = lambda in_force: None,
    ) -> None:
        self.receiver, self.listener, self.wire, self.work = receiver, listener, wire, work
        self.open_part, self.on_event, self.on_decided, self.clock = open_part, on_event, on_decided, clock
        self.test_loss, self.board = test_loss, board
        self._admission = Admission(receiver, board)
        self._patience = Patience(listener.patience_s)
        self._parts: dict[ReleaseId, PartFile] = {}
        self._leaving: dict[ReleaseId, PartFile] = {}
        self._to_collect: list[Collect] = []
        self._since_s = self._heard_s = self._looked_s = self.clock()
        self._packet_s = -math.inf
        self._is_silent = False
        self._rate_mark = (self._since_s, 0)
        self._found: dict[ReleaseId, tuple[float, int]] = {}
        """When a release was found, and how many of its symbols had been heard by then."""
        self._is_overloaded = False
        self._results, self._packets_or_results = select.poll(), select.poll()
        for poll in (self._results, self._packets_or_results):
            poll.register(work.fileno(), select.POLLIN)
        self._packets_or_results.register(listener.fileno(), select.POLLIN)

    def run(self, timeout_s: float) -> tuple[Outcome, Assembly | None]:
        """Listen until an image is verified, this box is found up to date, or `timeout_s` is over."""
        now = self.clock()
        while now - self._since_s < timeout_s:
            is_sated = self.receiver.is_sated and not self._admission.lacks_a_bulletin(now)
            is_busy = not is_sated and self._read_packets()
            self._look_after_jobs()
            now = self.clock()
            self._heed_bulletins(now)
            chosen = self._admission.choose(now)
            if chosen is not None:
                return Outcome.VERIFIED, chosen
            if self._is_up_to_date(now):
                return Outcome.UP_TO_DATE, None
            if self._admission.is_withholding and self._is_settled(now):
                return Outcome.NOT_YET, None
            if now - self._looked_s >= LOOK_INTERVAL_S:
                self._look_around(now)
            if not is_busy:
                self._wait(min(MAX_WAIT_S, self._since_s + timeout_s - now), for_packets=not is_sated)
        return self._at_deadline(self.clock())

    def _at_deadline(self, now: float) -> tuple[Outcome, Assembly | None]:
        chosen = self._admission.at_deadline(now)
        if chosen is not None:
            return Outcome.VERIFIED, chosen
        if self.receiver.at_deadline() is not None:
            text = "an image is whole, but no bulletin has said yet that this box may have it; it is kept, run again"
            self.on_event(Note(text))
            return Outcome.NOT_YET, None
        if self._admission.is_withholding:
            return Outcome.NOT_YET, None
        return (Outcome.REFUSED if self.receiver.is_refusing else Outcome.NOTHING), None

    def close(self) -> None:
        """Let go of the part files; they hold all that was received."""
        for part in (*self._parts.values(), *self._leaving.values()):
            part.close()

    # --- packets ----------------------------------------------------------------------------------------

    def _read_packets(self) -> bool:
        """Take in what waits, bounded; say whether there is much more, so that it is not worth waiting for it."""
        for _ in range(READS_AT_ONCE):
            now, pieces = self.clock(), self.listener.read()
            if pieces:
                self._heard_s = self._packet_s = now
                kept = self.test_loss.thin(pieces) if self.test_loss else pieces
                arrivals = self.wire.receive(self.listener.buffer, kept, now)
                if self.board is not None:
                    self._hear_bulletins(self.board, arrivals, now)
                self._take(arrivals, now)
            if not self.listener.has_more:
                return False
        return True

    def _take(self, arrivals: Sequence[Arrival], now: float) -> None:
        self._take_symbols([arrival for arrival in arrivals if isinstance(arrival, Symbols)])
        for arrival in arrivals:
            if isinstance(arrival, Announcement):
                self._perform(self._admission.announce(arrival.header, now), now)

    def _take_symbols(self, symbols: Sequence[Symbols]) -> None:
        """Take note of what has landed, and of what lands when forged symbols are gone."""
        times = 0
        while self._note(symbols) and times < TAKES_AGAIN:
            symbols, times = self.wire.take_again(), times + 1

    def _note(self, symbols: Sequence[Symbols]) -> bool:
        has_dropped = False
        for each in symbols:
            has_dropped |= self.receiver.take(each)
            self._make_ready(each)
        return has_dropped

    def _hear_bulletins(self, board: "Board", arrivals: Iterable[Arrival], now: float) -> None:
        """Hear what is decided before what is announced in the same wake-up."""
        heard = [arrival.raw for arrival in arrivals if isinstance(arrival, Bulletin)]
        for raw in heard:
            board.hear(raw, now)
        if heard:
            self._heed_bulletins(now)

    def _heed_bulletins(self, now: float) -> None:
        effects, in_force = self._admission.heed(now)
        if any(each.is_decision for each in in_force):
            self.on_decided(in_force)
        self._perform(effects, now)

    def _make_ready(self, symbols: Symbols) -> None:
        part = self._parts.get(symbols.release)
        try:
            if part is not None:
                part.make_ready(symbols.level, symbols.rows)
        except OSError as error:
            self._perform(self.receiver.lose(symbols.release, f"its part file failed: {error.strerror}"), self.clock())

    # --- what the receiver wants ------------------------------------------------------------------------

    def _perform(self, effects: Sequence[Effect], now: float) -> None:
        to_do = deque(effects)
        while to_do:
            effect = to_do.popleft()
            if isinstance(effect, Collect):
                to_do.extendleft(reversed(self._collect(effect, now)))
            elif isinstance(effect, GivenUp):
                self._let_go(effect.release)
            else:
                self._tell(effect)

    def _collect(self, wanted: Collect, now: float) -> list[Effect]:
        """Get memory for a release; as long as another one leaves, its room is not free yet."""
        if self._leaving:
            self._to_collect.append(wanted)
            return []
        header = wanted.header
        try:
            part = self.open_part(header, wanted.layout)
        except NoRoomError as error:
            return self.receiver.decline(header, str(error))
        except OSError as error:
            return self.receiver.lose(header.release_id, f"its part file can't be made: {error.strerror}")
        self._parts[header.release_id] = part
        self.work.make_ready(wanted.layout.objects[0].largest_block)
        effects = self.receiver.collect(header, part.landings, part.resumed, now)
        self._take_symbols(self.wire.open(header, wanted.layout, part.landings, now))
        self._found[header.release_id] = now, self.wire.heard(header.release_id).received
        return effects

    def _let_go(self, release: ReleaseId) -> None:
        self.wire.close(release)
        self.wire.forget(release)
        self._found.pop(release, None)
        part = self._parts.pop(release, None)
        if part is not None:
            self._leaving[release] = part

    def _tell(self, event: Event) -> None:
        """Pass an event on; the last block of an image makes it verified."""
        self.on_event(event)
        if isinstance(event, BlockVerified):
            assembly = self.receiver.assembly(event.release)
            if assembly is not None and assembly.is_verified:
                self.on_event(self._verified(assembly))

    # --- jobs -------------------------------------------------------------------------------------------

    def _look_after_jobs(self) -> None:
        now = self.clock()
        for result in self.work.collect():
            if result.error:
                self.on_event(Note(f"a job on block {result.job.sbn} failed, it is tried again: {result.error}"))
            self._perform(self.receiver.finish_job(result), now)
        self._see_off(now)
        while self.work.has_room:
            job = self.receiver.next_job()
            if job is None:
                return
            self.work.submit(job)

    def _see_off(self, now: float) -> None:
        """Remove the files of releases that were given up, once no job works on them."""
        for release in [each for each in self._leaving if not self.work.is_at(each)]:
            part = self._leaving.pop(release)
            part.close()
            part.path.unlink(missing_ok=True)
        if self._to_collect and not self._leaving:
            waiting, self._to_collect = self._to_collect, []
            self._perform(waiting, now)

    # --- now and then -----------------------------------------------------------------------------------

    def _is_up_to_date(self, now: float) -> bool:
        """Say whether what is on the air is what this box has, and nothing better has come up."""
        return self._is_settled(now) and self.receiver.up_to_date is not None

    def _is_settled(self, now: float) -> bool:
        return now - self._since_s >= (LONGEST_SETTLE_S if self.wire.has_pending else SETTLE_S)

    def _look_around(self, now: float) -> None:
        self._looked_s = now
        self._perform(self.receiver.look_around(self.wire.heard, now), now)
        best = self.receiver.most_complete
        if best is not None:
            self._patience.expect(best.useful_symbols, best.needed_symbols, now)
            self.on_event(self._progress(best, now))
            self._notice_silence(now)
        if now - self._heard_s > REJOIN_AFTER_S:
            self.listener.rejoin()
            self._heard_s = now

    @property
    def silent_s(self) -> float:
        """How long nothing at all has been heard; infinity for never."""
        return self.clock() - self._packet_s

    def _notice_silence(self, now: float) -> None:
        """Say once that a carousel has died, and once that it is back."""
        is_silent = now - self._packet_s > SILENT_S
        if is_silent != self._is_silent and not self.receiver.is_sated:
            self._is_silent = is_silent
            text = f"nothing for {SILENT_S:.0f} s: has the carousel stopped, or the network?" if is_silent else ""
            self.on_event(Note(text or "packets come again"))

    def _progress(self, best: Assembly, now: float) -> Progress:
        heard = self.wire.heard(best.header.release_id)
        then, received = self._rate_mark
        self._rate_mark = (now, heard.received)
        if not self._is_overloaded and self.listener.socket_drops > OVERLOAD_SHARE * heard.received:
            self._is_overloaded = True
            text = "packets come faster than this box takes them: lower the carousel's rate (`headend cast --rate`), "
            self.on_event(Note(text + "or raise the socket buffer (sysctl net.core.rmem_max) if they come in bursts"))
        return Progress(
            version=best.header.version,
            useful_symbols=best.useful_symbols,
            needed_symbols=best.needed_symbols,
            received_symbols=heard.received,
            blocks_done=best.image.done_blocks,
            blocks=best.image.geometry.blocks,
            rate_bps=round(max(0, heard.received - received) * best.layout.symbol_size * 8 / max(now - then, 1e-6)),
            loss=round(heard.loss, 4),
            elapsed_s=round(now - self._since_s, 3),
        )

    def _verified(self, assembly: Assembly) -> ImageVerified:
        heard, stats = self.wire.heard(assembly.header.release_id), self.wire.stats
        return ImageVerified(
            version=assembly.header.version,
            sha256=assembly.header.image_sha256,
            image_size=assembly.header.image_size,
            elapsed_s=round(self.clock() - self._since_s, 4),
            received_symbols=heard.received,
            needed_symbols=assembly.needed_symbols,
            duplicate_symbols=stats.duplicates + stats.ignored,
            corrupt_packets=stats.corrupt,
            rejected_symbols=assembly.rejected_symbols,
            socket_drops=self.listener.socket_drops,
            loss=round(heard.loss, 4),
            rate_bps=self._heard_rate_bps(assembly),
            rejected=dict(stats.rejected),
        )

    def _heard_rate_bps(self, assembly: Assembly) -> int:
        """Return how fast symbols came once it was found: neither silence before it nor what an earlier run left."""
        heard = self.wire.heard(assembly.header.release_id)
        found_s, received = self._found[assembly.header.release_id]
        lasted_s, bits = heard.last_s - found_s, (heard.received - received) * assembly.layout.symbol_size * 8
        return round(bits / lasted_s) if lasted_s > 0 else 0

    def _wait(self, timeout_s: float, for_packets: bool) -> None:
        """Sleep until results come, or packets; then a moment more, for packets that come one by one.

        And who needs no more packets leaves them, and the core, to the workers.
        """
        timeout_ms = max(0.0, timeout_s) * 1000
        if not for_packets:
            self._results.poll(timeout_ms)
        elif self._packets_or_results.poll(timeout_ms) and (gather_s := self._patience.gather_s(self.clock())) > 0:
            self._results.poll(1000 * gather_s)
