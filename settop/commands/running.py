"""What a box does when it starts: receive with a deadline, then boot, whatever came of it."""

import os
import time
from pathlib import Path

from carousel.console.command import EXIT_TROUBLE, in_a_sentence
from carousel.console.supervisor import beat_interval_s, notify
from carousel.errors import BootcastError
from settop.boot.table import BackendOptions
from settop.commands.booting import backend_of, boot_box
from settop.commands.reporting import reporting
from settop.options import Outcome, ReceiveOptions
from settop.report import Reporter
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from settop.work.child import CRASHED, INTERRUPTED, Beat, ChildLostError, MoreTime, run_in_child

__all__ = ["run"]

BACKOFF_LONGEST_S = 60.0
MARGIN_S = 2.0
"""So much later than its deadline a reception is given up by whoever waits for it."""
_OUTCOMES = tuple(Outcome)
_FAILED = len(_OUTCOMES)


def run(
    boot: BackendOptions,
    backend_name: str | None,
    options: ReceiveOptions,
    keep_listening: bool,
    as_json: bool,
    metrics: Path | None = None,
) -> int:
    """Receive with a deadline, in a child; then boot, whatever came of it: this process only decides and boots.

    Return the exit code of what starts the image; where there is nothing to start it with, that is a failure.
    """
    box = BoxFolder(boot.folder)
    backend = backend_of(backend_name, boot)
    with reporting(as_json, boot.folder, metrics) as reporter:
        notify("READY=1")
        _receive_beside(box, options, reporter)
        decision, status = boot_box(box, backend, reporter)
        if keep_listening and decision.source is Source.EEPROM:
            _listen_on(box, options, reporter)
    return EXIT_TROUBLE if backend is None else status


def _receive_beside(box: BoxFolder, options: ReceiveOptions, reporter: Reporter) -> Outcome | None:
    """Receive in a child; whatever keeps it from receiving is said, and must not keep this process from booting."""
    try:
        with box.locked() as lock:
            code = run_in_child(
                lambda more_time: _receive_as_child(box, options, reporter, lock, more_time),
                options.timeout_s + MARGIN_S,
                _beat(),
            )
    except (BootcastError, OSError) as error:
        reporter.tell("note", text=f"receiving failed: {in_a_sentence(error)}")
        return None
    except ChildLostError as error:
        reporter.tell("note", text=f"receiving failed: {error}")
        return None
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code == CRASHED:
        reporter.tell("note", text="receiving failed: it crashed")
    return _OUTCOMES[code] if code < _FAILED else None


def _beat() -> Beat | None:
    """Return what tells systemd's watchdog that this process is on its way to a boot, if it wants to know."""
    interval_s = beat_interval_s()
    return Beat(interval_s, lambda: notify("WATCHDOG=1")) if interval_s else None


def _receive_as_child(
    box: BoxFolder, options: ReceiveOptions, reporter: Reporter, lock: int, more_time: MoreTime
) -> int:
    """Receive and install; the lock is the parent's, and must not live on in a child that hangs."""
    from settop.session import receive_and_install  # noqa: PLC0415  NumPy and threads, in the child alone

    more_time(options.timeout_s + MARGIN_S)  # its own clock begins here: on small boards imports take seconds
    os.close(lock)
    try:
        outcome, _ = receive_and_install(box, options, reporter, time.monotonic, more_time)
    except (BootcastError, OSError) as error:
        reporter.tell("note", text=f"receiving failed: {in_a_sentence(error)}")
        return _FAILED
    finally:
        reporter.close()
    return _OUTCOMES.index(outcome)


def _listen_on(box: BoxFolder, options: ReceiveOptions, reporter: Reporter) -> None:
    """Listen with growing pauses until an image is installed: the EEPROM image is no place to stay.

    No failure ends it, be it another command that holds the store or a network that is gone: the next turn may work.
    """
    pause_s = 1.0
    while True:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, BACKOFF_LONGEST_S)
        notify("WATCHDOG=1")
        if _receive_beside(box, options, reporter) in (Outcome.VERIFIED, Outcome.UP_TO_DATE):
            return
