"""Reports of a box, where it is asked for them and may give them; trouble with them keeps a box from nothing."""

import time

from carousel.release.header import SignedHeader
from carousel.report import ReportKind
from settop import events
from settop.decided import board_of
from settop.link.courier import send_once
from settop.report import Reporter
from settop.rollout.reporting import report_of
from settop.store.folder import BoxFolder
from settop.store.reported import Reported

__all__ = ["report"]


def report(box: BoxFolder, kind: ReportKind, header: SignedHeader, reporter: Reporter) -> None:
    """Report of a trial, late by what a bulletin asks for; the caller has looked that this box may report at all."""
    board = board_of(box)
    if board is None:
        return
    reported, release = Reported(box.disk), header.release_id
    stages = [stage for key_id in board.epochs for stage in board.stages_of(key_id)]
    try:
        outgoing = report_of(
            kind, release, stages, board.box_id, box.report_key(), box.identity.reports_to, reported.said(release)
        )
        if outgoing is None:
            return
        reported.note(release, kind)
        time.sleep(outgoing.delay_s)
        send_once(outgoing.address, outgoing.port, outgoing.raw)
    except OSError as error:
        reporter.tell("note", text=f"a report was not sent: {error.strerror}")
        return
    done = events.Reported(kind.name.lower(), str(outgoing.address))
    reporter.tell(done.event, **events.fields_of(done))
