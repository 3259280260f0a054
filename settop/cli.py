"""The command `settop`: a box that receives, installs, boots and confirms."""

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from carousel.console.command import in_a_sentence, run_command
from carousel.console.endpoint import Endpoint
from carousel.console.quantities import parse_probability
from carousel.errors import BootcastError, OperatorError
from carousel.flute.alc import DEFAULT_TSI
from carousel.release.identity import Hardware
from settop.flasher import cli as board_commands
from settop.reception import Outcome
from settop.report import Reporter, make_reporter
from settop.session import ReceiveOptions, receive_and_install
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from settop.store.slots import BootDecision, describe
from settop.store.staterecord import SlotState

__all__ = ["app", "main"]

app = typer.Typer(
    help="A box: receive a boot image off the air, install it, boot it, confirm it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT_TSI_TEXT = hex(DEFAULT_TSI)
EXIT_NOTHING_HEARD = 3
EXIT_ONLY_REFUSED = 4
BACKOFF_LONGEST_S = 60.0

StoreOption = Annotated[Path, typer.Option("--store", help="The box's folder.")]
GroupOption = Annotated[str, typer.Option(help="Multicast group and port: 239.255.77.1:5077 or [ff15::4d]:5077.")]
InterfaceOption = Annotated[str, typer.Option(help="The interface to listen on, such as eth0 or lo.")]
SourceOption = Annotated[str | None, typer.Option(help="Take packets from this sender only (SSM).")]
TimeoutOption = Annotated[float, typer.Option(min=0.1, help="Seconds to listen before giving up.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
TsiOption = Annotated[str, typer.Option(help="The session's TSI, if the head-end packed with another.")]
DropOption = Annotated[str, typer.Option(help="Drop this share of packets in the box, such as 5%, to try out loss.")]
DropSeedOption = Annotated[int, typer.Option(help="Seed of --drop.")]
NoGroOption = Annotated[bool, typer.Option("--no-gro", help="Read packets one by one, as on old kernels.")]
NoFecOption = Annotated[bool, typer.Option("--no-fec", help="Complete from source symbols alone.")]
WorkersOption = Annotated[int, typer.Option(min=1, max=16, help="Processes that hash and decode blocks.")]
CoreOption = Annotated[
    int | None, typer.Option(min=0, help="Keep the receiving process on this processor core, for gigabits a second.")
]
CommandOption = Annotated[
    str | None, typer.Option(help="Run this to boot; {image}, {version} and {slot} are filled in.")
]


@app.command()
def init(
    store: StoreOption,
    hardware: Annotated[str, typer.Option(help="What this box is: OUI:model[:version].")],
    trust: Annotated[list[Path], typer.Option(help="A public key to trust; may be repeated.")],
    eeprom: Annotated[Path, typer.Option(help="The factory image, as a release file.")],
) -> None:
    """Make a box's folder, with the factory image in its EEPROM."""
    box = BoxFolder.init(store, Hardware.parse(hardware), trust, eeprom)
    header = box.store.header(Source.EEPROM)
    assert header is not None
    print(f"{store}: hardware {box.hardware}, {len(trust)} trusted key(s), EEPROM image {header.version}")


@app.command()
def receive(
    store: StoreOption,
    group: GroupOption,
    interface: InterfaceOption,
    source: SourceOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: JsonOption = False,
    tsi: TsiOption = DEFAULT_TSI_TEXT,
    drop: DropOption = "0",
    drop_seed: DropSeedOption = 0,
    no_gro: NoGroOption = False,
    no_fec: NoFecOption = False,
    workers: WorkersOption = 2,
    core: CoreOption = None,
) -> None:
    """Install the best acceptable image on the air. Exit 0 installed or up to date, 3 nothing, 4 all refused."""
    options = _options(group, interface, source, timeout, tsi, drop, drop_seed, no_gro, no_fec, workers, core)
    box = BoxFolder(store)
    with box.locked(), _reporting(as_json, store) as reporter:
        outcome, _ = receive_and_install(box, options, reporter, time.monotonic)
    raise typer.Exit(_exit_code(outcome))


@app.command()
def boot(store: StoreOption, command: CommandOption = None, as_json: JsonOption = False) -> None:
    """Choose an image, verify it, and boot it: the trial, the confirmed one, or the EEPROM's."""
    box = BoxFolder(store)
    with _reporting(as_json, store) as reporter:
        _, status = _boot(box, command, reporter)
    raise typer.Exit(status)


@app.command()
def run(
    store: StoreOption,
    group: GroupOption,
    interface: InterfaceOption,
    timeout: TimeoutOption = 60.0,
    source: SourceOption = None,
    command: CommandOption = None,
    keep_listening: Annotated[
        bool,
        typer.Option("--keep-listening", help="After an EEPROM boot, listen on until an image is installed."),
    ] = False,
    as_json: JsonOption = False,
    tsi: TsiOption = DEFAULT_TSI_TEXT,
    drop: DropOption = "0",
    drop_seed: DropSeedOption = 0,
    no_gro: NoGroOption = False,
    no_fec: NoFecOption = False,
    workers: WorkersOption = 2,
    core: CoreOption = None,
) -> None:
    """Receive with a deadline, then boot, whatever came of it."""
    options = _options(group, interface, source, timeout, tsi, drop, drop_seed, no_gro, no_fec, workers, core)
    box = BoxFolder(store)
    with _reporting(as_json, store) as reporter:
        try:
            with box.locked():
                receive_and_install(box, options, reporter, time.monotonic)
        except (BootcastError, OSError) as error:
            # A box boots: whatever keeps it from receiving is said, and must not keep it from booting.
            reporter.tell("note", text=f"receiving failed: {in_a_sentence(error)}")
        decision, status = _boot(box, command, reporter)
        if keep_listening and decision.source is Source.EEPROM:
            _listen_on(box, options, reporter)
    raise typer.Exit(status)


def _listen_on(box: BoxFolder, options: ReceiveOptions, reporter: Reporter) -> None:
    """Listen with growing pauses until an image is installed: the EEPROM image is no place to stay."""
    pause_s = 1.0
    while True:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, BACKOFF_LONGEST_S)
        with box.locked():
            outcome, _ = receive_and_install(box, options, reporter, time.monotonic)
        if outcome in (Outcome.VERIFIED, Outcome.UP_TO_DATE):
            return


def _boot(box: BoxFolder, command: str | None, reporter: Reporter) -> tuple[BootDecision, int]:
    with box.locked():
        decision = box.store.boot()
    for passed, failure in decision.passed_over:
        reporter.tell("passed_over", source=passed.value, reason=describe(failure))
    version = str(decision.header.version)
    reporter.tell("boot", source=decision.source.value, version=version, reason=decision.reason)
    if command is None:
        return decision, 0
    fields = {
        "image": str(box.path / decision.image_name),
        "version": version,
        "slot": decision.source.value,
    }
    try:
        words = [word.format(**fields) for word in shlex.split(command)]
    except (KeyError, ValueError, IndexError):
        raise OperatorError(
            f"--command {command!r} is no command with {{image}}, {{version}} and {{slot}}; check quotes and braces"
        ) from None
    return decision, subprocess.run(words, check=False).returncode


@app.command()
def confirm(store: StoreOption, as_json: JsonOption = False) -> None:
    """Confirm the image on trial: it works, and is what boots from now on."""
    box = BoxFolder(store)
    with box.locked(), _reporting(as_json, store) as reporter:
        source = box.store.confirm()
        active = Source.of_slot(box.store.record().active)
        reporter.tell("confirmed", source=(source or active).value)


@app.command()
def status(store: StoreOption, as_json: JsonOption = False) -> None:
    """Show what the box holds."""
    box = BoxFolder(store)
    record = box.store.record()
    sources: list[dict[str, Any]] = []
    for source in (Source.SLOT_A, Source.SLOT_B, Source.EEPROM):
        header = box.store.header(source)
        entry: dict[str, Any] = {"source": source.value, "state": "factory"}
        if source is not Source.EEPROM:
            slot = record.slots[source.slot]
            entry |= {"state": slot.state.name.lower(), "active": record.active == source.slot}
            if slot.state is SlotState.TRIAL:
                entry["tries_left"] = slot.tries_left
            if slot.state is SlotState.FAILED:
                entry["failure"] = describe(slot.failure)
        if header is not None:
            entry |= {"name": header.name, "version": str(header.version), "image_size": header.image_size}
            entry |= {"sha256": header.image_sha256.hex(), "security_counter": header.security_counter}
        sources.append(entry)
    whole = {"hardware": str(box.hardware), "floor": record.floor, "seq": record.seq, "sources": sources}
    print(json.dumps(whole)) if as_json else _print_status(store, whole)


def _print_status(store: Path, whole: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415 - see settop/report.py
    from rich.table import Table  # noqa: PLC0415

    title = f"{store}: hardware {whole['hardware']}, security floor {whole['floor']}"
    table = Table("", "state", "name", "version", "bytes", "SHA-256", title=title, title_justify="left")
    for entry in whole["sources"]:
        state = entry["state"]
        if "tries_left" in entry:
            state += f", {entry['tries_left']} tries left"
        if "failure" in entry:
            state += f": {entry['failure']}"
        if entry.get("active"):
            state += ", active"
        digest = entry.get("sha256", "")[:16]
        size = f"{entry['image_size']:,}" if "image_size" in entry else ""
        table.add_row(entry["source"], state, entry.get("name", ""), entry.get("version", ""), size, digest)
    Console(markup=False).print(table)  # names are anybody's


def _options(
    group: str,
    interface: str,
    source: str | None,
    timeout: float,
    tsi: str,
    drop: str,
    drop_seed: int,
    no_gro: bool,
    no_fec: bool,
    workers: int,
    core: int | None,
) -> ReceiveOptions:
    try:
        tsi_number = int(tsi, 0)
    except ValueError:
        raise OperatorError(f"TSI {tsi!r} is no number such as {DEFAULT_TSI:#x}") from None
    return ReceiveOptions(
        Endpoint.parse(group),
        interface,
        source,
        timeout,
        tsi_number,
        parse_probability(drop),
        drop_seed,
        not no_gro,
        not no_fec,
        workers,
        core,
    )


def _exit_code(outcome: Outcome) -> int:
    codes = {Outcome.NOTHING: EXIT_NOTHING_HEARD, Outcome.REFUSED: EXIT_ONLY_REFUSED}
    return codes.get(outcome, 0)


@contextmanager
def _reporting(as_json: bool, store: Path) -> Iterator[Reporter]:
    """Give a reporter for the length of a command."""
    reporter = make_reporter(as_json, store.name)
    try:
        yield reporter
    finally:
        reporter.close()


board_commands.add_to(app)


def main() -> None:
    """Run the command."""
    run_command("settop", app)
