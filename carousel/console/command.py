"""The end of every command line: errors that a person can mend are one sentence, and an exit code."""

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

from carousel.errors import BootcastError, UsageError, explain_os_error
from carousel.printable import printable

__all__ = ["EXIT_INTERRUPTED", "EXIT_TROUBLE", "EXIT_UNREAD", "EXIT_USAGE", "in_a_sentence", "run_command"]

EXIT_TROUBLE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141
"""As shells say that SIGPIPE ended a program: who read its output has seen enough, such as `head -1`."""


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run a command; what its user can mend is told in a sentence on stderr, with exit code 1, or 2 if it was typed."""
    try:
        try:
            command()
        finally:
            _flush()
    except (BootcastError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            raise SystemExit(EXIT_UNREAD) from None
        with suppress(OSError, AttributeError):  # a closed terminal must not hide the exit code
            print(printable(f"{name}: {in_a_sentence(error)}"), file=sys.stderr, flush=True)
        raise SystemExit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_TROUBLE) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


def _flush() -> None:
    """Write what is left now, where a failure can still be told, not when Python ends."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _is_unread() -> bool:
    """Say whether nobody reads our output any more; if so, what is left of it goes nowhere, as Python ends."""
    try:
        descriptor = sys.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, 0)
        if not any(events & select.POLLERR for _, events in poll.poll(0)):
            return False
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    except (OSError, ValueError, AttributeError):
        return False
    return True


def in_a_sentence(error: BaseException) -> str:
    """Say what went wrong, for a person."""
    return explain_os_error(error) if isinstance(error, OSError) else str(error)
