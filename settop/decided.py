"""What a box's folder and bulletins have to do with each other: decisions are kept there, and stop what is on trial."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from settop.events import Event, Note, TrialHalted
from settop.store.choice import Source
from settop.store.folder import BoxFolder

if TYPE_CHECKING:
    from settop.rollout.board import Board, InForce

__all__ = ["board_of", "obey"]


def board_of(box: BoxFolder) -> "Board | None":
    """Return what bulletins said so far; None for a box that obeys none."""
    trust = box.identity.bulletin_trust
    if not trust.keys:
        return None
    from settop.rollout.board import Board  # noqa: PLC0415  a box that obeys no bulletins does not wait for it

    return Board(trust, box.identity.box_id, box.bulletins.packets(trust.keys))


def obey(box: BoxFolder, in_force: "Iterable[InForce]" = ()) -> Iterator[Event]:
    """Keep new decisions, and give up an image on trial whose roll-out is halted; the caller holds the box's lock."""
    for each in in_force:
        if each.is_decision:
            try:
                box.bulletins.keep(each.claim, each.raw)
            except OSError as error:
                yield Note(f"a bulletin can't be kept ({error.strerror}): an older one may be believed after a restart")
    board, source = board_of(box), box.store.on_trial()
    header = box.store.header(source) if source is not None else None
    if board is None or source is None or header is None:
        return
    verdict = board.verdict(header.release_id, 0.0)
    if verdict.is_halted and box.store.halt(header.image_sha256) is Source(source):
        yield TrialHalted(source.value, header.version, verdict.why)
