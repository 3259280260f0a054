"""The process of a carousel of `headend serve`, which starts it by this module's name."""

import os
import signal
import time

from carousel.console.reporter import JsonReporter
from headend.casting import Clocks
from headend.serve.child import Inbox, attend, die_with_parent

__all__ = ["main"]


def main() -> None:
    """Attend to orders on standard input."""
    die_with_parent(int(os.environ["BOOTCAST_PARENT"]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which closes the pipe
    attend(Inbox(0), Clocks(time.monotonic, time.time, time.sleep), JsonReporter().tell)


if __name__ == "__main__":
    main()
