"""The command `bootbench`: lossy links, a look at the carousel, peers side by side."""

import typer

from bench.capture.cli import capture, replay, sniff
from bench.fleet.cli import fleet
from bench.fleet.live import live
from bench.fleet.plan import plan
from bench.link.cli import link
from bench.peers.cli import peers
from carousel.console.command import run_command

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
    """Run the command."""
    run_command("bootbench", app)
