"""Choose what to boot, and boot it."""

from settop.boot.backend import Backend
from settop.boot.flow import Prepared, prepare
from settop.boot.table import BackendOptions, choose_backend
from settop.commands.reporting import reporting
from settop.report import Reporter
from settop.store.folder import BoxFolder
from settop.store.slots import BootDecision, describe

__all__ = ["backend_of", "boot", "boot_box"]


def backend_of(name: str | None, options: BackendOptions) -> Backend | None:
    """Return the backend that is asked for; with nothing asked for, a given command is one; else there is none."""
    if name is None:
        return choose_backend("command", options) if options.command else None
    return choose_backend(name, options)


def boot(options: BackendOptions, backend_name: str | None, as_json: bool) -> int:
    """Choose an image, verify it, and boot it; return the exit code of `--command`."""
    box = BoxFolder(options.folder)
    with reporting(as_json, options.folder) as reporter:
        _, status = boot_box(box, backend_of(backend_name, options), reporter)
    return status


def boot_box(box: BoxFolder, backend: Backend | None, reporter: Reporter) -> tuple[BootDecision, int]:
    """Decide, tell, and start it over the backend, if any; return a command's exit code, too."""
    if backend is None:
        with box.locked():
            decision = box.store.boot()
        _tell(reporter, "boot", decision)
        return decision, 0
    with box.locked():
        prepared = prepare(box.store, box.disk, backend)
    for note in prepared.notes:
        reporter.tell("note", text=note)
    _tell(reporter, "runs_already" if prepared.runs_already else "boot", prepared.decision)
    return prepared.decision, _start(prepared, backend)


def _start(prepared: Prepared, backend: Backend) -> int:
    return 0 if prepared.runs_already else backend.start(prepared.decision.source, prepared.image)


def _tell(reporter: Reporter, event: str, decision: BootDecision) -> None:
    for passed, failure in decision.passed_over:
        reporter.tell("passed_over", source=passed.value, reason=describe(failure))
    version = str(decision.header.version)
    reporter.tell(event, source=decision.source.value, version=version, reason=decision.reason)
