"""The log-in gate of a box."""

import subprocess
import time
from pathlib import Path

from carousel.errors import OperatorError
from settop.boot.command import words_of
from settop.commands.reporting import reporting
from settop.decided import board_of
from settop.events import Admitted, GateWaiting, fields_of
from settop.options import ReceiveOptions
from settop.store.folder import BoxFolder

__all__ = ["gate"]

EXIT_NOT_YET = 3


def gate(
    store: Path, options: ReceiveOptions, is_patient: bool, longest_s: float, then: str | None, as_json: bool
) -> int:
    """Return 0 as soon as this box may log in, or what the command that follows returns."""
    from settop.gatewatch import wait_for_turn  # noqa: PLC0415  NumPy, which only who listens needs

    box = BoxFolder(store)
    board = board_of(box)
    if board is None:
        raise OperatorError(f"{store} obeys no bulletins, so no gate; `settop init --trust-bulletin` says whose")
    with reporting(as_json, store) as reporter:
        entry = wait_for_turn(box, board, options, longest_s, is_patient, reporter, time.monotonic)
        event = Admitted(entry.why) if entry.may else GateWaiting(entry.why)
        reporter.tell(event.event, **fields_of(event))
    if not entry.may:
        return EXIT_NOT_YET
    if then is None:
        return 0
    code = subprocess.run(words_of(then), check=False).returncode
    return 128 - code if code < 0 else code
