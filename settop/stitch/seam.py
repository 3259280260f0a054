"""The seam between a transport and the stitching (docs/architecture.md): what comes off the air, in no wire's terms.

    link ──packets──► Wire ──Symbols | Announcement | Bulletin──► Receiver ──Job──► work
                       ▲ │                                            │
                       │ └──────────── symbols ──► Landing ◄──────────┘ reads and judges
                       └── open, close, forget ── driver ◄── Collect, GivenUp

A transport takes a wake-up's packets, puts their symbols where they belong (`Landing`, memory that the driver owns) and
says which ones came. It believes nothing but a signature: an `Announcement` is authentic, symbols are anybody's. What
names a release is its `ReleaseId`; TOIs, PIDs and module numbers stay behind the seam.
"""

from collections.abc import Sequence
from typing import Protocol

from carousel.buffers import Buffer, IntArray
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing, Piece

__all__ = ["Announcement", "Arrival", "Bulletin", "Heard", "Symbols", "Wire", "WireStats"]


class Symbols(Frozen, eq=False):
    """Symbols that have landed: their bytes lie in the landing of their level, and its marks are set.

    `rows` (as in `ObjectGeometry.row_of`) are held now and were not before, in the order of arrival. `filled` are the
    SBNs that want no more since this take.
    """

    release: ReleaseId
    level: int
    """0 is the image, i the digest level i."""
    rows: IntArray
    filled: tuple[int, ...]


class Announcement(Frozen):
    """A header signed by a trusted key. It comes once, until the wire is told to forget it."""

    header: SignedHeader


class Bulletin(Frozen):
    """A signed decision about the service, not read by the wire."""

    raw: bytes


Arrival = Symbols | Announcement | Bulletin


class Heard(Frozen):
    """What was heard of one release, wanted or not."""

    last_s: float
    """When anything of it was heard last, its announcement included; minus infinity for never."""
    received: int = 0
    """The image's symbols, duplicates and ignored ones included."""
    lost: int = 0
    """Symbols that the network lost, as far as gaps in the transmit order tell, out of `expected`."""
    expected: int = 0

    @property
    def loss(self) -> float:
        """The share of packets that the network lost."""
        return self.lost / self.expected if self.expected else 0.0


class WireStats(Frozen):
    """What became of packets that brought no symbol and no news, since the wire began.

    `rejected` names every reason that occurred; the names are the transport's own.
    """

    corrupt: int = 0
    """Packets whose CRC-32 was wrong."""
    duplicates: int = 0
    """Symbols that were held already."""
    ignored: int = 0
    """Symbols of blocks that want no more."""
    rejected: tuple[tuple[str, int], ...] = ()
    unknown_keys: tuple[str, ...] = ()
    """IDs of some keys that headers claim and this box does not trust; anybody may claim anything."""


class Wire(Protocol):
    """A transport's bytes made sense of. Sans-IO; nothing that the network sends makes it grow or raise."""

    def receive(self, buffer: Buffer, pieces: Sequence[Piece], now: float) -> list[Arrival]:
        """Take all packets of a wake-up: the plain ones with one native call, the others by a slower way."""

    def open(
        self, header: SignedHeader, layout: ReleaseLayout, landings: Sequence[Landing], now: float
    ) -> list[Symbols]:
        """Let a release's symbols land from now on, level i in landing i; return what came before its header."""

    def take_again(self) -> list[Symbols]:
        """Return what else lands of the last wake-up (or of what came early) now that forged symbols were dropped.

        To be asked before the next wake-up, and again while symbols are dropped, `TAKES_AGAIN` times at most.
        """

    def close(self, release: ReleaseId) -> None:
        """Touch this release's landings no more."""

    def forget(self, release: ReleaseId) -> None:
        """Announce this release anew when it is heard again: it was given up, or there was no room for it."""

    def heard(self, release: ReleaseId) -> Heard:
        """Return what was heard of a release, opened or not: the most heard ones are known."""

    @property
    def has_pending(self) -> bool:
        """Whether headers wait for their signature check."""

    @property
    def stats(self) -> WireStats:
        """What became of the other packets."""
