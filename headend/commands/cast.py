"""`headend cast`."""

import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

from carousel.console.endpoint import DEFAULT_GROUP, Endpoint
from carousel.console.quantities import parse_rate_bps
from headend.cast.pair import PairRole
from headend.cast.turning import Carousel
from headend.casting import CastOptions, Clocks, casting
from headend.commands import options
from headend.commands.options import CAROUSEL, NETWORK, ROLLOUT, SSU, option
from headend.commands.teller import carousel_reporter, teller_of
from headend.events import Stopped
from headend.shelf import ReleaseShelf

__all__ = ["cast"]

RateOption = Annotated[
    str,
    option("Bit/s of UDP payload: 500k, 50M, 1.5G.", group=CAROUSEL, metavar="RATE", envvar="BOOTCAST_RATE"),
]
CyclesOption = Annotated[int, option("Stop after so many cycles; 0: never.", group=CAROUSEL, min=0, metavar="N")]
AnnounceIntervalOption = Annotated[str, option("Between announcements.", group=CAROUSEL, metavar="TIME")]
PairOption = Annotated[
    PairRole | None,
    option("One of two head-ends on this group: half the rate, all of it when the other falls silent.", group=NETWORK),
]
BulletinKeyOption = Annotated[
    Path | None,
    option("Sign bulletins with this key (`headend keygen --bulletin`): what --rollout decides.", group=ROLLOUT,
           metavar="KEY"),
]  # fmt: skip
RolloutOption = Annotated[
    Path | None,
    option("The file with what is decided (`headend rollout`); read again when it is replaced.", group=ROLLOUT,
           metavar="FILE"),
]  # fmt: skip
SsuOption = Annotated[bool, option("Send a DVB-SSU transport stream; the rate counts its packets.", "--ssu", group=SSU)]


def cast(
    releases: options.ReleasesArgument,
    interface: options.InterfaceOption,
    group: options.GroupOption = DEFAULT_GROUP,
    rate: RateOption = "100M",
    cycles: CyclesOption = 0,
    ttl: options.TtlOption = 1,
    dscp: options.DscpOption = 0,
    announce_interval: AnnounceIntervalOption = options.DEFAULT_ANNOUNCE_INTERVAL_TEXT,
    seed: options.SeedOption = 0,
    no_gso: options.NoGsoOption = False,
    as_json: options.JsonOption = False,
    pair: PairOption = None,
    bulletin_key: BulletinKeyOption = None,
    rollout: RolloutOption = None,
    ssu: SsuOption = False,
    rtp: options.RtpOption = False,
    service_id: options.ServiceIdOption = 1,
    network_id: options.NetworkIdOption = 1,
    ts_id: options.TsIdOption = 1,
    pid: options.PidOption = options.DEFAULT_PID_TEXT,
    pcr: options.PcrOption = False,
) -> None:
    """Send releases round and round. SIGHUP, or replacing a file, swaps to the new content."""
    rate_bps, announce_interval_s = parse_rate_bps(rate), options.parse_announce_interval_s(announce_interval)
    stream = None
    if ssu:
        stream = options.ssu_settings(rate_bps, service_id, network_id, ts_id, pid, rtp, pcr, announce_interval_s)
    asked = CastOptions(
        Endpoint.parse(group),
        interface,
        rate_bps,
        ttl,
        dscp,
        announce_interval_s,
        seed,
        not no_gso,
        stream,
        pair,
        options.bulletin_options(bulletin_key, rollout),
    )
    clocks = Clocks(time.monotonic, time.time, time.sleep)
    with closing(carousel_reporter(as_json)) as reporter, closing(ReleaseShelf(releases)) as shelf:
        tell = teller_of(reporter)
        with casting(asked, shelf, clocks, tell) as carousel:
            _obey_signals(carousel)
            carousel.run(cycles)
        tell(Stopped(carousel.broadcaster.cycles_done))


def _obey_signals(carousel: Carousel) -> None:
    signal.signal(signal.SIGINT, lambda *_: setattr(carousel, "should_stop", True))
    signal.signal(signal.SIGTERM, lambda *_: setattr(carousel, "should_stop", True))
    signal.signal(signal.SIGHUP, lambda *_: setattr(carousel, "should_reload", True))
