"""Listens to a carousel for its bulletins alone, until this box's turn to log in has come."""

import select
from collections.abc import Callable
from contextlib import closing, suppress

from carousel.errors import OperatorError
from settop.decided import obey
from settop.events import GateWaiting, fields_of
from settop.link.listener import GroupListener
from settop.options import ReceiveOptions
from settop.report import Reporter
from settop.rollout.board import Board, InForce
from settop.rollout.turn import Entry, TurnWait
from settop.session import wire_of
from settop.stitch.seam import Bulletin
from settop.store.folder import BoxFolder

__all__ = ["wait_for_turn"]

LOOK_S = 0.1
TOLD_EVERY_S = 10.0
SOCKET_BUFFER_BYTES = 1 << 20
"""Most of what comes is of no use here; what is lost of it comes again."""


def wait_for_turn(
    box: BoxFolder,
    board: Board,
    options: ReceiveOptions,
    longest_s: float,
    is_patient: bool,
    reporter: Reporter,
    clock: Callable[[], float],
) -> Entry:
    """Return when the box may log in; at the deadline, or with the first word if not `is_patient`, what there is."""
    began = told_s = clock()
    wait, wire = TurnWait(board, began, longest_s), wire_of(box, options.but(workers=1))
    with closing(GroupListener(options.endpoint, options.interface, options.source, options.use_gro,
                               SOCKET_BUFFER_BYTES)) as listener:  # fmt: skip
        poll = select.poll()
        poll.register(listener.fileno(), select.POLLIN)
        while True:
            poll.poll(LOOK_S * 1000)
            now, pieces = clock(), listener.read()
            heard = [each.raw for each in wire.receive(listener.buffer, pieces, now) if isinstance(each, Bulletin)]
            for raw in heard:
                board.hear(raw, now)
            in_force = board.judge(now)
            if any(each.is_decision for each in in_force):
                _keep(box, in_force, reporter)
            entry = wait.look(now)
            is_known = board.is_live and not is_patient
            if entry.may or is_known or now - began >= options.timeout_s:
                return entry
            if now >= told_s:
                told_s = now + TOLD_EVERY_S
                waiting = GateWaiting(entry.why)
                reporter.tell(waiting.event, **fields_of(waiting))


def _keep(box: BoxFolder, in_force: list[InForce], reporter: Reporter) -> None:
    """Keep decisions, unless somebody else works on the box, who hears them, too."""
    with suppress(OperatorError), box.locked():
        for event in obey(box, in_force):
            reporter.tell(event.event, **fields_of(event))
