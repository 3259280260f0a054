"""`headend cast`."""

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Annotated, Any

from carousel.console.endpoint import DEFAULT_GROUP, Endpoint
from carousel.console.quantities import parse_rate_bps
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from headend.cast.ssu import SsuFormat
from headend.cast.turning import Carousel, describe_release
from headend.commands import options
from headend.commands.options import CAROUSEL, SSU, option
from headend.commands.teller import carousel_reporter
from headend.link.sender import IP_UDP_BYTES, GroupSender
from headend.shelf import ReleaseShelf

__all__ = ["cast"]

ETHERNET_MTU = 1500

RateOption = Annotated[
    str,
    option("Bit/s of UDP payload: 500k, 50M, 1.5G.", group=CAROUSEL, metavar="RATE", envvar="BOOTCAST_RATE"),
]
CyclesOption = Annotated[int, option("Stop after so many cycles; 0: never.", group=CAROUSEL, min=0, metavar="N")]
AnnounceIntervalOption = Annotated[
    float, option("Seconds between announcements.", group=CAROUSEL, min=0.01, metavar="SECONDS")
]
SsuOption = Annotated[bool, option("Send a DVB-SSU transport stream; the rate counts its packets.", "--ssu", group=SSU)]


def cast(
    releases: options.ReleasesArgument,
    interface: options.InterfaceOption,
    group: options.GroupOption = DEFAULT_GROUP,
    rate: RateOption = "100M",
    cycles: CyclesOption = 0,
    ttl: options.TtlOption = 1,
    dscp: options.DscpOption = 0,
    announce_interval: AnnounceIntervalOption = 0.25,
    seed: options.SeedOption = 0,
    no_gso: options.NoGsoOption = False,
    as_json: options.JsonOption = False,
    ssu: SsuOption = False,
    rtp: options.RtpOption = False,
    service_id: options.ServiceIdOption = 1,
    network_id: options.NetworkIdOption = 1,
    ts_id: options.TsIdOption = 1,
    pid: options.PidOption = options.DEFAULT_PID_TEXT,
    pcr: options.PcrOption = False,
) -> None:
    """Send releases round and round. SIGHUP, or replacing a file, swaps to the new content."""
    rate_bps = parse_rate_bps(rate)
    stream = (
        options.ssu_settings(rate_bps, service_id, network_id, ts_id, pid, rtp, pcr, announce_interval) if ssu else None
    )
    settings = BroadcastSettings(stream.wire_rate_bps if stream else rate_bps, announce_interval, seed)
    endpoint, shelf, teller = Endpoint.parse(group), ReleaseShelf(releases), carousel_reporter(as_json)
    loaded = shelf.load()
    sender = GroupSender(endpoint, interface, ttl, dscp, use_gso=not no_gso)
    packet_bytes = [stream.datagram_bytes] if stream else [release.packet_size for release in loaded]
    pacing = sender.pace_by_kernel(settings.rate_bps, min(packet_bytes))
    now, lead_s = time.monotonic(), pacing.lead_s if pacing else 0.0
    settings = replace(settings, unix_offset_s=time.time() - now, lead_s=lead_s)
    ssu_format = SsuFormat(replace(stream, burst_s=lead_s / 4 or stream.burst_s)) if stream else None
    broadcaster = Broadcaster(loaded, settings, now, ssu_format)
    carousel = Carousel(broadcaster, shelf, sender, time.monotonic, time.sleep, teller.tell)
    _obey_signals(carousel)
    with closing(shelf), closing(sender), closing(teller):
        how: dict[str, Any] = {"gso": sender.uses_gso, "sendfile": sender.sends_files and not stream}
        how["paced_by"] = pacing.kind if pacing else "the head-end"
        where = {"group": str(endpoint), "interface": interface, "rate_bps": round(rate_bps)}
        teller.tell("casting", **where, **how, releases=[describe_release(release) for release in loaded])
        on_wire = 0 if interface == "lo" else max(packet_bytes) + IP_UDP_BYTES[endpoint.is_ipv6]
        for text in (*_notes(broadcaster, announce_interval, on_wire), *options.ssu_notes(ssu_format, loaded)):
            teller.tell("note", text=text)
        carousel.run(cycles)
    teller.tell("stopped", cycles=carousel.broadcaster.cycles_done)


def _obey_signals(carousel: Carousel) -> None:
    signal.signal(signal.SIGINT, lambda *_: setattr(carousel, "should_stop", True))
    signal.signal(signal.SIGTERM, lambda *_: setattr(carousel, "should_stop", True))
    signal.signal(signal.SIGHUP, lambda *_: setattr(carousel, "should_reload", True))


def _notes(broadcaster: Broadcaster, announce_interval_s: float, datagram_bytes: int) -> Iterator[str]:
    """Yield what an operator may want to know about a carousel, in words."""
    if datagram_bytes > ETHERNET_MTU:
        yield f"packets are {datagram_bytes} bytes with IP and UDP: above an MTU of {ETHERNET_MTU} they are fragmented"
    if broadcaster.announce_interval_s > announce_interval_s:
        yield f"announcements get half the rate at most: they go every {broadcaster.announce_interval_s:.2g} s"
