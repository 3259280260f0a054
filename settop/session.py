"""`settop receive`, whole: listen, report, install."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from carousel import crc, fec
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from carousel.flute.alc import DEFAULT_TSI
from carousel.flute.toi import toi_base
from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from settop.link.listener import GroupListener
from settop.link.loss import TestLoss
from settop.reception import Outcome, Reception
from settop.report import Reporter
from settop.stitch.assembly import Assembly
from settop.stitch.events import BlockVerified, Event, ImageFound, ImageRefused, ImageVerified, Suspicion
from settop.stitch.jobs import TileJob
from settop.stitch.receiver import Receiver
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from settop.store.partfile import PartFile
from settop.work.workers import WorkerPool

__all__ = ["ReceiveOptions", "receive_and_install"]

WRITE_THROUGH_S = 0.5
"""A box that is killed loses what it heard in this time."""


@dataclass(frozen=True)
class ReceiveOptions:
    """What `settop receive` is asked for."""

    endpoint: Endpoint
    interface: str
    source: str | None = None
    timeout_s: float = 60.0
    tsi: int = DEFAULT_TSI
    drop: float = 0.0
    drop_seed: int = 0
    use_gro: bool = True
    use_fec: bool = True
    workers: int = field(default_factory=lambda: min(2, os.cpu_count() or 1))
    core: int | None = None
    """The processor core that the receiving process keeps to, not its workers; None: any."""


class _Session:
    """Holds what one reception opens, and tells the reporter what happens."""

    def __init__(self, box: BoxFolder, options: ReceiveOptions, reporter: Reporter, clock: Callable[[], float]) -> None:
        self._box = box
        self._options = options
        self._reporter = reporter
        self._clock = clock
        self._parts: dict[ReleaseId, PartFile] = {}
        self._paths: dict[ReleaseId, Path] = {}
        self._rate_mark = (clock(), 0)
        self.receiver = Receiver(
            box.store.profile(), options.tsi, self._allocate, can_decode=fec.AVAILABLE and options.use_fec
        )

    def _allocate(self, header: SignedHeader, layout: ReleaseLayout) -> PartFile:
        for gone in self._parts.keys() - self.receiver.assemblies.keys():
            self._parts[gone].close()  # waits for its tiles, which come back by `_finish_tile`
            del self._parts[gone]
        part = self._box.open_part(header, layout, self._workers)
        self._parts[header.release_id] = part
        self._paths[header.release_id] = part.path
        return part

    def listen(self) -> tuple[Outcome, Assembly | None]:
        """Listen to the end; the part files are closed, and hold all that was received."""
        options = self._options
        listener = GroupListener(options.endpoint, options.interface, options.source, options.use_gro)
        self._workers = WorkerPool(max(1, options.workers), self._paths.__getitem__, self._finish_tile)
        self._tell_start(listener)
        self._since_s = self._clock()
        self._listener = listener
        self._written_s = self._since_s
        try:
            with _on_core(options.core):
                return self._reception(listener).run(options.timeout_s)
        finally:
            listener.close()
            try:
                self._close_parts()
            finally:
                self._workers.close()

    def _reception(self, listener: GroupListener) -> Reception:
        options = self._options
        return Reception(
            self.receiver,
            listener,
            self._workers,
            self._clock,
            self._on_event,
            self._on_progress,
            dropper=TestLoss(options.drop, options.drop_seed) if options.drop else None,
        )

    def _finish_tile(self, job: TileJob, is_written: bool) -> None:
        self._parts[job.release].finish_tile(job, is_written)

    def _close_parts(self) -> None:
        for part in self._parts.values():
            part.close()
        self._parts.clear()

    def _tell_start(self, listener: GroupListener) -> None:
        for note in listener.notes:
            self._reporter.tell("note", text=note)
        if not (fec.AVAILABLE and self._options.use_fec):
            text = "without RaptorQ: completing from source symbols alone, over more cycles where packets are lost"
            self._reporter.tell("note", text=text)
        self._reporter.tell(
            "listening",
            group=str(self._options.endpoint),
            interface=self._options.interface,
            crc=crc.implementation(),
            gro=listener.uses_gro,
        )

    def _on_event(self, event: Event, now: float) -> None:
        match event:
            case ImageFound(header, resumed):
                self._reporter.tell(
                    "image_found",
                    name=header.name,
                    version=str(header.version),
                    image_size=header.image_size,
                    toi_base=toi_base(header.release_id),
                    resumed=resumed,
                    elapsed_s=round(now - self._since_s, 4),
                )
            case ImageRefused(header, reason, is_up_to_date):
                if not is_up_to_date:
                    self._reporter.tell("refused", version=str(header.version), name=header.name, reason=reason)
            case Suspicion(_, sbn):
                self._reporter.tell("suspicious", block=sbn)
            case ImageVerified(header):
                self._tell_verified(self.receiver.assemblies[header.release_id], now)
            case BlockVerified():
                pass

    def _tell_verified(self, assembly: Assembly, now: float) -> None:
        counts = self.receiver.counts
        self._reporter.tell(
            "image_verified",
            version=str(assembly.header.version),
            sha256=assembly.header.image_sha256.hex(),
            elapsed_s=round(now - self._since_s, 4),
            received_symbols=assembly.received_symbols,
            needed_symbols=assembly.needed_symbols,
            duplicate_symbols=assembly.duplicate_symbols,
            corrupt_packets=counts["crc"],
            rejected_symbols=assembly.rejected_symbols + assembly.tree.forged_symbols,
            socket_drops=self._listener.socket_drops,
            loss=round(assembly.loss, 4),
            rejected={name: count for name, count in sorted(counts.items()) if count},
        )

    def _on_progress(self, now: float) -> None:
        if now - self._written_s >= WRITE_THROUGH_S:
            self._written_s = now
            for part in self._parts.values():
                part.write_through()
        assemblies = self.receiver.assemblies.values()
        if not assemblies:
            return
        best = max(assemblies, key=lambda each: each.useful_symbols)
        then, received = self._rate_mark
        self._rate_mark = (now, best.received_symbols)
        bits = (best.received_symbols - received) * best.layout.symbol_size * 8
        self._reporter.tell(
            "progress",
            version=str(best.header.version),
            useful_symbols=best.useful_symbols,
            needed_symbols=best.needed_symbols,
            received_symbols=best.received_symbols,
            blocks_done=best.image.done_blocks,
            blocks=best.image.geometry.blocks,
            rate_bps=round(max(0, bits) / max(now - then, 1e-6)),
            loss=round(best.loss, 4),
            elapsed_s=round(now - self._since_s, 3),
        )


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Keep this process on one processor core, if any, for the length of a with statement."""
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
    box: BoxFolder, options: ReceiveOptions, reporter: Reporter, clock: Callable[[], float]
) -> tuple[Outcome, Source | None]:
    """Listen, and install what was verified; return how it ended and the slot."""
    box.check_writable()
    _check_core(options.core)
    session = _Session(box, options, reporter, clock)
    outcome, assembly = session.listen()
    if assembly is None:
        _tell_end(session, outcome, options, reporter)
        return outcome, None
    slot = box.store.install(assembly.header, box.part_name(assembly.header))
    box.remove_parts()
    reporter.tell("installed", slot=slot.value, version=str(assembly.header.version))
    return outcome, slot


def _tell_end(session: _Session, outcome: Outcome, options: ReceiveOptions, reporter: Reporter) -> None:
    if outcome is Outcome.UP_TO_DATE:
        has = [each for each in session.receiver.refused.values() if each.is_up_to_date]
        reporter.tell("up_to_date", version=str(has[0].header.version))
        return
    counts = {name: count for name, count in sorted(session.receiver.counts.items()) if count}
    reporter.tell("nothing", timeout_s=options.timeout_s, heard=counts)
