"""Receive and install; and, for a box that starts, boot whatever came of it."""

import argparse
import time
from pathlib import Path

from carousel.console.command import in_a_sentence
from carousel.errors import BootcastError
from settop.boot.table import BackendOptions
from settop.commands.booting import backend_of, boot_box
from settop.commands.reporting import reporting
from settop.reception import Outcome
from settop.report import Reporter
from settop.session import ReceiveOptions, receive_and_install
from settop.store.choice import Source
from settop.store.folder import BoxFolder

__all__ = ["options_of", "receive", "run"]

EXIT_NOTHING_HEARD = 3
EXIT_ONLY_REFUSED = 4
BACKOFF_LONGEST_S = 60.0


def options_of(arguments: argparse.Namespace) -> ReceiveOptions:
    """Return what the command line asks of a reception."""
    return ReceiveOptions(
        endpoint=arguments.group,
        interface=arguments.interface,
        source=arguments.source,
        timeout_s=arguments.timeout,
        tsi=arguments.tsi,
        drop=arguments.drop,
        drop_seed=arguments.drop_seed,
        use_gro=not arguments.no_gro,
        use_fec=not arguments.no_fec,
        workers=arguments.workers,
        core=arguments.core,
    )


def receive(store: Path, options: ReceiveOptions, as_json: bool) -> int:
    """Install the best acceptable image on the air."""
    box = BoxFolder(store)
    with box.locked(), reporting(as_json, store) as reporter:
        outcome, _ = receive_and_install(box, options, reporter, time.monotonic)
    return {Outcome.NOTHING: EXIT_NOTHING_HEARD, Outcome.REFUSED: EXIT_ONLY_REFUSED}.get(outcome, 0)


def run(
    boot: BackendOptions, backend_name: str | None, options: ReceiveOptions, keep_listening: bool, as_json: bool
) -> int:
    """Receive with a deadline, then boot, whatever came of it."""
    box = BoxFolder(boot.folder)
    backend = backend_of(backend_name, boot)
    with reporting(as_json, boot.folder) as reporter:
        try:
            with box.locked():
                receive_and_install(box, options, reporter, time.monotonic)
        except (BootcastError, OSError) as error:
            # A box boots: whatever keeps it from receiving is said, and must not keep it from booting.
            reporter.tell("note", text=f"receiving failed: {in_a_sentence(error)}")
        decision, status = boot_box(box, backend, reporter)
        if keep_listening and decision.source is Source.EEPROM:
            _listen_on(box, options, reporter)
    return status


def _listen_on(box: BoxFolder, options: ReceiveOptions, reporter: Reporter) -> None:
    """Listen with growing pauses until an image is installed: the EEPROM image is no place to stay.

    No failure ends it, be it another command that holds the store or a network that is gone: the next turn may work.
    """
    pause_s = 1.0
    while True:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, BACKOFF_LONGEST_S)
        try:
            with box.locked():
                outcome, _ = receive_and_install(box, options, reporter, time.monotonic)
        except (BootcastError, OSError) as error:
            reporter.tell("note", text=f"receiving failed, trying again: {in_a_sentence(error)}")
            continue
        if outcome in (Outcome.VERIFIED, Outcome.UP_TO_DATE):
            return
