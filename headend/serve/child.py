"""The process of one carousel: casts what the last order says, until nobody gives orders any more.

Orders come as lines on standard input, events go as lines to standard output, as `headend cast --json` writes them.
What is sent, and how, is `headend.casting`: there is no second data path. The end of the input, or of the parent, is
the end.
"""

import ctypes
import os
import select
import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from carousel.console.command import in_a_sentence
from carousel.errors import BootcastError
from carousel.flute.releasefile import Release
from headend.cast.shares import Demand
from headend.cast.turning import Carousel
from headend.casting import Clocks, casting
from headend.events import Event, Status, fields_of
from headend.registry.decisions import demands_of
from headend.serve.orders import Order
from headend.serve.places import PlaceFile
from headend.shelf import ReleaseShelf

__all__ = ["Inbox", "OrderedShelf", "attend", "die_with_parent"]

NOTE_S = 0.05
RETRY_S = 1.0
"""How long an interface that can't be used is waited for, before it is tried again."""
REOPEN_S = 5.0
"""After so much trouble without a break the socket is opened anew: an interface may have come back as another one."""
PR_SET_PDEATHSIG = 1

Tell = Callable[..., None]


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent goes, however that goes; at once if it is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


class Inbox:
    """Orders as they come in: waiting for time to pass is waiting for an order."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._partial = b""
        self.newest: Order | None = None
        self.is_closed = False

    def look(self, pause_s: float) -> bool:
        """Wait so long at most; say whether there is news."""
        ready, _, _ = select.select([self._descriptor], [], [], pause_s)
        if not ready:
            return False
        raw = os.read(self._descriptor, 1 << 16)
        self.is_closed = not raw
        *lines, self._partial = (self._partial + raw).split(b"\n")
        for line in lines[-1:]:
            self.newest = msgspec.json.decode(line, type=Order)
        return bool(lines) or self.is_closed


class OrderedShelf:
    """The releases of the newest order."""

    def __init__(self, order: Order, clocks: Clocks) -> None:
        self._clocks = clocks
        self._shelves: dict[str, ReleaseShelf] = {}
        self._unwanted: list[ReleaseShelf] = []
        self._loaded: Order | None = None
        self.order = order

    def has_changed(self) -> bool:
        """Say whether the order is another than `load` saw. Files are named by what is in them, and never change."""
        return self.order is not self._loaded

    def load(self) -> list[Release]:
        """Open what the order names; what was open stays the same object."""
        self._loaded = self.order
        wanted = {title.airing.release: Path(title.path) for title in self.order.titles}
        for key, path in wanted.items():
            if key not in self._shelves:
                self._shelves[key] = ReleaseShelf([path])
        releases = [self._shelves[key].load()[0] for key in wanted]
        self._unwanted += [self._shelves.pop(key) for key in self._shelves.keys() - wanted.keys()]
        return releases

    def demands(self) -> Sequence[Demand]:
        """Say how much each is wanted."""
        airings = [title.airing for title in self.order.titles]
        return demands_of(airings, self._clocks.now(), self._clocks.unix())

    def close_replaced(self) -> None:
        """Close the files of releases that are cast no more."""
        for shelf in self._unwanted:
            shelf.close()
        self._unwanted.clear()

    def close(self) -> None:
        """Close all."""
        self.close_replaced()
        for shelf in self._shelves.values():
            shelf.close()


def attend(inbox: Inbox, clocks: Clocks, tell: Tell) -> None:
    """Do what orders say until there are none any more."""
    while not inbox.is_closed:
        order = inbox.newest
        if order is None or not order.is_airing:
            inbox.look(RETRY_S)
            continue
        _bind(order.carousel.core, tell)
        try:
            _air(order, inbox, clocks, tell)
        except (BootcastError, OSError) as error:
            tell("trouble", reason=in_a_sentence(error))
            inbox.look(RETRY_S)
    tell("stopped")


def _air(order: Order, inbox: Inbox, clocks: Clocks, tell: Tell) -> None:
    """Cast until an order comes that needs another socket, rate, or nothing on the air."""
    with closing(PlaceFile(Path(order.place_file))) as places, closing(OrderedShelf(order, clocks)) as shelf:
        airing = _Airing(order, inbox, places, shelf, clocks, tell)
        with casting(order.options(), shelf, replace(clocks, wait=airing.wait), airing.tell) as carousel:
            places.resume(carousel.broadcaster)
            airing.carousel = carousel
            carousel.run(cycles=0)
            places.note(carousel.broadcaster.places)


class _Airing:
    """What goes on beside the sending, while it waits for the next packet to be due."""

    def __init__(
        self, order: Order, inbox: Inbox, places: PlaceFile, shelf: OrderedShelf, clocks: Clocks, tell: Tell
    ) -> None:
        self.carousel: Carousel | None = None
        self._order, self._inbox, self._places, self._shelf = order, inbox, places, shelf
        self._clocks, self._tell = clocks, tell
        self._note_at_s = clocks.now()
        self._sent_at_s = clocks.now()

    def wait(self, pause_s: float) -> None:
        """Wait for time to pass, or for an order."""
        is_news = self._inbox.look(pause_s)
        now = self._clocks.now()
        if self.carousel is None:
            return
        if is_news:
            self._obey(self.carousel)
        if now >= self._note_at_s:
            self._note_at_s = now + NOTE_S
            self._places.note(self.carousel.broadcaster.places)

    def _obey(self, carousel: Carousel) -> None:
        wanted = self._inbox.newest
        if self._inbox.is_closed or wanted is None or not self._order.fits(wanted):
            carousel.should_stop = True
        elif wanted is not self._shelf.order:
            self._shelf.order = wanted
            carousel.should_reload = True

    def tell(self, event: Event) -> None:
        """Pass an event on; with a status goes where each release stands. A carousel too busy to wait looks here."""
        fields = fields_of(event)
        if isinstance(event, Status) and self.carousel is not None:
            fields["places"] = [
                {
                    "id": str(place.release.header.release_id),
                    "cycle": place.cycle,
                    "part": round(place.packet / place.release.image_packets, 4),
                    "share": round(place.share, 4),
                }
                for place in self.carousel.broadcaster.places
            ]
            self._places.note(self.carousel.broadcaster.places)
            if self._inbox.look(0):
                self._obey(self.carousel)
            now = self._clocks.now()
            if event.packets or not event.errors:
                self._sent_at_s = now
            elif now - self._sent_at_s > REOPEN_S:
                self.carousel.should_stop = True
        self._tell(event.event, **fields)


def _bind(core: int | None, tell: Tell) -> None:
    if core is None:
        return
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        tell("note", text=f"processor {core} can't be had: {in_a_sentence(error)}")
