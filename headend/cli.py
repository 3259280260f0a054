"""The command `headend`. What it can do is in headend/program.py."""

import os
import sys

from carousel.console.command import run_command
from carousel.console.defaults import config_file, read_config

__all__ = ["main"]

COMPLETING = "_HEADEND_COMPLETE"
"""Shells ask with it what could come next."""


def main() -> None:
    """Run the command. NumPy's linear algebra is of no use here: its threads would cost start-up."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    run_command("headend", _run)


def _run() -> None:
    words = sys.argv[1:]
    if words[:1] != ["cast"] or COMPLETING in os.environ or not _cast_plainly(words[1:]):
        from headend.program import app  # noqa: PLC0415  Typer, which costs more than a carousel's start

        app()


def _cast_plainly(words: list[str]) -> bool:
    """Cast, if the command line is plain: a carousel that comes back after a fault is to be on the air at once."""
    from carousel.console.plain import read_plainly  # noqa: PLC0415  only `cast` needs these
    from headend.commands.cast import cast  # noqa: PLC0415

    config = read_config(config_file("headend"), os.environ)
    arguments = read_plainly(cast, words, os.environ, config)
    if arguments is None:
        return False
    cast(**arguments)
    return True
