"""Choose what to boot, and boot it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path

from carousel.console.command import in_a_sentence
from carousel.errors import BootcastError, OperatorError
from carousel.release.header import SignedHeader
from settop.boot.backend import Backend
from settop.boot.flow import Prepared, prepare
from settop.boot.table import BackendOptions, choose_backend
from settop.commands.reporting import reporting
from settop.report import Reporter
from settop.store.folder import BoxFolder
from settop.store.slots import Access, BootDecision, Store, describe

__all__ = ["Intent", "backend_of", "boot", "boot_box", "report_if_asked"]

LOCK_WAIT_S = 10.0
"""How long a boot waits for who holds the box; a reception of another process may last longer than anybody waits."""


def backend_of(name: str | None, options: BackendOptions) -> Backend | None:
    """Return the backend that is asked for; with nothing asked for, a given command is one; else there is none."""
    if name is None:
        return choose_backend("command", options) if options.command else None
    return choose_backend(name, options)


class Intent(Enum):
    """What a boot is to do."""

    START = "start what is chosen"
    COUNT_ONLY = "count the try, and leave starting it to who asks"
    LOOK = "say what would boot"


def boot(
    options: BackendOptions, backend_name: str | None, intent: Intent, as_json: bool, metrics: Path | None = None
) -> int:
    """Choose an image, verify it, and boot it; return the exit code of `--command`."""
    box = BoxFolder(options.folder)
    with reporting(as_json, options.folder, metrics) as reporter:
        _, status = boot_box(box, backend_of(backend_name, options), reporter, intent)
    return status


def boot_box(
    box: BoxFolder, backend: Backend | None, reporter: Reporter, intent: Intent = Intent.START
) -> tuple[BootDecision, int]:
    """Decide, tell, and start it over the backend, if any; return a command's exit code, too.

    Where there is nothing to start it with, it is only looked at: a try that nobody makes must not be counted.
    """
    for trouble in box.identity.troubles:
        reporter.tell("note", text=trouble)
    if intent is Intent.COUNT_ONLY:
        with _writable(box, reporter) as store:
            _obey_bulletins(box, store, reporter)
            decision = store.boot()
        _tell(reporter, "boot", decision)
        return decision, 0
    if backend is None or intent is Intent.LOOK:
        decision = box.store.with_access(Access.LOOK).boot()
        _tell(reporter, "would_boot", decision)
        if backend is None and intent is Intent.START:
            text = "nothing was started, and no try counted: give --command or --backend (or --count-only to a script)"
            reporter.tell("note", text=text)
        return decision, 0
    with _writable(box, reporter) as store:
        _obey_bulletins(box, store, reporter)
        prepared = prepare(store, box.disk, backend)
    for note in prepared.notes:
        reporter.tell("note", text=note)
    _tell(reporter, "runs_already" if prepared.runs_already else "boot", prepared.decision)
    if not prepared.runs_already and box.store.on_trial() is prepared.decision.source:
        report_if_asked(box, prepared.decision.header, reporter, is_confirmed=False)
    return prepared.decision, _start(prepared, backend, reporter)


def _obey_bulletins(box: BoxFolder, store: Store, reporter: Reporter) -> None:
    """Start no trial that a bulletin has halted; whatever is wrong with bulletins must not keep a box from booting."""
    if store is not box.store or not box.identity.bulletin_trust.keys or store.on_trial() is None:
        return
    from settop.decided import obey  # noqa: PLC0415  a box that obeys no bulletins does not wait for it
    from settop.events import fields_of  # noqa: PLC0415

    try:
        for event in obey(box):
            reporter.tell(event.event, **fields_of(event))
    except (BootcastError, OSError) as error:
        reporter.tell("note", text=f"bulletins can't be obeyed: {in_a_sentence(error)}")


def report_if_asked(box: BoxFolder, header: SignedHeader, reporter: Reporter, is_confirmed: bool) -> None:
    """Report of a trial, where this box may report at all and is asked to; at most once a kind (docs/rollout.md)."""
    if not box.identity.reports_to or not box.identity.bulletin_trust.keys:
        return
    from carousel.report import ReportKind  # noqa: PLC0415  a box that reports nothing does not wait for it
    from settop.commands.samples import report  # noqa: PLC0415

    report(box, ReportKind.CONFIRMED if is_confirmed else ReportKind.STARTING, header, reporter)


@contextmanager
def _writable(box: BoxFolder, reporter: Reporter) -> Iterator[Store]:
    """Give the store under the box's lock; where somebody holds that for long, what may boot without a record."""
    with ExitStack() as stack:
        try:
            stack.enter_context(box.locked(LOCK_WAIT_S, time.sleep))
        except OperatorError as error:
            reporter.tell("note", text=f"{error}; booting what needs no record")
            yield box.store.with_access(Access.HELD)
            return
        yield box.store


def _start(prepared: Prepared, backend: Backend, reporter: Reporter) -> int:
    if prepared.runs_already:
        return 0
    code = backend.start(prepared.decision.source, prepared.image)
    code = 128 - code if code < 0 else code  # a signal, as shells say it
    if code:
        reporter.tell("command_failed", exit_code=code)
    return code


def _tell(reporter: Reporter, event: str, decision: BootDecision) -> None:
    for note in decision.notes:
        reporter.tell("note", text=note)
    for passed, failure in decision.passed_over:
        reporter.tell("passed_over", source=passed.value, reason=describe(failure))
    version = str(decision.header.version)
    reporter.tell(event, source=decision.source.value, version=version, reason=decision.reason)
