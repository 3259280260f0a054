"""The command `bootbench`: lossy links, a look at the carousel, peers side by side."""

import sys

import typer

from bench.capture.cli import capture, replay, sniff
from bench.fleet.cli import fleet
from bench.fleet.live import live
from bench.fleet.plan import plan
from bench.link.cli import link
from bench.peers.cli import peers
from carousel.errors import BootcastError, explain_os_error

__all__ = ["app", "main"]

app = typer.Typer(
    help="Try bootcast before a box ships: lossy links, the carousel seen, other tools beside it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (link, sniff, capture, replay, peers, fleet, plan, live):
    app.command()(command)


@app.callback()
def _callback() -> None:
    """Keep the command's name in the command line, however few there are."""


def main() -> None:
    """Run the command; errors that the operator can mend are one sentence and exit code 1."""
    try:
        app()
    except (BootcastError, OSError) as error:
        print(f"bootbench: {explain_os_error(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
