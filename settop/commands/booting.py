"""Choose what to boot, and boot it."""

import shlex
import subprocess
from pathlib import Path

from carousel.errors import OperatorError
from settop.commands.reporting import reporting
from settop.report import Reporter
from settop.store.folder import BoxFolder
from settop.store.slots import BootDecision, describe

__all__ = ["boot", "boot_box"]


def boot(store: Path, command: str | None, as_json: bool) -> int:
    """Choose an image, verify it, and boot it; return the exit code of `command`."""
    box = BoxFolder(store)
    with reporting(as_json, store) as reporter:
        _, status = boot_box(box, command, reporter)
    return status


def boot_box(box: BoxFolder, command: str | None, reporter: Reporter) -> tuple[BootDecision, int]:
    """Decide, tell, and run the command, if any; return its exit code, too."""
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
