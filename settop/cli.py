"""The command `settop`: a box that receives, installs, boots and confirms. Arguments only; settop/commands does it.

Help costs no more than Python's start: what a command needs is imported when it runs.
"""

import argparse
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from carousel.console.command import EXIT_USAGE, run_command
from carousel.console.defaults import apply_defaults, config_file, config_path, read_config, variables_of
from carousel.console.quantities import parse_duration_s, parse_size_bytes
from carousel.errors import OperatorError
from settop.commands.flashing import add_console, add_flash
from settop.commands.options import (
    Commands,
    add_command,
    add_hearing,
    add_json,
    add_metrics,
    add_store,
    value,
    whole_number,
)
from settop.commands.parser import Parser

__all__ = ["main", "make_parser"]

PROGRAM = "settop"
CONFIG = config_file(PROGRAM)
EXIT_CODES = """\
exit codes:
  0    done: installed, booted, confirmed, up to date, or not yet this box's turn
  1    it could not be done; one sentence on stderr says why, and what to do
  2    a wrong command line
  3    nothing acceptable was heard before the deadline
  4    only images were heard that this box must refuse, or that are signed by
       a key it does not trust; each reason is said
  130  interrupted
  boot and run end with the exit code of --command, if it was run; where there
  is nothing to start an image with (no --command, no --backend), run ends with
  1, and boot only says what would boot, as with --dry-run, and ends with 0
"""
GARBAGE_EVERY = 20_000
"""New objects until Python looks for garbage: at its 700, a start looks at modules a hundred times and finds none."""
DEFAULTS_NOTE = f"""\
Any option can be left out where BOOTCAST_NAME is set in the environment
(BOOTCAST_STORE, BOOTCAST_INTERFACE ...), or where {CONFIG}
has it (TOML: interface = "eth0"; BOOTCAST_CONFIG names another file). The
command line wins, then the environment. More: docs/operations.md
"""
RECEIVE_EXAMPLE = """\
example:
  settop receive --store /var/lib/box --interface eth0 --timeout 90s
"""
RUN_EXAMPLE = """\
example:
  settop run --store /var/lib/box --interface eth0 --command 'kexec -l {image} --reuse-cmdline'
"""
INIT_EXAMPLE = """\
example:
  settop init --store /var/lib/box --hardware 00A1B2:7 --trust lab.pub --eeprom v0.release

--hardware names a board: the OUI of who makes it (six hex digits, as in its MAC
addresses; a lab may take any), the maker's number of the model and, if images
differ by it, the version of the hardware. Releases are packed for the same name
(`headend pack --hardware`), and a box takes no others.
"""
GATE_EXAMPLE = """\
example:
  settop gate --wait --store /var/lib/box --interface eth0 --timeout 1d --then 'login-client --now'

exit codes: 0 it may log in; 3 not yet (with --wait: not before --timeout); with
--then, that of the command. More: docs/rollout.md
"""
IMAGE_EXAMPLE = """\
example:
  settop image --board pi --hardware 00A1B2:7 --trust lab.pub --eeprom v0.release --interface eth0 -o card.img
  dd if=card.img of=/dev/sdX bs=4M conv=fsync

Needs Debian's mmdebstrap, mtools, e2fsprogs and zstd; says so where one is missing. More: docs/boards.md
"""


class ShowVersion(argparse.Action):
    """Look up the version only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and end."""
        from importlib.metadata import version

        print(f"{PROGRAM} (bootcast {version('bootcast')})")
        parser.exit()


def run_init(arguments: argparse.Namespace) -> int:
    """Make a box's folder."""
    from settop.commands.box import init
    from settop.store.folder import RolloutTrust

    rollout = RolloutTrust(
        tuple(arguments.trust_bulletin or ()), tuple(arguments.reports_to or ()), arguments.report_key
    )
    return init(arguments.store, arguments.hardware, arguments.trust, arguments.eeprom, arguments.id, rollout)


def run_receive(arguments: argparse.Namespace) -> int:
    """Receive and install."""
    from settop.commands.receiving import options_of, receive

    return receive(arguments.store, options_of(arguments), arguments.as_json, arguments.metrics)


def run_boot(arguments: argparse.Namespace) -> int:
    """Choose and boot."""
    from settop.commands.booting import Intent, boot

    intent = Intent.LOOK if arguments.dry_run else Intent.COUNT_ONLY if arguments.count_only else Intent.START
    return boot(*_backend_options(arguments), intent, arguments.as_json, arguments.metrics)


def run_run(arguments: argparse.Namespace) -> int:
    """Receive with a deadline, then boot."""
    from settop.commands.receiving import options_of
    from settop.commands.running import run

    options = options_of(arguments)
    return run(*_backend_options(arguments), options, arguments.keep_listening, arguments.as_json, arguments.metrics)


def run_confirm(arguments: argparse.Namespace) -> int:
    """Confirm the image on trial."""
    from settop.commands.box import confirm

    return confirm(*_backend_options(arguments), arguments.as_json, arguments.metrics)


def run_mark_bad(arguments: argparse.Namespace) -> int:
    """Say that a slot's image is no good."""
    from settop.commands.box import mark_bad

    return mark_bad(*_backend_options(arguments), arguments.slot, arguments.as_json)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Examine the board."""
    from settop.commands.doctor import doctor

    options, _ = _backend_options(arguments)
    return doctor(options, arguments.interface, arguments.as_json)


def run_image(arguments: argparse.Namespace) -> int:
    """Make a card."""
    from settop.commands.imaging import image

    return image(arguments)


def run_forget(arguments: argparse.Namespace) -> int:
    """Empty a slot."""
    from settop.commands.box import forget

    return forget(arguments.store, arguments.slot, arguments.as_json)


def run_gate(arguments: argparse.Namespace) -> int:
    """Wait for this box's turn to log in."""
    from settop.commands.gate import gate
    from settop.commands.receiving import options_of

    options = options_of(arguments)
    return gate(arguments.store, options, arguments.wait, arguments.longest_wait, arguments.then, arguments.as_json)


def run_status(arguments: argparse.Namespace) -> int:
    """Show what the box holds."""
    from settop.commands.status import status

    return status(*_backend_options(arguments), arguments.as_json)


def _backend_options(arguments: argparse.Namespace) -> tuple[Any, str | None]:
    from settop.boot.table import BackendOptions

    options = BackendOptions(arguments.store, arguments.firmware, arguments.command)
    return options, arguments.backend


def _add_init(commands: Commands) -> None:
    text = "make a box's folder, with the factory image in its EEPROM"
    init = add_command(commands, "init", run_init, text, INIT_EXAMPLE)
    add_store(init)
    init.add_argument(
        "--hardware", type=value(_parse_hardware), required=True, metavar="OUI:MODEL[:VERSION]", help="what this box is"
    )
    init.add_argument(
        "--trust",
        type=Path,
        action="append",
        required=True,
        metavar="KEY.pub",
        help="a public key to trust; may be repeated",
    )
    init.add_argument(
        "--eeprom", type=Path, required=True, metavar="RELEASE", help="the factory image, as a release file"
    )
    _add_identity(init)


def _add_identity(init: argparse.ArgumentParser) -> None:
    init.add_argument(
        "--id", default="", metavar="NAME", help="the box's own name; auto: its serial number, or its MAC address"
    )
    rollout = init.add_argument_group("Roll-outs (docs/rollout.md)")
    rollout.add_argument(
        "--trust-bulletin",
        type=Path,
        action="append",
        metavar="KEY.pub",
        help="obey bulletins that this key signs: stages, halts, the log-in gate; may be repeated",
    )
    rollout.add_argument(
        "--reports-to",
        type=value(_parse_network),
        action="append",
        metavar="ADDRESS",
        help="an address, or a network such as 192.0.2.0/24, that this box may report to when it is asked to",
    )
    rollout.add_argument(
        "--report-key", type=Path, metavar="FILE", help="this box's own key, by which its reports are believed"
    )


def _parse_hardware(text: str) -> Any:
    from carousel.release.identity import Hardware

    return Hardware.parse(text)


def _parse_network(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise OperatorError(
            f"{text!r} is no address or network such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64"
        ) from None


def _parse_slot(text: str) -> Any:
    from settop.store.choice import Source

    if text not in ("slot-a", "slot-b"):
        raise OperatorError(f"{text!r} is no slot; there are slot-a and slot-b")
    return Source(text)


def _parse_command(text: str) -> str:
    from settop.boot.command import words_of

    words_of(text)
    return text


def _add_backend(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Boot loader")
    group.add_argument(
        "--backend",
        metavar="NAME",
        help="who starts the image: auto, kexec, uboot, tryboot, systemd-boot, grub or command (docs/boards.md)",
    )
    group.add_argument(
        "--firmware", type=Path, metavar="FOLDER", help="where the partition that the loader reads is mounted"
    )
    group.add_argument(
        "--command",
        type=value(_parse_command),
        metavar="WORDS",
        help="run this to boot; {image}, {version} and {slot} are filled in",
    )


def _add_image(commands: Commands) -> None:
    text = "make a card for a board: a receiver, its keys, its EEPROM image, an empty store; no root needed"
    image = add_command(commands, "image", run_image, text, IMAGE_EXAMPLE)
    image.add_argument(
        "--board", required=True, metavar="NAME", help="qemu-arm64, uboot-arm64, uefi-arm64, uefi-x86, pi"
    )
    image.add_argument("--loader", metavar="NAME", help="grub, for UEFI boards; else the board's own")
    image.add_argument("--hardware", type=value(_parse_hardware), required=True, metavar="OUI:MODEL[:VERSION]",
                       help="what the board is")  # fmt: skip
    image.add_argument("--trust", type=Path, action="append", metavar="KEY.pub", help="a key to trust; may be repeated")
    image.add_argument("--trust-bulletin", type=Path, action="append", metavar="KEY.pub",
                       help="obey bulletins that this key signs; may be repeated")  # fmt: skip
    image.add_argument("--eeprom", type=Path, metavar="RELEASE", help="the image that boots when all else fails")
    image.add_argument("--initramfs", action="store_true", help="just the receiver's initramfs")
    image.add_argument("--kernel", type=Path, metavar="FILE", help="boot/vmlinuz-VERSION, beside lib/modules/VERSION")
    image.add_argument("--wheel", type=Path, metavar="FILE", help="bootcast's wheel for the board (`make wheels`)")
    image.add_argument("--console", metavar="NAME", help="the kernel's console, such as ttyAMA0")
    level = whole_number(1, 19)
    image.add_argument("--zstd-level", type=level, default=19, metavar="N", help="19: smallest; 3: a minute faster")
    image.add_argument("--size", type=value(parse_size_bytes), default="512MiB", metavar="SIZE", help="of the card")
    image.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    add_hearing(image)


def _add_gate(commands: Commands) -> None:
    text = "say whether this box may log in now, as its head-end's gate says; with --wait, when it may"
    gate = add_command(commands, "gate", run_gate, text, GATE_EXAMPLE)
    add_store(gate)
    add_json(gate)
    gate.add_argument("--wait", action="store_true", help="wait for this box's turn")
    gate.add_argument(
        "--then", type=value(_parse_command), metavar="WORDS", help="run this when its turn has come; ends as it does"
    )
    gate.add_argument(
        "--longest-wait",
        type=value(parse_duration_s),
        default="10m",
        metavar="TIME",
        help="of the random wait where no gate is heard (default 10m)",
    )
    add_hearing(gate)


def _add_receive(commands: Commands) -> None:
    text = "install the best acceptable image on the air"
    receive = add_command(commands, "receive", run_receive, text, RECEIVE_EXAMPLE + "\n" + EXIT_CODES)
    add_store(receive)
    add_json(receive)
    add_hearing(receive)
    add_metrics(receive)


def _add_run(commands: Commands) -> None:
    text = "receive with a deadline, then boot, whatever came of it"
    run = add_command(commands, "run", run_run, text, RUN_EXAMPLE + "\n" + EXIT_CODES)
    add_store(run)
    add_json(run)
    _add_backend(run)
    run.add_argument(
        "--keep-listening", action="store_true", help="after an EEPROM boot, listen on until an image is installed"
    )
    add_hearing(run)
    add_metrics(run)


def _add_boot(commands: Commands) -> None:
    text = "choose an image (trial, confirmed, EEPROM's), verify it, boot it by --command or --backend"
    boot = add_command(commands, "boot", run_boot, text, EXIT_CODES)
    how = boot.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only say what would boot; no try is counted")
    how.add_argument(
        "--count-only", action="store_true", help="count the try and boot nothing: for a script that starts the image"
    )
    add_metrics(boot)
    _add_slots(boot)


def _add_confirm(commands: Commands) -> None:
    text = "confirm the image on trial: it works, and is what boots from now on"
    confirm = add_command(commands, "confirm", run_confirm, text)
    add_metrics(confirm)
    _add_slots(confirm)


def _add_status(commands: Commands) -> None:
    _add_slots(add_command(commands, "status", run_status, "show what the box holds"))


def _add_doctor(commands: Commands) -> None:
    text = "examine a board: loaders, partitions, interface, watchdog"
    doctor = add_command(commands, "doctor", run_doctor, text)
    doctor.add_argument("--interface", metavar="NAME", help="the interface that is listened on")
    _add_slots(doctor)


def _add_slots(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_json(parser)
    _add_backend(parser)


def _add_mark_bad(commands: Commands) -> None:
    text = "say that a slot's image is no good: it never boots again"
    bad = add_command(commands, "mark-bad", run_mark_bad, text)
    bad.add_argument(
        "slot", nargs="?", type=value(_parse_slot), metavar="SLOT", help="slot-a or slot-b; else the one on trial"
    )
    _add_slots(bad)


def _add_forget(commands: Commands) -> None:
    text = "empty a slot that does not boot, so that an image that failed there may be installed once more"
    forget = add_command(commands, "forget", run_forget, text)
    forget.add_argument("slot", type=value(_parse_slot), metavar="SLOT", help="slot-a or slot-b")
    add_store(forget)
    add_json(forget)


COMMANDS: dict[str, Callable[[Commands], None]] = {
    "init": _add_init,
    "receive": _add_receive,
    "run": _add_run,
    "boot": _add_boot,
    "confirm": _add_confirm,
    "status": _add_status,
    "mark-bad": _add_mark_bad,
    "forget": _add_forget,
    "gate": _add_gate,
    "doctor": _add_doctor,
    "image": _add_image,
    "flash": add_flash,
    "console": add_console,
}


def make_parser(command: str | None = None) -> Parser:
    """Return the whole command line, or just what reads one of its commands: all of them take longer to make."""
    parser = Parser(
        prog=PROGRAM,
        description="A box: receive a boot image off the air, install it, boot it, confirm it.",
        epilog=EXIT_CODES + "\n" + DEFAULTS_NOTE,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog=PROGRAM)
    for name, add in COMMANDS.items():
        if command in (None, name):
            add(commands)
    return parser


def _run(arguments: list[str]) -> None:
    if not arguments:
        make_parser().print_help()
        raise SystemExit(EXIT_USAGE)
    config = read_config(CONFIG, os.environ)
    parser = make_parser(arguments[0] if arguments[0] in COMMANDS else None)
    if any(f"--{name}" not in variables_of(parser) for name in config):
        parser = make_parser()  # which tells options of other commands from misspelled ones
    apply_defaults(parser, os.environ, config, config_path(CONFIG, os.environ))
    found = parser.parse_args(arguments)
    raise SystemExit(found.run(found))


def main() -> None:
    """Run the command. NumPy's linear algebra is of no use here: its threads would cost start-up, and a fork."""
    gc.set_threshold(GARBAGE_EVERY)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        run_command(PROGRAM, lambda: _run(sys.argv[1:]))
    finally:
        gc.freeze()  # all memory goes with the process: looking through it once more would take a tenth of a start
