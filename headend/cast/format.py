"""What a transport is to a carousel: how the rows of a release file look on the wire, and what goes by time."""

from typing import Protocol

from carousel.batch import Batch
from carousel.flute.releasefile import Release

__all__ = ["Format"]


class Format(Protocol):
    """One transport; the broadcaster says which rows are next, and hands out what this makes of them."""

    def replace(self, releases: list[Release], now: float) -> None:
        """Carry these releases from now on, announcing them at once; `OperatorError`: it can't, nothing has changed."""

    def burst_rows(self, release: Release) -> int:
        """Return how many rows of a release make up one burst."""

    def render(self, release: Release, first: int, count: int) -> list[Batch]:
        """Return the datagrams that carry `count` rows of a release file, from row `first` on."""

    def announcements(self, now: float) -> list[Batch]:
        """Return the datagrams that are due by time; they count as sent."""

    @property
    def announce_interval_s(self) -> float:
        """Seconds between announcements: as asked for, but so long that images get half the rate."""
