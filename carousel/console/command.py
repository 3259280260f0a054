"""The end of every command line: errors that a person can mend are one sentence, and an exit code."""

import sys
from collections.abc import Callable
from contextlib import suppress

from carousel.errors import BootcastError, UsageError, explain_os_error
from carousel.printable import printable

__all__ = ["EXIT_INTERRUPTED", "EXIT_TROUBLE", "EXIT_USAGE", "in_a_sentence", "run_command"]

EXIT_TROUBLE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run a command; what its user can mend is told in a sentence on stderr, with exit code 1, or 2 if it was typed."""
    try:
        command()
    except (BootcastError, OSError) as error:
        with suppress(OSError, AttributeError):  # a closed terminal must not hide the exit code
            print(printable(f"{name}: {in_a_sentence(error)}"), file=sys.stderr, flush=True)
        raise SystemExit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_TROUBLE) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


def in_a_sentence(error: BaseException) -> str:
    """Say what went wrong, for a person."""
    return explain_os_error(error) if isinstance(error, OSError) else str(error)
