"""The command `headend`: make keys, pack images, inspect and cast releases."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from carousel.console.command import run_command
from carousel.console.endpoint import Endpoint
from carousel.console.files import load_public_key, open_release
from carousel.console.quantities import format_rate_bps, format_size_bytes, parse_rate_bps
from carousel.errors import OperatorError
from carousel.flute.alc import DEFAULT_TSI
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from carousel.ssu.psi import Program
from headend.cast.broadcaster import Broadcaster
from headend.cast.recording import recorded
from headend.cast.settings import BroadcastSettings
from headend.cast.ssu import MAX_RELEASES, SsuFormat, SsuSettings
from headend.cast.turning import Carousel, describe_release
from headend.link.sender import IP_UDP_BYTES, GroupSender
from headend.pack.keys import load_private_key, write_key_pair
from headend.pack.packing import DEFAULT_SYMBOL_BYTES, PackRequest
from headend.pack.packing import pack as pack_release
from headend.pack.ssuplan import SsuProfile, advice
from headend.shelf import ReleaseShelf

__all__ = ["app", "main"]

app = typer.Typer(
    help="The broadcaster: pack and sign a boot image, and cast it for ever.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT_TSI_TEXT = hex(DEFAULT_TSI)
ETHERNET_MTU = 1500
LOADER_PATIENCE_S = 200
"""How long a loader in the field waits for all blocks."""

RtpOption = Annotated[bool, typer.Option("--rtp", help="With --ssu: behind RTP headers (payload type 33).")]
ServiceIdOption = Annotated[int, typer.Option(min=1, max=0xFFFF, help="With --ssu: the service's number.")]
NetworkIdOption = Annotated[int, typer.Option(min=1, max=0xFFFF, help="With --ssu: network_id of the NIT.")]
TsIdOption = Annotated[int, typer.Option(min=1, max=0xFFFF, help="With --ssu: transport_stream_id.")]
PidOption = Annotated[
    str, typer.Option(help="With --ssu: the first release's PID; the PMT has the one below, sidecars the ones above.")
]
PcrOption = Annotated[bool, typer.Option("--pcr", help="With --ssu: send a PCR, on the PID two below --pid.")]
DEFAULT_PID_TEXT = "0x101"
MIN_PID, MAX_PID = 0x22, 0x1FFE - 2 * MAX_RELEASES
"""Of the first release, so that PCR and PMT fit below it, and all releases above."""


@app.command()
def keygen(prefix: Annotated[Path, typer.Argument(help="Writes PREFIX.key and PREFIX.pub.")]) -> None:
    """Make an Ed25519 key pair: PREFIX.key signs releases, boxes trust PREFIX.pub."""
    private, public = write_key_pair(prefix)
    print(f"{private}: keep it secret; {public}: give it to boxes with `settop init --trust`")


@app.command()
def pack(
    image: Annotated[Path, typer.Argument(help="The boot image: a kernel, a UKI, a squashfs, anything.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The release file to write.")],
    key: Annotated[Path, typer.Option(help="The signing key, PREFIX.key of `headend keygen`.")],
    hardware: Annotated[str, typer.Option(help="The boards it is for: OUI:model[:version].")],
    version: Annotated[str, typer.Option(help="major.minor.patch")],
    name: Annotated[str, typer.Option(help="A name for people; default: the image's file name.")] = "",
    security_counter: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Boxes refuse a lower one.")] = 0,
    symbol_size: Annotated[
        int | None, typer.Option(help="Bytes of an encoding symbol; by default 1440, which fits an MTU of 1500.")
    ] = None,
    repair: Annotated[float, typer.Option(help="Repair symbols for each source symbol; 0: no FEC.")] = 1.0,
    tsi: Annotated[str, typer.Option(help="The session's TSI.")] = DEFAULT_TSI_TEXT,
    ssu: Annotated[bool, typer.Option("--ssu", help="Cut it so that it goes out as DVB-SSU, too.")] = False,
    profile: Annotated[
        SsuProfile, typer.Option(help="With --ssu: few-modules is for loaders that have room for eight.")
    ] = SsuProfile.STANDARD,
) -> None:
    """Turn a boot image into a release file: signed, with repair symbols, every packet rendered."""
    if ssu and symbol_size is not None:
        raise OperatorError("with --ssu the image's size says the symbol size; leave --symbol-size out")
    request = PackRequest(
        hardware=Hardware.parse(hardware),
        version=Version.parse(version),
        created_unix_s=int(time.time()),
        name=name or image.name.encode()[:32].decode(errors="ignore"),
        security_counter=security_counter,
        symbol_size=symbol_size or DEFAULT_SYMBOL_BYTES,
        repair_ratio=repair,
        tsi=_parse_tsi(tsi),
        ssu_profile=profile if ssu else None,
    )
    if len(request.name.encode()) > 32:
        raise OperatorError(f"--name {name!r} is longer than 32 bytes of UTF-8; take a shorter one")
    private = load_private_key(key)
    began_s = time.monotonic()
    with Progress(disable=not sys.stdout.isatty(), transient=True) as progress:
        task = progress.add_task("packing", total=image.stat().st_size)
        header = pack_release(image, output, private, request, lambda done: progress.update(task, completed=done))
    print(
        f"{output}: {header.name} {header.version} for {header.hardware}, {format_size_bytes(header.image_size)} in "
        f"{header.source_blocks} block(s), {header.repair_per_block} repair symbols each, "
        f"{time.monotonic() - began_s:.1f} s"
    )
    for note in advice(header, repair) if ssu else ():
        print(f"note: {note}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A release file.")],
    trust: Annotated[list[Path] | None, typer.Option(help="Check the signature against this public key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show a release's header and layout; with --trust, check its signature (exit 1 if it is not good)."""
    with open_release(file) as release:
        header, fields = release.header, _describe(release)
    good = None
    if trust:
        ring = TrustRing.of(load_public_key(path) for path in trust)
        good = ring.believes(header)
        fields["signature"] = "good" if good else "by none of these keys" if not ring.knows(header) else "bad"
    if as_json:
        print(json.dumps(fields))
    else:
        _print_fields(file, fields)
    if good is False:
        raise typer.Exit(1)


def _describe(release: Release) -> dict[str, Any]:
    header, layout = release.header, release.layout
    image = layout.objects[0]
    return {
        **describe_release(release),
        "security_counter": header.security_counter,
        "created_unix_s": header.created_unix_s,
        "image_sha256": header.image_sha256.hex(),
        "key_id": header.key_id.hex(),
        "signature": "not checked (give --trust KEY.pub)",
        "tsi": release.tsi,
        "fec": image.fec.name,
        "symbol_size": layout.symbol_size,
        "source_symbols": image.source_symbols,
        "source_blocks": image.blocks,
        "largest_block": image.largest_block,
        "repair_per_block": image.repair_per_block,
        "digest_levels": [
            {
                "level": level,
                "toi": release.toi_base + level,
                "bytes": geometry.transfer_length,
                "packets": geometry.rows,
            }
            for level, geometry in enumerate(layout.objects)
            if level
        ],
        "packets": layout.rows,
        "packet_bytes": release.packet_size,
    }


def _print_fields(file: Path, fields: dict[str, Any]) -> None:
    table = Table(title=str(file), show_header=False, title_justify="left")
    for name, value in fields.items():
        if name == "digest_levels":
            shown = ", ".join(f"{each['bytes']:,} bytes in {each['packets']} packets" for each in value)
        elif name in ("tsi", "toi_base"):
            shown = f"{value:#010x}"
        elif name == "created_unix_s":
            shown = f"{value} ({time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(value))})"
        else:
            shown = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name.replace("_", " "), shown)
    Console(markup=False).print(table)


@app.command()
def cast(
    releases: Annotated[list[Path], typer.Argument(help="Release files; several share the rate equally.")],
    group: Annotated[str, typer.Option(help="Multicast group and port: 239.255.77.1:5077 or [ff15::4d]:5077.")],
    interface: Annotated[str, typer.Option(help="The interface to send on, such as eth0 or lo.")],
    rate: Annotated[str, typer.Option(help="Bit/s of UDP payload: 500k, 50M, 1.5G.")] = "100M",
    cycles: Annotated[int, typer.Option(min=0, help="Stop after so many cycles; 0: never.")] = 0,
    ttl: Annotated[int, typer.Option(min=0, max=255, help="How many routers packets may pass, plus one.")] = 1,
    dscp: Annotated[int, typer.Option(min=0, max=63, help="DSCP of the packets.")] = 0,
    announce_interval: Annotated[float, typer.Option(min=0.01, help="Seconds between announcements.")] = 0.25,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order of cycles.")] = 0,
    no_gso: Annotated[bool, typer.Option("--no-gso", help="Send packets one by one, as on old kernels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    ssu: Annotated[bool, typer.Option("--ssu", help="Send DVB-SSU; the rate counts transport packets.")] = False,
    rtp: RtpOption = False,
    service_id: ServiceIdOption = 1,
    network_id: NetworkIdOption = 1,
    ts_id: TsIdOption = 1,
    pid: PidOption = DEFAULT_PID_TEXT,
    pcr: PcrOption = False,
) -> None:
    """Send releases round and round. SIGHUP, or replacing a file, swaps to the new content."""
    rate_bps = parse_rate_bps(rate)
    stream = _ssu_settings(rate_bps, service_id, network_id, ts_id, pid, rtp, pcr, announce_interval) if ssu else None
    settings = BroadcastSettings(stream.wire_rate_bps if stream else rate_bps, announce_interval, seed)
    endpoint, shelf, teller = Endpoint.parse(group), ReleaseShelf(releases), _Teller(as_json)
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
        for text in (*_notes(broadcaster, announce_interval, on_wire), *_ssu_notes(ssu_format, loaded)):
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


def _ssu_notes(stream: SsuFormat | None, releases: list[Release]) -> Iterator[str]:
    cycle_s = len(releases) * max(map(stream.cycle_s, releases)) if stream else 0.0
    if cycle_s > LOADER_PATIENCE_S:
        yield (
            f"a cycle takes {cycle_s:.0f} s, and loaders in the field wait {LOADER_PATIENCE_S} s for all blocks: "
            f"{cycle_s / LOADER_PATIENCE_S:.1f} times the rate would do"
        )


@app.command()
def ts(
    releases: Annotated[list[Path], typer.Argument(help="Release files; several share the rate equally.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The transport stream to write.")],
    rate: Annotated[str, typer.Option(help="Bit/s of transport packets: 8M.")] = "8M",
    loops: Annotated[int, typer.Option(min=1, help="So many whole cycles of every release.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order of cycles.")] = 0,
    service_id: ServiceIdOption = 1,
    network_id: NetworkIdOption = 1,
    ts_id: TsIdOption = 1,
    pid: PidOption = DEFAULT_PID_TEXT,
    pcr: PcrOption = False,
) -> None:
    """Write the stream of `headend cast --ssu` into a file, for other multiplexers; it may be played in a loop."""
    rate_bps = parse_rate_bps(rate)
    stream = SsuFormat(_ssu_settings(rate_bps, service_id, network_id, ts_id, pid, rtp=False, pcr=pcr))
    with closing(ReleaseShelf(releases)) as shelf:
        loaded = shelf.load()
        broadcaster = Broadcaster(loaded, BroadcastSettings(rate_bps, seed=seed), 0.0, stream)
        unfinished = output.with_name(output.name + ".part")
        try:
            with unfinished.open("wb") as file:
                for batch in recorded(broadcaster, stream, loops):
                    file.write(batch.buffer[: batch.stride * batch.count])
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    size_bytes = output.stat().st_size
    print(
        f"{output}: {loops} cycle(s), {format_size_bytes(size_bytes)}, {size_bytes * 8 / rate_bps:.1f} s at {rate}b/s"
    )
    for text in _ssu_notes(stream, loaded):
        print(f"note: {text}")


def _ssu_settings(
    rate_bps: float,
    service_id: int,
    network_id: int,
    ts_id: int,
    pid: str,
    rtp: bool,
    pcr: bool,
    announce_interval_s: float = 0.25,
) -> SsuSettings:
    """Read the options of an update service; `OperatorError` where they don't go together."""
    first_pid = _parse_number(pid, "PID")
    if not MIN_PID <= first_pid <= MAX_PID:
        raise OperatorError(f"--pid {pid} is not between {MIN_PID:#x} and {MAX_PID:#x}: others have their own use")
    program = Program(service_id, ts_id, network_id, pmt_pid=first_pid - 1)
    clock_pid = first_pid - 2 if pcr else None
    return SsuSettings(rate_bps, program, first_pid, rtp, clock_pid, announce_interval_s)


class _Teller:
    """Reports of `cast`: JSON lines, a live line on a terminal, or plain lines."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._live = (
            Live(console=Console(markup=False), refresh_per_second=4) if sys.stdout.isatty() and not as_json else None
        )
        if self._live:
            self._live.start()

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        if self._as_json:
            print(json.dumps({"event": event, **fields}), flush=True)
        elif event == "status":
            if self._live:
                rate, share = format_rate_bps(fields["rate_bps"]), fields["share"]
                self._live.update(Text(f"{rate}  cycle {fields['cycle']}  {share:5.1%}  (Ctrl-C stops)"))
        else:
            console = self._live.console if self._live else Console(markup=False)
            console.print(_in_words(event, fields), highlight=False)

    def close(self) -> None:
        """Put the terminal right."""
        if self._live:
            self._live.stop()


def _in_words(event: str, fields: dict[str, Any]) -> str:
    if event in ("casting", "swapped"):
        names = ", ".join(f"{each['name']} {each['version']} ({each['hardware']})" for each in fields["releases"])
        if event == "swapped":
            return f"swapped to {names}"
        rate = format_rate_bps(fields["rate_bps"])
        return f"casting {names} to {fields['group']} on {fields['interface']} at {rate}, paced by {fields['paced_by']}"
    if event == "trouble":
        return f"the network takes nothing: {fields['reason']}"
    if event == "trouble_over":
        return "the network takes packets again"
    if event == "stopped":
        return f"stopped after {fields['cycles']} cycle(s)"
    return str(fields.get("text", event))


def _parse_tsi(text: str) -> int:
    tsi = _parse_number(text, "TSI")
    if tsi >= 2**32:
        raise OperatorError(f"TSI {text!r} is no 32-bit number such as {DEFAULT_TSI:#x}")
    return tsi


def _parse_number(text: str, what: str) -> int:
    """Read a number that may be hexadecimal."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise OperatorError(f"{what} {text!r} is no number such as 257 or 0x101")
    return number


def main() -> None:
    """Run the command."""
    run_command("headend", app)
