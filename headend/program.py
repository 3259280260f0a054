"""The commands of `headend`: make keys, pack images, inspect and cast releases, serve."""

from carousel.console.defaults import config_file
from carousel.console.lazy import LazyCommand, group_of

__all__ = ["COMMANDS", "app"]

CONFIG = config_file("headend")
COMMANDS = (
    LazyCommand("keygen", "headend.commands.keygen:keygen", "Make a key pair: one signs, boxes trust the other."),
    LazyCommand("pack", "headend.commands.pack:pack", "Turn a boot image into a signed release file."),
    LazyCommand("inspect", "headend.commands.inspect:inspect", "Show a release's header, and check its signature."),
    LazyCommand("cast", "headend.commands.cast:cast", "Send releases round and round, for ever."),
    LazyCommand("rollout", "headend.commands.rollout:app", "Decide what boxes hear: stages, halts, the gate."),
    LazyCommand("serve", "headend.commands.serve:serve", "Keep carousels on the air: HTTP, a page, metrics.", "serve"),
    LazyCommand("ctl", "headend.commands.ctl:app", "Steer a running `serve`."),
    LazyCommand("ts", "headend.commands.ts:ts", "Write a DVB-SSU transport stream, for other multiplexers."),
)

EPILOG = (
    f'Options that need not be typed each time: in {CONFIG}, such as interface = "eth0" (BOOTCAST_CONFIG names '
    "another file); the environment (BOOTCAST_INTERFACE, BOOTCAST_GROUP, BOOTCAST_RATE) wins over it, and the command "
    "line over both. Exit codes: 1 it could not be done, 2 a wrong command line."
)
app = group_of(
    "headend", "The broadcaster: pack and sign a boot image, and cast it for ever.", COMMANDS, CONFIG, EPILOG
)
