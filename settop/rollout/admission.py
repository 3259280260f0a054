"""Between what is announced and the receiver: releases that bulletins keep from this box never reach it.

    Announcement ──► acceptable? ──► what do bulletins say? ── take it, or not known yet ──► Receiver
                                            │ not yet, halted                                   │ a bulletin comes
                                            ▼                                                   ▼
                                         withheld ◄──────────────────────────────────────── withdrawn
A box collects at once, but `choose` gives nothing away that no bulletin has spoken of, but for a carousel that has
none. Without a board all this is as if it were not there.
"""

from typing import TYPE_CHECKING

from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from settop.events import Effect, Halted, NotYet
from settop.stitch.assembly import Assembly
from settop.stitch.receiver import Receiver

if TYPE_CHECKING:  # a box that obeys no bulletins does not wait for them
    from settop.rollout.board import Board, InForce, Standing, Verdict

__all__ = ["Admission"]

MAX_WITHHELD = 64


class Admission:
    """Gives a receiver what bulletins allow."""

    def __init__(self, receiver: Receiver, board: "Board | None") -> None:
        self._receiver = receiver
        self._board = board
        self._withheld: dict[ReleaseId, tuple[SignedHeader, Standing]] = {}

    def announce(self, header: SignedHeader, now: float) -> list[Effect]:
        """Take an authentic release; one that is not for this box, or not yet, is told and kept in mind."""
        if self._board is None or not self._receiver.would_take(header):
            return self._receiver.announce(header, now)
        self._board.hear_carousel(now)
        verdict = self._board.verdict(header.release_id, now)
        if not verdict.withholds:
            self._withheld.pop(header.release_id, None)
            return self._receiver.announce(header, now)
        return self._withhold(header, verdict)

    def _withhold(self, header: SignedHeader, verdict: "Verdict") -> list[Effect]:
        known = self._withheld.get(header.release_id)
        if known is not None and known[1] is verdict.standing:
            return []
        while len(self._withheld) >= MAX_WITHHELD:
            del self._withheld[next(iter(self._withheld))]
        self._withheld[header.release_id] = (header, verdict.standing)
        event = Halted if verdict.is_halted else NotYet
        return [event(header.version, header.name, verdict.why)]

    def heed(self, now: float) -> "tuple[list[Effect], list[InForce]]":
        """Follow bulletins that came in force: what they stop is given up, what they allow is announced anew."""
        accepted = self._board.judge(now) if self._board is not None else []
        effects: list[Effect] = []
        if self._board is not None and any(each.is_decision for each in accepted):
            for header in self._receiver.headers:
                verdict = self._board.verdict(header.release_id, now)
                if verdict.withholds:
                    effects += [*self._receiver.withdraw(header.release_id), *self._withhold(header, verdict)]
            for header, _ in [*self._withheld.values()]:
                effects += self.announce(header, now)
        return effects, accepted

    # --- what to install --------------------------------------------------------------------------------

    def choose(self, now: float) -> Assembly | None:
        """Return what to install now, as the receiver does; nothing as long as no bulletin allows it."""
        chosen = self._receiver.choose(now)
        return chosen if chosen is not None and self._allows(chosen, now) else None

    def at_deadline(self, now: float) -> Assembly | None:
        """Return what to install when there is no more time."""
        chosen = self._receiver.at_deadline()
        return chosen if chosen is not None and self._allows(chosen, now) else None

    def _allows(self, assembly: Assembly, now: float) -> bool:
        if self._board is None:
            return True
        return self._board.verdict(assembly.header.release_id, now).allows

    def lacks_a_bulletin(self, now: float) -> bool:
        """Say whether something is collected that no bulletin has spoken of: packets are of use, symbols or not."""
        if self._board is None:
            return False
        board = self._board
        return any(board.verdict(each.release_id, now).is_open for each in self._receiver.headers)

    @property
    def is_withholding(self) -> bool:
        """Whether all that this box would take is kept from it, by bulletins that are on the air now."""
        is_live = self._board is not None and self._board.is_live
        return is_live and bool(self._withheld) and not self._receiver.headers
