"""Options that several commands of `headend` share, and what they are read into."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from carousel.console.declared import Argument, Option
from carousel.console.quantities import parse_duration_s
from carousel.errors import UsageError
from carousel.flute.tsi import DEFAULT_TSI

if TYPE_CHECKING:
    from headend.cast.ssu import SsuSettings
    from headend.casting import BulletinOptions

__all__ = [
    "DEFAULT_ANNOUNCE_INTERVAL_TEXT",
    "DEFAULT_PID_TEXT",
    "DEFAULT_TSI_TEXT",
    "bulletin_options",
    "parse_announce_interval_s",
    "parse_tsi",
    "ssu_settings",
]

DEFAULT_TSI_TEXT = hex(DEFAULT_TSI)
NETWORK, CAROUSEL, ROLLOUT, SSU, OUTPUT = "Network", "Carousel", "Roll-out", "DVB-SSU", "Output"
"""The groups that options stand in."""


def option(
    text: str,
    *names: str,
    group: str,
    metavar: str | None = None,
    envvar: str | None = None,
    min: float | None = None,
    max: float | None = None,
) -> Option:
    """Declare an option in a group."""
    return Option(text, names, group, metavar, envvar, min, max)


ReleasesArgument = Annotated[
    list[Path],
    Argument("Release files; several share the rate, larger ones more (as the root of their sizes).", "RELEASE..."),
]
GROUP_TEXT = "Multicast group and port: 239.255.77.1:5077 or [ff15::4d]:5077."
GroupOption = Annotated[str, option(GROUP_TEXT, group=NETWORK, metavar="GROUP:PORT", envvar="BOOTCAST_GROUP")]
InterfaceOption = Annotated[
    str, option("Send on this interface: eth0, lo.", group=NETWORK, metavar="NAME", envvar="BOOTCAST_INTERFACE")
]
TtlOption = Annotated[
    int, option("How many routers packets may pass, plus one.", group=NETWORK, min=0, max=255, metavar="HOPS")
]
DscpOption = Annotated[int, option("DSCP of the packets.", group=NETWORK, min=0, max=63, metavar="0..63")]
NoGsoOption = Annotated[bool, option("Send packets one by one, as on old kernels.", "--no-gso", group=NETWORK)]
SeedOption = Annotated[int, option("Seed of the order of cycles.", group=CAROUSEL, min=0, metavar="N")]
JsonOption = Annotated[bool, option("One JSON object a line.", "--json", group=OUTPUT)]

RtpOption = Annotated[bool, option("Behind RTP headers (payload type 33).", "--rtp", group=SSU)]
ServiceIdOption = Annotated[int, option("The service's number.", group=SSU, min=1, max=0xFFFF, metavar="N")]
NetworkIdOption = Annotated[int, option("network_id of the NIT.", group=SSU, min=1, max=0xFFFF, metavar="N")]
TsIdOption = Annotated[int, option("transport_stream_id.", group=SSU, min=1, max=0xFFFF, metavar="N")]
PidOption = Annotated[
    str,
    option("The first release's PID; the PMT has the one below, sidecars the ones above.", group=SSU, metavar="PID"),
]
PcrOption = Annotated[bool, option("Send a PCR, on the PID two below --pid.", "--pcr", group=SSU)]
DEFAULT_PID_TEXT = "0x101"
DEFAULT_ANNOUNCE_INTERVAL_TEXT = "250ms"
MIN_ANNOUNCE_INTERVAL_S = 0.01
MIN_PID = 0x22
"""Of the first release, so that PCR and PMT fit below it."""


def ssu_settings(
    rate_bps: float,
    service_id: int,
    network_id: int,
    ts_id: int,
    pid: str,
    rtp: bool,
    pcr: bool,
    announce_interval_s: float = 0.25,
) -> "SsuSettings":
    """Read the options of an update service; `UsageError` where they don't go together."""
    from carousel.ssu.psi import Program  # noqa: PLC0415  construct, which only transport streams need
    from headend.cast.ssu import MAX_RELEASES, SsuSettings  # noqa: PLC0415  the same

    first_pid, max_pid = parse_number(pid, "PID"), 0x1FFE - 2 * MAX_RELEASES
    if not MIN_PID <= first_pid <= max_pid:
        raise UsageError(f"--pid {pid} is not between {MIN_PID:#x} and {max_pid:#x}: others have their own use")
    program = Program(service_id, ts_id, network_id, pmt_pid=first_pid - 1)
    clock_pid = first_pid - 2 if pcr else None
    return SsuSettings(rate_bps, program, first_pid, rtp, clock_pid, announce_interval_s)


def bulletin_options(key: Path | None, rollout: Path | None) -> "BulletinOptions | None":
    """Read who signs bulletins, and where the decisions are; both or none."""
    if key is None and rollout is None:
        return None
    if key is None or rollout is None:
        raise UsageError("--bulletin-key and --rollout go together: who signs, and what is decided")
    from headend.casting import BulletinOptions  # noqa: PLC0415  only who casts needs these
    from headend.pack.keys import load_private_key  # noqa: PLC0415
    from headend.rolloutfile import RolloutFile  # noqa: PLC0415

    return BulletinOptions(load_private_key(key), RolloutFile(rollout))


def parse_announce_interval_s(text: str) -> float:
    """Read how long it is between announcements."""
    interval_s = parse_duration_s(text)
    if interval_s < MIN_ANNOUNCE_INTERVAL_S:
        raise UsageError(f"--announce-interval {text!r} is shorter than 10ms")
    return interval_s


def parse_tsi(text: str) -> int:
    tsi = parse_number(text, "TSI")
    if tsi >= 2**32:
        raise UsageError(f"TSI {text!r} is no 32-bit number such as {DEFAULT_TSI:#x}")
    return tsi


def parse_number(text: str, what: str) -> int:
    """Read a number that may be hexadecimal."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise UsageError(f"{what} {text!r} is no number such as 257 or 0x101")
    return number
