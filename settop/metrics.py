"""What a box tells, as gauges for Prometheus: text for node-exporter's textfile collector. Pure.

The file is the memory: a box lives for the length of a command, so each event changes the lines of the file that the
command before it left. A line is a name with labels, and a value.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Gauges", "after", "parse", "render"]

Gauges = dict[str, float]
"""By name with labels, as the text has them: `bootcast_installed_info{slot="slot-a",version="1.4.0"}`."""
MAX_GAUGES = 64
HELP = {
    "bootcast_last_event_timestamp_seconds": "When this box said anything last.",
    "bootcast_reception_share": "How much of what an image needs is there, from 0 to 1.",
    "bootcast_reception_rate_bits_per_second": "How fast symbols of the image come.",
    "bootcast_network_loss_share": "The share of packets that the network lost, seen from gaps in the order.",
    "bootcast_reception_seconds": "How long the last image took.",
    "bootcast_received_symbols_per_needed": "Symbols heard for each one needed: 1 is ideal.",
    "bootcast_socket_drops_packets": "Packets that this box was too slow for, in the last reception.",
    "bootcast_corrupt_packets": "Packets with flipped bits, in the last reception.",
    "bootcast_heard": "Whether the last reception heard an acceptable image: 0 or 1.",
    "bootcast_installed_info": "What was installed last, as labels.",
    "bootcast_installed_timestamp_seconds": "When an image was installed last.",
    "bootcast_booted_info": "What was booted last, as labels.",
    "bootcast_booted_timestamp_seconds": "When an image was booted last.",
    "bootcast_confirmed_timestamp_seconds": "When an image was confirmed last.",
}
_LINE = re.compile(r"(bootcast_\w+(?:\{[^{}\n]*\})?) (-?[0-9.e+-]+)")
_LABEL = re.compile(r"[^\w.:+-]")


def after(gauges: Gauges, event: str, fields: Mapping[str, Any], unix_s: float) -> Gauges:
    """Return the gauges after an event of settop/events.py."""
    changed = dict(gauges)
    match event:
        case "progress":
            changed["bootcast_reception_share"] = fields["useful_symbols"] / max(1, fields["needed_symbols"])
            changed["bootcast_reception_rate_bits_per_second"] = fields["rate_bps"]
            changed["bootcast_network_loss_share"] = fields["loss"]
        case "image_verified":
            changed["bootcast_heard"] = changed["bootcast_reception_share"] = 1
            changed["bootcast_reception_rate_bits_per_second"] = 0
            changed["bootcast_network_loss_share"] = fields["loss"]
            changed["bootcast_reception_seconds"] = fields["elapsed_s"]
            per_needed = fields["received_symbols"] / max(1, fields["needed_symbols"])
            changed["bootcast_received_symbols_per_needed"] = round(per_needed, 4)
            changed["bootcast_socket_drops_packets"] = fields["socket_drops"]
            changed["bootcast_corrupt_packets"] = fields["corrupt_packets"]
        case "up_to_date":
            changed["bootcast_heard"] = 1
        case "nothing":
            changed["bootcast_heard"] = changed["bootcast_reception_rate_bits_per_second"] = 0
        case "installed":
            _inform(changed, "bootcast_installed_info", slot=fields["slot"], version=fields["version"])
            changed["bootcast_installed_timestamp_seconds"] = unix_s
        case "boot":
            _inform(changed, "bootcast_booted_info", source=fields["source"], version=fields["version"])
            changed["bootcast_booted_timestamp_seconds"] = unix_s
        case "confirmed":
            changed["bootcast_confirmed_timestamp_seconds"] = unix_s
    changed["bootcast_last_event_timestamp_seconds"] = unix_s
    return changed


def _inform(gauges: Gauges, name: str, **labels: object) -> None:
    """Put labels in place of those that were there."""
    for old in [each for each in gauges if each.startswith(name + "{")]:
        del gauges[old]
    told = ",".join(f'{label}="{_LABEL.sub("_", str(text))}"' for label, text in labels.items())
    gauges[f"{name}{{{told}}}"] = 1


def render(gauges: Gauges) -> str:
    """Return the text, with help for each name."""
    lines: list[str] = []
    for shown, value in sorted(gauges.items()):
        name = shown.split("{")[0]
        lines += [f"# HELP {name} {HELP.get(name, '')}".rstrip(), f"# TYPE {name} gauge", f"{shown} {value:.15g}"]
    return "".join(line + "\n" for line in lines)


def parse(text: str) -> Gauges:
    """Read what `render` wrote; what is no line of ours is passed over."""
    found: Gauges = {}
    for line in text.splitlines():
        known = _LINE.fullmatch(line)
        if known and known[1].split("{")[0] in HELP and len(found) < MAX_GAUGES:
            try:
                found[known[1]] = float(known[2])
            except ValueError:
                continue
    return found
