"""The words for what happens in a box (settop/events.py); carousel/console/reporter.py tells them."""

from collections.abc import Mapping
from typing import Any

from carousel.console.quantities import format_rate_bps, format_size_bytes
from carousel.console.reporter import Language, Reporter, bar, make_reporter

__all__ = ["LANGUAGE", "Reporter", "box_reporter"]

Fields = Mapping[str, Any]
OTHER_HARDWARE = "made for hardware"
"""What boxes of several kinds share a carousel for: no line for each release of the others."""
WORDS = {
    "listening": "listening to {group} on {interface}",
    "image_found": "found {name} {version}, {image_size:,} bytes{resumed_words}",
    "suspicious": "somebody forges symbols: checking every one from now on",
    "image_verified": (
        "verified in {elapsed_s:.2f} s{size_words}: {received_symbols:,} symbols heard for {needed_symbols:,} needed"
        "{loss_words}"
    ),
    "installed": "installed {version} into {slot}, on trial",
    "up_to_date": "up to date: {version} is what this box has",
    "refused": "refused {version}: {reason}",
    "bulletin": "new decisions are in force, epoch {epoch}",
    "not_yet": "not yet: {name} {version}: {reason}",
    "halted": "dropped {name} {version}: {reason}",
    "trial_halted": "gave up {version} in {source}: {reason}",
    "waiting": "waiting to log in: {why}",
    "admitted": "may log in: {why}",
    "reported": "reported {kind} to {to}",
    "kept": "kept {share:.1%}, run again to go on",
    "nothing": "nothing acceptable was heard in {timeout_s:g} s: {why}",
    "note": "{text}",
    "boot": "booting {version} from {source}: {reason}",
    "would_boot": "would boot {version} from {source}: {reason}",
    "passed_over": "passed over {source}: {reason}",
    "runs_already": "{version} from {source} runs already: {reason}",
    "confirmed": "confirmed {source}",
    "marked_bad": "marked {source} bad: it does not boot any more",
    "forgotten": "forgot {source}: what failed there may be installed once more",
    "command_failed": "the command ended with exit code {exit_code}",
}


def say(event: str, fields: Fields) -> str | None:
    """Say an event in a line; None for what only machines want to know."""
    words = WORDS.get(event)
    if words is None or (event == "refused" and fields["reason"].startswith(OTHER_HARDWARE)):
        return None
    resumed = ", going on from what an earlier run left" if fields.get("resumed") else ""
    return words.format(**fields, resumed_words=resumed, loss_words=_losses(fields), size_words=_size(fields))


def _size(fields: Fields) -> str:
    """Say how much it is, and how fast what this run heard of it came."""
    if not fields.get("image_size"):
        return ""
    rate = f" at {format_rate_bps(fields['rate_bps'])}" if fields.get("rate_bps") else ""
    return f", {format_size_bytes(fields['image_size'])}{rate}"


def _losses(fields: Fields) -> str:
    """Say where packets were lost, so that a slow box does not blame the network."""
    told = f"; the network lost {fields['loss']:.1%}" if fields.get("loss") else ""
    if fields.get("socket_drops"):
        told += f"; this box was too slow for {fields['socket_drops']:,} packets"
    return told


def show(event: str, fields: Fields) -> str | None:
    """Show how far a reception is."""
    if event != "progress":
        return None
    share = fields["useful_symbols"] / max(1, fields["needed_symbols"])
    blocks, rate = f"{fields['blocks_done']}/{fields['blocks']}", format_rate_bps(fields["rate_bps"])
    return f"{bar(share)}  blocks {blocks}  {rate}  loss {fields['loss']:.1%}"


LANGUAGE = Language(say, show)


def box_reporter(as_json: bool, label: str) -> Reporter:
    """Return a reporter for a box of this name."""
    return make_reporter(as_json, label, LANGUAGE)
