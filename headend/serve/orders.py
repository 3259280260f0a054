"""What the service tells the process of a carousel: the whole of what is wanted, one JSON line each time.

The last order of each carousel is kept as a file, too: a service whose registry is damaged still puts on the air what
was there.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from carousel.console.endpoint import Endpoint
from headend.cast.pair import PairRole
from headend.casting import BulletinOptions, CastOptions
from headend.registry.model import Airing, CarouselRecord, SsuStream
from headend.rolloutfile import RolloutFile

if TYPE_CHECKING:
    from headend.cast.ssu import SsuSettings

__all__ = ["Order", "OrderFolder", "Title"]


class Title(msgspec.Struct, frozen=True):
    """A release to air, and its file."""

    airing: Airing
    path: str


class Order(msgspec.Struct, frozen=True):
    """All that a carousel's process has to know; `place_file` is where it notes how far it is."""

    carousel: CarouselRecord
    titles: tuple[Title, ...]
    place_file: str
    bulletin_key: str = ""
    """The file of the key that signs bulletins; empty: there are none."""
    rollout_file: str = ""
    rate_bps: float = 0.0
    """The rate at the present time of day."""

    @property
    def is_airing(self) -> bool:
        """Whether anything is to be sent."""
        return bool(self.titles) and not self.carousel.is_paused

    def fits(self, other: "Order") -> bool:
        """Say whether what is on the air need not be opened anew for the other order: only its releases differ."""
        mine, its = (msgspec.structs.replace(each.carousel, airings=(), hours=()) for each in (self, other))
        return mine == its and self.rate_bps == other.rate_bps and self.is_airing and other.is_airing

    def options(self) -> CastOptions:
        """Return the order as `headend cast` knows it."""
        said, rate_bps = self.carousel, self.rate_bps or self.carousel.rate_bps
        return CastOptions(
            Endpoint.parse(said.group),
            said.interface,
            rate_bps,
            said.ttl,
            said.dscp,
            said.announce_interval_s,
            ssu=_stream(said.ssu, rate_bps, said.announce_interval_s) if said.ssu else None,
            pair=PairRole(said.pair) if said.pair else None,
            bulletin=self._bulletin(),
        )

    def _bulletin(self) -> BulletinOptions | None:
        if not self.bulletin_key:
            return None
        from headend.pack.keys import load_private_key  # noqa: PLC0415  only who signs needs it

        return BulletinOptions(load_private_key(Path(self.bulletin_key)), RolloutFile(Path(self.rollout_file)))


def _stream(said: SsuStream, rate_bps: float, announce_interval_s: float) -> "SsuSettings":
    from carousel.ssu.psi import Program  # noqa: PLC0415  construct, which only transport streams need
    from headend.cast.ssu import SsuSettings  # noqa: PLC0415  the same

    program = Program(said.service_id, said.ts_id, said.network_id, pmt_pid=said.pid - 1)
    clock_pid = said.pid - 2 if said.has_pcr else None
    return SsuSettings(rate_bps, program, said.pid, said.has_rtp, clock_pid, announce_interval_s)


class OrderFolder:
    """`orders/` of a data folder: the last order of each carousel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, order: Order) -> None:
        """Write an order; whole or not at all, after a crash the one before."""
        path = self._folder / f"{order.carousel.name}.json"
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(order))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)

    def forget(self, name: str) -> None:
        """Drop a carousel's order."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def load(self) -> list[Order]:
        """Return all that can be read."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Order))
            except (msgspec.MsgspecError, OSError):
                continue
        return found
