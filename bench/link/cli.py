"""`bootbench link`: behind its relay, every box has a link of its own."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.link.profiles import find_profile, load_profiles
from bench.link.relay import Relay, check_ports
from bench.link.spec import LinkSpec, parse_link, read_rate_trace
from bench.link.topology import LinkClass, Topology, parse_target, read_topology
from carousel.console.endpoint import Endpoint
from carousel.console.quantities import format_rate_bps, parse_duration_s
from carousel.errors import UsageError

__all__ = ["link", "print_report"]

REPORT_COLUMNS = 118
"""Of a report that goes into a file or a pipe."""
SLOW_SHARE = 0.01
"""A queue that drops more of the packets than this is worth a sentence."""


def link(
    source: Annotated[str, typer.Option("--from", help="The carousel's group and port.", metavar="GROUP:PORT")] = "",
    interface: Annotated[
        str, typer.Option(help="The interface that the carousel comes in on, such as lo.", metavar="NAME")
    ] = "lo",
    to: Annotated[
        list[str] | None,
        typer.Option(help="127.0.0.1:6001, or a group with its interface: 239.255.78.2:5078%lo.", metavar="TARGET"),
    ] = None,
    down: Annotated[
        str, typer.Option(help="The link towards the box: rate=50M,delay=20ms,loss=1%,burst=4,...", metavar="LINK")
    ] = "",
    up: Annotated[str, typer.Option(help="The link back; `dead` loses everything.", metavar="LINK")] = "",
    profile: Annotated[
        str, typer.Option(help="A named pair of links; --down and --up change it.", metavar="NAME")
    ] = "",
    profiles: Annotated[Path | None, typer.Option(help="A TOML file with profiles of your own.")] = None,
    trace: Annotated[
        str, typer.Option(help="Mahimahi traces: DOWN.trace or DOWN.trace:UP.trace.", metavar="FILE[:FILE]")
    ] = "",
    topology: Annotated[Path | None, typer.Option(help="A TOML file with many boxes, instead of --to.")] = None,
    headend: Annotated[str, typer.Option(help="Where boxes' answers go: 127.0.0.1:7000.", metavar="TARGET")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="One seed, one run; a new one is drawn otherwise.")] = None,
    seconds: Annotated[str, typer.Option(help="End after so long: 90s, 10m; 0: at Ctrl-C.", metavar="TIME")] = "0",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report to this file, too.")] = None,
    list_profiles: Annotated[bool, typer.Option("--list-profiles", help="Show the profiles and their source.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON: totals each second, then the report.")] = False,
) -> None:
    """Relay a carousel to boxes, each behind a lossy, slow, asymmetric link of its own. Needs no root."""
    if list_profiles:
        _print_profiles(profiles)
        return
    if not source:
        raise UsageError("which carousel? Give --from, such as --from 239.255.77.1:5077")
    if (topology is None) == (not to):
        raise UsageError("give either --to, once for each box, or --topology")
    if topology is not None:
        if down or up or profile or trace:
            raise UsageError("with --topology the links are in the file; leave --down, --up, --profile, --trace out")
        whole = read_topology(topology, profiles)
    else:
        pair = _links(down, up, profile, profiles, trace)
        whole = Topology((LinkClass("box", tuple(map(parse_target, to or [])), *pair),))
    check_ports(whole)
    chosen = next((each for each in (seed, whole.seed) if each is not None), None)
    chosen = int(np.random.SeedSequence().entropy % 2**32) if chosen is None else chosen  # type: ignore[operator,unused-ignore]
    relay = Relay(Endpoint.parse(source), interface, whole, chosen, parse_target(headend) if headend else None)
    with closing(relay):
        _run(relay, parse_duration_s(seconds), as_json, output)


def _links(down: str, up: str, profile: str, profiles: Path | None, trace: str) -> tuple[LinkSpec, LinkSpec]:
    base_down, base_up = LinkSpec(), LinkSpec()
    if profile:
        found = find_profile(profile, profiles)
        base_down, base_up = found.down, found.up
    if trace:
        first, _, second = trace.partition(":")
        base_down = replace(base_down, rate_bps=None, rate_trace_ms=read_rate_trace(Path(first)))
        if second:
            base_up = replace(base_up, rate_bps=None, rate_trace_ms=read_rate_trace(Path(second)))
    return parse_link(down, base_down), parse_link(up, base_up)


def _run(relay: Relay, lasts_s: float, as_json: bool, output: Path | None) -> None:
    """Relay until the time is over or somebody ends it, then report."""
    stopped = []
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: stopped.append(True))
    print(json.dumps({"event": "start", "seed": relay.seed}) if as_json else f"seed {relay.seed}", flush=True)
    last: dict[str, float] = {"bytes": 0, "at": 0.0}

    def tell(now_s: float) -> None:
        totals = relay.totals()
        rate_bps = (totals["delivered_bytes"] - last["bytes"]) * 8 / max(1e-9, now_s - last["at"])
        last["bytes"], last["at"] = totals["delivered_bytes"], now_s
        if as_json:
            print(
                json.dumps({"event": "totals", "seconds": round(now_s, 3), "rate_bps": round(rate_bps), **totals}),
                flush=True,
            )
        elif sys.stderr.isatty():
            lost = 1 - totals["delivered"] / max(1, totals["offered"])
            line = f"\r{now_s:6.0f} s  {format_rate_bps(rate_bps):>10}  lost {lost:.2%}  late {totals['late']:,} "
            print(line, end="", file=sys.stderr, flush=True)

    relay.run(lambda: not stopped and (not lasts_s or last["at"] < lasts_s), min(1.0, lasts_s or 1.0), tell)
    report = relay.report()
    if output is not None:
        output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({"event": "report", **report})) if as_json else print_report(report)


def print_report(report: dict[str, Any]) -> None:
    """Show each box in a line, and what fell behind."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    title = f"seed {report['seed']}, {report['seconds']:.1f} s"
    counts = ["lost", "outage", "queue_full", "duplicated", "reordered", "corrupted"]
    shown = [name for name in counts if any(box["down"].get(name) for box in report["boxes"])]
    names = (name.replace("_", " ") for name in shown)
    table = Table("box", "offered", "delivered", "loss", *names, "delay", "late", "up", title=title)
    for box in report["boxes"][:50]:
        down, up = box["down"], box["up"]
        lost = f"{down['loss']:.2%}" if down["offered"] else "-"
        cells = [f"{down['offered']:,}", f"{down['delivered']:,}", lost]
        cells += [f"{down.get(name, 0):,}" for name in shown]
        cells += [f"{down['delay_mean_s'] * 1e3:.1f} ms", f"{down['late']:,}", f"{up['delivered']}/{up['offered']}"]
        table.add_row(box["to"], *cells)
    console = Console(markup=False) if sys.stdout.isatty() else Console(markup=False, width=REPORT_COLUMNS)
    console.print(table)
    if not any(box["down"]["offered"] for box in report["boxes"]):
        console.print("nothing came from the carousel: is it cast to this group, on this interface?", style="bold")
    for line in _slow_lines(report):
        console.print(line, highlight=False)
    if len(report["boxes"]) > 50:
        console.print(f"... and {len(report['boxes']) - 50} more; -o FILE writes all of them")
    if report["fell_behind"]:
        totals = report["totals"]
        console.print(
            f"the relay fell behind: {totals['late']:,} packets left late, {totals['relay_dropped']:,} were "
            f"lost before it took them, {totals['send_refused']:,} the system did not take. "
            "Take a lower rate or fewer boxes.",
            style="bold",
        )


def _slow_lines(report: dict[str, Any]) -> Iterator[str]:
    """Say whose line is slower than the carousel: what its queue drops is no loss of the network's."""
    slow = [box for box in report["boxes"] if box["down"].get("queue_full", 0) > SLOW_SHARE * box["down"]["offered"]]
    for box in slow[:3]:
        down = box["down"]
        yield (
            f"the line to {box['to']} is slower than the carousel: its queue dropped "
            f"{down['queue_full'] / down['offered']:.1%} of the packets, the network lost "
            f"{down.get('lost', 0) / down['offered']:.1%}. Cast at a lower rate (`headend cast --rate`)."
        )
    if len(slow) > 3:
        yield f"... and so are the lines to {len(slow) - 3} more"


def _print_profiles(more: Path | None) -> None:
    for name, profile in load_profiles(more).items():
        rate = "any rate" if profile.down.rate_bps is None else format_rate_bps(profile.down.rate_bps)
        back = "dead" if profile.up.is_dead else format_rate_bps(profile.up.rate_bps or 0)
        print(f"{name}: {rate} down, {back} up, {profile.down.delay_s * 1e3:.0f} ms, loss {profile.down.loss:.2%}")
        print(f"    {profile.source}")
