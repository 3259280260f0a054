"""The commands for a bare board on a serial line: the arguments of `settop flash` and `settop console`."""

import argparse
from pathlib import Path
from typing import Any

from carousel.console.quantities import parse_duration_s
from settop.commands.options import Commands, add_command, add_json, value, whole_number

__all__ = ["add_console", "add_flash"]

INITIAL_BAUD = 115200
"""The same as settop.flasher.frames', which help does not wait for; a test compares them."""
PORT_HELP = "/dev/ttyUSB0, socket://host:port, rfc2217://host:port, or a pty"
FLASH_EXAMPLE = """\
examples:
  settop flash --list
  settop flash --port /dev/ttyUSB0 v1.release
  settop flash --port /dev/ttyUSB0 --read-state
"""


def add_flash(commands: Commands) -> None:
    """Add `settop flash`."""
    text = "write a release (or a stub) to a bare board over its serial line"
    flash = add_command(commands, "flash", run_flash, text, FLASH_EXAMPLE)
    flash.add_argument("release", type=Path, nargs="?", metavar="RELEASE", help="the release to write")
    add_json(flash)
    _add_what(flash)
    _add_line(flash)


def add_console(commands: Commands) -> None:
    """Add `settop console`."""
    console = add_command(commands, "console", run_console, "show what a board says, and send it what is typed")
    console.add_argument("--port", required=True, metavar="PORT", help=PORT_HELP)
    _add_baud(console, "--baud", INITIAL_BAUD, "the line's rate")
    console.add_argument(
        "--raise-lines", action="store_true", help="raise DTR and RTS: some adapters pass nothing on before"
    )


def _add_what(flash: argparse.ArgumentParser) -> None:
    what = flash.add_argument_group("Install")
    what.add_argument("--slot", choices=("a", "b", "eeprom"), help="left out, the board takes the free slot")
    what.add_argument("--stub", type=Path, metavar="FILE", help="replace the stub itself by this binary, first")
    what.add_argument(
        "--trust",
        type=Path,
        metavar="KEY.pub",
        help="refuse releases that this public key has not signed, whatever the board trusts",
    )
    what.add_argument("--console", dest="then_console", action="store_true", help="stay, as `settop console`")
    what.add_argument("--no-boot", action="store_true", help="stay in the loader afterwards")
    what.add_argument("--read-state", action="store_true", help="show what the board holds; write nothing")


def _add_line(flash: argparse.ArgumentParser) -> None:
    line = flash.add_argument_group("Line")
    line.add_argument("--port", metavar="PORT", help=PORT_HELP)
    line.add_argument("--list", dest="show_ports", action="store_true", help="list the serial ports of this machine")
    _add_baud(line, "--baud", 921600, "the rate to change to, if board and line can")
    _add_baud(line, "--initial-baud", INITIAL_BAUD, "the rate at which the loader starts")
    line.add_argument(
        "--connect",
        type=value(parse_duration_s),
        default="10s",
        metavar="TIME",
        help="how long to wait for the board (default 10s)",
    )
    line.add_argument(
        "--reset",
        choices=("auto", "rts", "dtr", "none"),
        default="auto",
        help="how to reset a board that runs already: pull RTS, DTR, one after the other (auto, the default), or"
        " neither (none: both are raised, as terminal programs do)",
    )
    line.add_argument("--trace", action="store_true", help="show every byte, with the time since the one before")


def _add_baud(parser: Any, option: str, default: int, text: str) -> None:
    parser.add_argument(
        option, type=whole_number(300, 4_000_000), default=default, metavar="BAUD", help=f"{text} (default {default})"
    )


def run_flash(arguments: argparse.Namespace) -> int:
    """Flash a board."""
    from settop.flasher.cli import FlashRequest, flash, print_ports

    if arguments.show_ports:
        return print_ports(arguments.as_json)
    wanted = {name: getattr(arguments, name) for name in FlashRequest.__match_args__}
    return flash(FlashRequest(**wanted))


def run_console(arguments: argparse.Namespace) -> int:
    """Talk to a board."""
    from settop.flasher.cli import console

    return console(arguments.port, arguments.baud, arguments.raise_lines)
