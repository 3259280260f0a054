"""The command `bootbench`: lossy links, a look at the carousel, peers side by side, fleets."""

from carousel.console.command import run_command
from carousel.console.lazy import LazyCommand, group_of

__all__ = ["app", "main"]

COMMANDS = (
    LazyCommand("link", "bench.link.cli:link", "Relay a carousel to boxes, each behind a lossy link of its own."),
    LazyCommand("sniff", "bench.capture.cli:sniff", "Say what a carousel is made of.", "bench"),
    LazyCommand("capture", "bench.capture.cli:capture", "Write what a group carries into a pcap file.", "bench"),
    LazyCommand("replay", "bench.capture.cli:replay", "Send a capture to a group again.", "bench"),
    LazyCommand("peers", "bench.peers.cli:peers", "Measure bootcast beside other tools, on one link, in one run."),
    LazyCommand("codec", "bench.speed.codec:codec", "Measure what a block costs: native, NumPy and PyPI's raptorq."),
    LazyCommand("siege", "bench.siege.cli:siege", "Attack a box with packets alone: what does it cost?"),
    LazyCommand("fleet", "bench.fleet.cli:fleet", "Simulate a fleet that boots, and write a report.", "bench"),
    LazyCommand("compare", "bench.fleet.report.compare:compare", "Set two runs of fleets side by side.", "bench"),
    LazyCommand("tornado", "bench.fleet.tornado:tornado", "Turn every parameter of a fleet up and down.", "bench"),
    LazyCommand("validate", "bench.fleet.validate:validate", "Check fleets against single boxes, at length.", "bench"),
    LazyCommand("plan", "bench.fleet.plan:plan", "Find the rate that boots a fleet in time.", "bench"),
    LazyCommand("live", "bench.fleet.live:live", "Run real receivers on a pool, each behind a link.", "bench"),
)
app = group_of("bootbench", "Try bootcast before a box ships: links, captures, other tools, fleets.", COMMANDS)


def main() -> None:
    """Run the command."""
    run_command("bootbench", app)
