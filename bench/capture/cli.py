"""`bootbench sniff`, `capture`, `replay`: see a carousel, keep it, send it again."""

import json
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from bench.capture.analysis import CarouselPicture
from bench.capture.layers import bind_port
from bench.capture.pcap import CarouselWriter, batches_of, read_carousel
from bench.capture.pictures import print_flute, print_ssu
from bench.capture.ssu import SsuPicture
from bench.capture.tsfile import is_transport_stream, read_transport_stream
from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.console.quantities import format_size_bytes, parse_duration_s, parse_rate_bps
from carousel.errors import OperatorError, UsageError
from headend.link.sender import GroupSender
from settop.link.listener import GroupListener

__all__ = ["capture", "replay", "sniff"]

LOOK_WITHIN_S = 0.01
"""Packets of a capture are looked at together that came so close to each other."""
SEND_WITHIN_S = 0.001
"""And sent together: about what a carousel bursts."""
NOTHING_HEARD = "nothing was heard: is the carousel on, the group and the interface right?"
GroupOption = Annotated[
    str,
    typer.Option(help="Multicast group and port: 239.255.77.1:5077.", metavar="GROUP:PORT", envvar="BOOTCAST_GROUP"),
]
InterfaceOption = Annotated[
    str, typer.Option(help="The interface, such as lo.", metavar="NAME", envvar="BOOTCAST_INTERFACE")
]
SecondsOption = Annotated[str, typer.Option(help="How long: 5, 90s, 10m; 0: until Ctrl-C.", metavar="TIME")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def sniff(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A capture, or a transport stream; live without.")] = None,
    group: GroupOption = "",
    interface: InterfaceOption = "",
    seconds: SecondsOption = "5s",
    as_json: JsonOption = False,
    ssu: Annotated[bool, typer.Option("--ssu", help="It is a transport stream of `headend cast --ssu`.")] = False,
    rate: Annotated[str, typer.Option(help="Of a transport stream in a file: it has no times.", metavar="RATE")] = "8M",
) -> None:
    """Say what a carousel is made of: releases, objects, FDT, rate, cycle, order, errors."""
    skipped = 0
    picture = SsuPicture() if ssu else CarouselPicture()
    if file is not None:
        was_typed = "COMMANDLINE" in str(context.get_parameter_source("group"))  # BOOTCAST_GROUP is not about files
        for time_s, batch in _batches_in(file, group if was_typed else "", ssu, rate):
            picture.take(batch, time_s)
    else:
        with closing(_listener(group, interface)) as listener:
            for now_s, batch in _listen(listener, parse_duration_s(seconds)):
                picture.take(batch, now_s)
            skipped = listener.socket_drops
    report = picture.report() | {"skipped": skipped}
    if as_json:
        print(json.dumps(report))
    elif picture.packets:
        print_ssu(report) if ssu else print_flute(report)
    if not picture.packets:
        raise OperatorError(f"{file} holds no packets of a carousel" if file else NOTHING_HEARD)


def _batches_in(file: Path, group: str, ssu: bool, rate: str) -> Iterator[tuple[float, Batch]]:
    if is_transport_stream(file):
        if not ssu:
            raise UsageError(f"{file} is a transport stream: add --ssu")
        return read_transport_stream(file, parse_rate_bps(rate))
    port = Endpoint.parse(group).port if group else None
    return batches_of(read_carousel(file, port), LOOK_WITHIN_S)


def capture(
    output: Annotated[Path, typer.Argument(help="The pcap file to write.")],
    group: GroupOption,
    interface: InterfaceOption,
    seconds: SecondsOption = "0",
) -> None:
    """Write what a group carries into a pcap file; needs no root."""
    heard = 0
    with (
        closing(_listener(group, interface)) as listener,
        closing(CarouselWriter(output, Endpoint.parse(group))) as writer,
    ):
        offset_s = time.time() - time.monotonic()
        for now_s, batch in _listen(listener, parse_duration_s(seconds)):
            writer.write(batch, now_s + offset_s)
            heard += batch.count
    print(f"{output}: {heard:,} packets, {format_size_bytes(output.stat().st_size)}")
    if not heard:
        raise OperatorError(NOTHING_HEARD)


def replay(
    pcap: Annotated[Path, typer.Argument(help="A capture, of ours or tcpdump's.")],
    group: GroupOption,
    interface: InterfaceOption,
    speed: Annotated[float, typer.Option(min=0.001, max=1e6, help="2 sends twice as fast as it was captured.")] = 1.0,
    loop: Annotated[int, typer.Option(min=1, help="So many times.")] = 1,
    ttl: Annotated[int, typer.Option(min=0, max=255)] = 1,
) -> None:
    """Send a capture to a group again, at its own times or faster."""
    endpoint = Endpoint.parse(group)
    with closing(GroupSender(endpoint, interface, ttl)) as sender:
        sent = sum(_send(batches_of(read_carousel(pcap), SEND_WITHIN_S), sender, speed) for _ in range(loop))
    if not sent:
        raise OperatorError(f"{pcap} holds no UDP packets")
    print(f"{pcap}: {sent:,} packets sent to {group} through {interface}")


def _send(batches: Iterable[tuple[float, Batch]], sender: GroupSender, speed: float) -> int:
    """Send once through, as it is read; return how many packets."""
    sent, began_s = 0, time.monotonic()
    first_s: float | None = None
    for time_s, batch in batches:
        first_s = time_s if first_s is None else first_s
        wait_s = (time_s - first_s) / speed - (time.monotonic() - began_s)
        if wait_s > 0:
            time.sleep(wait_s)
        sender.send(batch)
        sent += batch.count
    return sent


def _listener(group: str, interface: str) -> GroupListener:
    if not group or not interface:
        raise UsageError("say where to listen: --group 239.255.77.1:5077 --interface lo")
    endpoint = Endpoint.parse(group)
    bind_port(endpoint.port)
    return GroupListener(endpoint, interface)


def _listen(listener: GroupListener, lasts_s: float) -> Iterator[tuple[float, Batch]]:
    """Yield batches off the air with their time, until the time is over or somebody ends it; say what was skipped."""
    stopped = _stop_on_signal()
    began_s = time.monotonic()
    print("listening", file=sys.stderr, flush=True)
    while not stopped() and (not lasts_s or time.monotonic() - began_s < lasts_s):
        if select.select([listener], [], [], 0.1)[0]:
            for batch in listener.batches():
                yield time.monotonic(), batch
    if listener.socket_drops:
        print(f"{listener.socket_drops:,} packets came too fast to be looked at, and were skipped", file=sys.stderr)


def _stop_on_signal() -> Callable[[], bool]:
    stopped: list[bool] = []
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stopped.append(True))
    return lambda: bool(stopped)
