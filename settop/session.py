"""`settop receive`, whole: listen, report, install."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from carousel import crc
from carousel.console.quantities import format_size_bytes
from carousel.errors import OperatorError
from carousel.fec import codec, why_not_native
from carousel.release.header import SignedHeader
from carousel.release.layout import ReleaseLayout
from settop.blame import why_nothing
from settop.decided import board_of, obey
from settop.events import (
    BulletinHeard,
    Event,
    ImageRefused,
    Installed,
    Kept,
    Listening,
    Note,
    Nothing,
    UpToDate,
    fields_of,
)
from settop.link.listener import GroupListener
from settop.link.loss import TestLoss
from settop.options import Outcome, ReceiveOptions
from settop.reception import Reception
from settop.report import Reporter
from settop.stitch.assembly import Assembly
from settop.stitch.receiver import MAX_CANDIDATES, Receiver
from settop.stitch.seam import Wire
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from settop.store.partfile import NoRoomError, PartFile
from settop.wire.flute import FluteWire
from settop.work.budget import MemoryBudget
from settop.work.threads import WorkThreads

if TYPE_CHECKING:
    from settop.rollout.board import InForce

__all__ = ["MoreTime", "receive_and_install", "wire_of"]

MoreTime = Callable[[float], None]
"""Ask whoever waits for this box to wait so many seconds from now on."""
MAX_REFUSALS = 3
"""So many reasons are said again at the end."""
INSTALL_LEAST_S = 30.0
INSTALL_BYTES_PER_S = 2e6
"""An install that takes longer than this slow medium would is taken for hung."""


class _Session:
    """One reception of one box: opens what it needs, and tells what happens."""

    def __init__(self, box: BoxFolder, options: ReceiveOptions, teller: Reporter, clock: Callable[[], float]) -> None:
        self.box, self.options, self.teller, self.clock = box, options, teller, clock
        self._live_parts: list[PartFile] = []
        self._budget = MemoryBudget(self.options.memory_bytes)
        self._threads = self._budget.threads(max(1, self.options.workers))
        self._refusals: dict[str, str] = {}

    def listen(self) -> tuple[Outcome, Assembly | None]:
        """Listen to the end; the part files are closed, and hold all that was received."""
        options = self.options
        with ExitStack() as stack:
            listener = GroupListener(
                options.endpoint, options.interface, options.source, options.use_gro,
                is_small=options.memory_bytes is not None,
            )  # fmt: skip
            stack.callback(listener.close)
            work = WorkThreads(self._threads, codec())
            stack.callback(work.close)
            self._tell_start(listener)
            loss = TestLoss(options.drop, options.drop_seed) if options.drop else None
            profile = self.box.store.profile(options.allows_older)
            wire = wire_of(self.box, options)
            receiver = Receiver(profile, options.use_fec, self.clock(), self._budget.draft_bytes)
            stack.enter_context(_on_core(options.core))
            board = board_of(self.box)
            reception = Reception(
                receiver, listener, wire, work, self._open_part, self._tell, self.clock,
                test_loss=loss, board=board, on_decided=self._decided,
            )  # fmt: skip
            stack.callback(reception.close)
            try:
                outcome, assembly = reception.run(options.timeout_s)
            except KeyboardInterrupt:
                self._tell_kept(receiver)
                raise
            if outcome is Outcome.UP_TO_DATE and receiver.up_to_date is not None:
                self._tell(UpToDate(receiver.up_to_date.version))
            elif assembly is None and outcome is not Outcome.NOT_YET:
                share = _share(receiver)
                refused = tuple(self._refusals.values()) if outcome is Outcome.REFUSED else ()
                why = why_nothing(wire.stats, share, reception.silent_s, refused)
                self._tell(Nothing(options.timeout_s, dict(wire.stats.rejected), why))
                if share is None and wire.stats.unknown_keys:
                    outcome = Outcome.REFUSED
            return outcome, assembly

    def _decided(self, in_force: "list[InForce]") -> None:
        """Keep what came in force, then give up what it stops: cut in between, the next start does so."""
        for each in in_force:
            if each.is_decision:
                self._tell(BulletinHeard(each.claim.epoch, each.claim.key_id))
        for event in obey(self.box, in_force):
            self._tell(event)

    def _tell_kept(self, receiver: Receiver) -> None:
        share = _share(receiver)
        if share:
            self._tell(Kept(round(share, 4)))

    def _open_part(self, header: SignedHeader, layout: ReleaseLayout) -> PartFile:
        """Open a release's part file, new or as an earlier run left it.

        The oldest others make room, all of them if need be, but never those that are being received.
        """
        self._live_parts = [part for part in self._live_parts if not part.is_closed]
        name = self.box.part_name(header)
        live = {name, *(part.path.name for part in self._live_parts)}
        self._check_memory([layout, *(part.layout for part in self._live_parts)])
        self.box.store.take_back(header, name)
        self.box.remove_parts(keep=max(0, MAX_CANDIDATES - len(live)), but=live)
        try:
            part = PartFile(self.box.path / name, layout, self.options.use_fec)
        except NoRoomError:
            if not self.box.remove_parts(but=live):
                raise
            part = PartFile(self.box.path / name, layout, self.options.use_fec)
        self._live_parts.append(part)
        return part

    def _check_memory(self, layouts: list[ReleaseLayout]) -> None:
        if not self._budget.allows(layouts, self._threads):
            needed = format_size_bytes(self._budget.needed_bytes(layouts, self._threads))
            raise NoRoomError(f"receiving it needs {needed} of memory, more than --memory allows")

    def _tell(self, event: Event) -> None:
        if isinstance(event, ImageRefused) and len(self._refusals) < MAX_REFUSALS:
            self._refusals[event.name] = event.reason
        if event.event:
            self.teller.tell(event.event, **fields_of(event))

    def _tell_start(self, listener: GroupListener) -> None:
        for text in listener.notes:
            self._tell(Note(text))
        if (missing := why_not_native()) is not None:
            self._tell(Note(missing))
        if not self.options.use_fec:
            text = "without RaptorQ: completing from source symbols alone, over more cycles where packets are lost"
            self._tell(Note(text))
        endpoint, interface = str(self.options.endpoint), self.options.interface
        self._tell(Listening(endpoint, interface, crc.implementation(), listener.uses_gro))


def wire_of(box: BoxFolder, options: ReceiveOptions) -> Wire:
    """Return what makes sense of this transport's datagrams."""
    if not options.is_ssu:
        return FluteWire(options.tsi, box.trust, int.from_bytes(os.urandom(8)))
    from settop.wire.ssu import SsuWire  # noqa: PLC0415  construct, which only transport streams need

    oui = box.hardware.oui if options.oui is None else options.oui
    return SsuWire(box.trust, frozenset([oui]), options.is_rtp)


def _share(receiver: Receiver) -> float | None:
    """Return how much of the most complete release is here; None if none was found."""
    best = receiver.most_complete
    return min(1.0, best.useful_symbols / best.needed_symbols) if best is not None else None


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Keep this thread on one processor core, if any, for the length of a with statement."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _check_core(core: int | None) -> None:
    known = os.sched_getaffinity(0)
    if core is not None and core not in known:
        raise OperatorError(f"this process may not use core {core}; there are {', '.join(map(str, sorted(known)))}")


def receive_and_install(
    box: BoxFolder,
    options: ReceiveOptions,
    teller: Reporter,
    clock: Callable[[], float],
    more_time: MoreTime = lambda seconds: None,
) -> tuple[Outcome, Source | None]:
    """Listen, and install what was verified; return how it ended and the slot."""
    box.check_writable()
    _check_core(options.core)
    session = _Session(box, options, teller, clock)
    outcome, assembly = session.listen()
    if assembly is None:
        return outcome, None
    header, proof = assembly.header, assembly.proof()  # before the digests' part of the file goes
    more_time(INSTALL_LEAST_S + header.image_size / INSTALL_BYTES_PER_S)
    slot = box.store.install(header, box.part_name(header), proof.holds if proof is not None else None)
    box.remove_parts()
    installed = Installed(slot.value, header.version)
    teller.tell(installed.event, **fields_of(installed))
    return outcome, slot
