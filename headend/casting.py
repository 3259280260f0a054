"""A carousel on a real network: the one driver, which opens the sockets that a broadcaster needs and says how it casts.

`headend cast` is this and its options; each carousel of the service is this in a process of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carousel.console.endpoint import Endpoint
from carousel.flute.releasefile import Release
from carousel.printable import printable
from headend.cast.broadcaster import Broadcaster
from headend.cast.flute import FluteFormat
from headend.cast.notices import NO_NOTICES, Notices
from headend.cast.pair import Pair, PairRole
from headend.cast.settings import BroadcastSettings
from headend.cast.turning import Carousel, Shelf
from headend.events import Casting, Note, OnAir, Tell
from headend.link.ear import GroupEar
from headend.link.sender import IP_UDP_BYTES, GroupSender
from headend.rolloutfile import RolloutFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from headend.cast.ssu import SsuFormat, SsuSettings

__all__ = ["BulletinOptions", "CastOptions", "Clocks", "casting", "ssu_notes"]

ETHERNET_MTU = 1500
LOADER_PATIENCE_S = 200
"""How long a loader in the field waits for all blocks."""


@dataclass(frozen=True)
class BulletinOptions:
    """The key that signs bulletins, and the file with what is decided, which is read again whenever it is replaced."""

    key: "Ed25519PrivateKey"
    rollout: RolloutFile


@dataclass(frozen=True)
class CastOptions:
    """Where to cast, how fast, and how; `rate_bps` counts UDP payload, or transport packets with `ssu`."""

    endpoint: Endpoint
    interface: str
    rate_bps: float
    ttl: int = 1
    dscp: int = 0
    announce_interval_s: float = 0.25
    seed: int = 0
    use_gso: bool = True
    ssu: "SsuSettings | None" = None
    pair: PairRole | None = None
    bulletin: BulletinOptions | None = None


@dataclass(frozen=True)
class Clocks:
    """Time as a driver needs it: monotonic and unix, in seconds, and a way to wait.

    `day_s` says how many seconds after midnight it is, local time, at a unix time; UTC unless somebody knows better.
    """

    now: Callable[[], float]
    unix: Callable[[], float]
    wait: Callable[[float], None]
    day_s: Callable[[float], float] = lambda unix_s: unix_s % 86_400


@contextmanager
def casting(options: CastOptions, shelf: Shelf, clocks: Clocks, tell: Tell) -> Iterator[Carousel]:
    """Open what a carousel of the shelf's releases needs, for the length of a with statement; `run` turns it."""
    releases = shelf.load()
    with ExitStack() as open_things:
        sender = GroupSender(options.endpoint, options.interface, options.ttl, options.dscp, options.use_gso)
        open_things.enter_context(closing(sender))
        settings = _settings(options, sender, releases, clocks)
        desk = _desk(options, settings)
        stream = _stream(options, settings, desk)
        wire_format = stream or FluteFormat(settings, _notices(desk))
        broadcaster = Broadcaster(releases, settings, clocks.now(), wire_format, shelf.demands())
        pair = None
        if options.pair is not None:
            ear = GroupEar(options.endpoint, options.interface, sender.sent_from)
            open_things.enter_context(closing(ear))
            pair = Pair(options.pair, ear, settings.rate_bps, clocks.now())
        tell(
            Casting(
                group=str(options.endpoint),
                interface=options.interface,
                rate_bps=round(options.rate_bps),
                gso=sender.uses_gso,
                sendfile=sender.sends_files and stream is None,
                paced_by=sender.paced_by or "the head-end",
                releases=tuple(map(OnAir.of, releases)),
            )
        )
        for text in (*_notes(options, broadcaster, releases), *ssu_notes(stream, releases)):
            tell(Note(text))
        yield Carousel(broadcaster, shelf, sender, clocks.now, clocks.wait, tell, pair, desk)


def _settings(options: CastOptions, sender: GroupSender, releases: list[Release], clocks: Clocks) -> BroadcastSettings:
    """Let the kernel space the packets where it can, and cut bursts to what it takes."""
    rate_bps = options.ssu.wire_rate_bps if options.ssu else options.rate_bps
    pacing = sender.pace_by_kernel(rate_bps, min(_packet_sizes(options, releases)))
    lead_s = pacing.lead_s if pacing else 0.0
    is_second = options.pair is PairRole.SECOND
    return BroadcastSettings(
        rate_bps,
        options.announce_interval_s,
        options.seed,
        unix_offset_s=clocks.unix() - clocks.now(),
        lead_s=lead_s,
        begin_share=0.5 if is_second else 0.0,
        fdt_step=2 if options.pair else 1,
        fdt_rest=1 if is_second else 0,
    )


def _stream(options: CastOptions, settings: BroadcastSettings, desk: "RolloutDesk | None") -> "SsuFormat | None":
    """Return the transport stream, if it is to be one."""
    if options.ssu is None:
        return None
    from headend.cast.ssu import SsuFormat  # noqa: PLC0415  construct, which only transport streams need

    lead_s = settings.lead_s
    return SsuFormat(options.ssu.with_bursts_of(lead_s / 4) if lead_s else options.ssu, _notices(desk))


def _desk(options: CastOptions, settings: BroadcastSettings) -> "RolloutDesk | None":
    """Return what speaks for the decisions, if anybody decides; `OperatorError` where they can't be read."""
    if options.bulletin is None:
        return None
    return RolloutDesk(options.bulletin.rollout, Notices(options.bulletin.key, settings.unix_offset_s))


def _notices(desk: "RolloutDesk | None") -> Notices:
    return desk.notices if desk else NO_NOTICES


class RolloutDesk:
    """Keeps what the air says in step with a file of decisions."""

    def __init__(self, file: RolloutFile, notices: Notices) -> None:
        self.notices = notices
        self._file = file
        self.tend()

    def tend(self) -> int | None:
        """Take over decisions that were replaced; return their epoch if it is another one."""
        if not self._file.has_changed():
            return None
        before = self.notices.epoch
        decisions = self._file.load()
        self.notices.decide(decisions, self._file.value_of)
        return decisions.epoch if decisions.epoch != before else None


def _packet_sizes(options: CastOptions, releases: list[Release]) -> list[int]:
    return [options.ssu.datagram_bytes] if options.ssu else [release.packet_size for release in releases]


def _notes(options: CastOptions, broadcaster: Broadcaster, releases: list[Release]) -> Iterator[str]:
    """Yield what an operator may want to know about a carousel, in words."""
    datagram_bytes = max(_packet_sizes(options, releases)) + IP_UDP_BYTES[options.endpoint.is_ipv6]
    if datagram_bytes > ETHERNET_MTU and options.interface != "lo":
        yield f"packets are {datagram_bytes} bytes with IP and UDP: above an MTU of {ETHERNET_MTU} they are fragmented"
    if broadcaster.announce_interval_s > options.announce_interval_s:
        yield f"announcements get half the rate at most: they go every {broadcaster.announce_interval_s:.2g} s"


def ssu_notes(stream: "SsuFormat | None", releases: list[Release]) -> Iterator[str]:
    """Yield what an operator may want to know about an update service, in words."""
    if stream is None:
        return
    for release in releases:
        if not any(release.annex) and stream.shares_datagrams(release):
            name = printable(release.header.name)
            yield f"{name} was not packed with --ssu: its symbols share datagrams, and a lost one costs two of them"
    cycle_s = len(releases) * max(map(stream.cycle_s, releases))
    if cycle_s > LOADER_PATIENCE_S:
        yield (
            f"a cycle takes {cycle_s:.0f} s, and loaders in the field wait {LOADER_PATIENCE_S} s for all blocks: "
            f"{cycle_s / LOADER_PATIENCE_S:.1f} times the rate would do"
        )
