"""The options of `settop`, in groups, and what each value means. Imports nothing dear: help must come at once."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carousel.console.endpoint import DEFAULT_GROUP
from carousel.console.quantities import parse_duration_s, parse_probability, parse_size_bytes
from carousel.errors import OperatorError
from carousel.flute.tsi import DEFAULT_TSI

__all__ = [
    "Commands",
    "add_command",
    "add_hearing",
    "add_json",
    "add_metrics",
    "add_store",
    "parse_tsi",
    "value",
    "whole_number",
]

DEFAULT_TIMEOUT = "60s"
LEAST_MEMORY_BYTES = 26 << 20
"""As the budget has it (settop/work/budget.py), which a command line need not import: with less nothing is received."""


Run = Callable[[argparse.Namespace], int]
Commands = Any
"""argparse's table of subcommands, whose class has no public name."""


def add_command(commands: Commands, name: str, run: Run, text: str, epilog: str = "") -> argparse.ArgumentParser:
    """Add a command with its line of help."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=epilog)
    parser.set_defaults(run=run)
    return parser


def value(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse tell what is wrong with a value in our own words, beside the option's name."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except OperatorError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers in a range; hexadecimal and such are welcome."""

    def parse(text: str) -> int:
        try:
            number = int(text, 0)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise OperatorError(f"{text!r} is no whole number from {least} to {most}")
        return number

    return value(parse)


def parse_tsi(text: str) -> int:
    """Read a TSI, 32 bits."""
    try:
        tsi = int(text, 0)
    except ValueError:
        tsi = -1
    if not 0 <= tsi < 1 << 32:
        raise OperatorError(f"TSI {text!r} is no 32-bit number such as {DEFAULT_TSI:#x}")
    return tsi


def parse_oui(text: str) -> int:
    """Read an OUI: six hex digits."""
    try:
        oui = int(text, 16) if len(text) == 6 else -1
    except ValueError:
        oui = -1
    if oui < 0:
        raise OperatorError(f"{text!r} is no OUI: six hex digits such as 00A1B2")
    return oui


def parse_timeout_s(text: str) -> float:
    """Read how long to listen: long enough to hear anything."""
    timeout_s = parse_duration_s(text)
    if timeout_s < 0.1:
        raise OperatorError(f"{text!r} is too short to hear anything; at least 100ms")
    return timeout_s


def parse_memory_bytes(text: str) -> int:
    """Read what a process may have of memory: a forgotten unit must not be found out by the deadline."""
    memory_bytes = parse_size_bytes(text)
    if memory_bytes < LEAST_MEMORY_BYTES:
        least = LEAST_MEMORY_BYTES >> 20
        raise OperatorError(f"{text!r} is too little to receive anything; at least {least}Mi, such as 48Mi")
    return memory_bytes


def _parse_group(text: str) -> Any:
    from carousel.console.endpoint import Endpoint

    return Endpoint.parse(text)


def _parse_address(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise OperatorError(f"{text!r} is no address of a sender such as 192.0.2.1 or 2001:db8::1") from None


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the option that nearly every command has."""
    parser.add_argument("--store", type=Path, required=True, metavar="FOLDER", help="the box's folder")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option that makes a command speak to programs."""
    parser.add_argument("--json", dest="as_json", action="store_true", help="one JSON object a line")


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets a box be watched."""
    text = "keep gauges for Prometheus in this file (node-exporter's textfile collector)"
    parser.add_argument("--metrics", type=Path, metavar="FILE.prom", help=text)


def add_hearing(parser: argparse.ArgumentParser) -> None:
    """Add what is needed to listen: where, for how long, and how."""
    network = parser.add_argument_group("Network")
    network.add_argument(
        "--group",
        type=value(_parse_group),
        default=DEFAULT_GROUP,
        metavar="GROUP:PORT",
        help=f"multicast group and port, such as {DEFAULT_GROUP} (the default) or [ff15::4d]:5077",
    )
    network.add_argument(
        "--interface", required=True, metavar="NAME", help="the interface to listen on, such as eth0 or lo"
    )
    network.add_argument(
        "--source", type=value(_parse_address), metavar="ADDRESS", help="take packets from this sender only (SSM)"
    )
    network.add_argument(
        "--timeout",
        type=value(parse_timeout_s),
        default=DEFAULT_TIMEOUT,
        metavar="TIME",
        help=f"how long to listen before giving up: 60, 90s, 10m (default {DEFAULT_TIMEOUT})",
    )
    network.add_argument(
        "--tsi",
        type=value(parse_tsi),
        default=hex(DEFAULT_TSI),
        metavar="NUMBER",
        help=f"the session's TSI, if the head-end packed with another than {DEFAULT_TSI:#x}",
    )
    _add_ssu(parser)
    _add_trying_out(parser)
    _add_tuning(parser)


def _add_ssu(parser: argparse.ArgumentParser) -> None:
    ssu = parser.add_argument_group("DVB-SSU")
    ssu.add_argument("--ssu", action="store_true", help="take a transport stream of `headend cast --ssu`")
    ssu.add_argument("--rtp", action="store_true", help="the transport stream comes behind RTP headers")
    ssu.add_argument(
        "--oui",
        type=value(parse_oui),
        metavar="OUI",
        help="the maker to look for, such as 00A1B2; the box's own if not given",
    )


def _add_trying_out(parser: argparse.ArgumentParser) -> None:
    trying = parser.add_argument_group("Trying out")
    trying.add_argument(
        "--drop",
        type=value(parse_probability),
        default="0",
        metavar="SHARE",
        help="drop this share of packets in the box, such as 5%%, to see what loss does",
    )
    trying.add_argument(
        "--drop-seed", type=whole_number(0, 2**63 - 1), default=0, metavar="NUMBER", help="seed of --drop"
    )
    trying.add_argument(
        "--allow-older",
        action="store_true",
        help="take an older version than this box holds, too, down to its security floor: for labs",
    )
    trying.add_argument("--no-fec", action="store_true", help="complete from source symbols alone")
    trying.add_argument("--no-gro", action="store_true", help="read packets one by one, as on old kernels")


def _add_tuning(parser: argparse.ArgumentParser) -> None:
    tuning = parser.add_argument_group("Tuning")
    tuning.add_argument(
        "--workers",
        type=whole_number(1, 16),
        default=2,
        metavar="NUMBER",
        help="how many threads hash and decode blocks (default 2)",
    )
    tuning.add_argument(
        "--memory",
        type=value(parse_memory_bytes),
        metavar="SIZE",
        help="what the process may have of memory, such as 48Mi on a small board (at least 26Mi): fewer threads, "
        "smaller releases",
    )
    tuning.add_argument(
        "--core",
        type=whole_number(0, 1 << 16),
        metavar="NUMBER",
        help="keep reception on this processor core, for gigabits a second",
    )
