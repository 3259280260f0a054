"""Why nothing was installed: from what was heard to a sentence that says where to look."""

from collections.abc import Mapping

from settop.stitch.seam import WireStats

__all__ = ["why_nothing"]

OF_HEADERS = {"header_repeated", "header_postponed", "fdt", "bulletin"}
"""What a carousel sends beside its symbols."""


def why_nothing(stats: WireStats, share: float | None, silent_s: float, refused: tuple[str, ...] = ()) -> str:
    """Say it in one sentence, the likeliest cause first.

    `share` is how much of the most complete release is here, None if none was found; `silent_s` how long nothing at all
    has been heard, infinity for never; `refused` why releases were refused.
    """
    counts = dict(stats.rejected)
    if share is not None:
        return _of_a_release(counts, share, silent_s)
    if refused:
        return f"only releases were heard that this box does not take ({'; '.join(dict.fromkeys(refused))})"
    if stats.unknown_keys:
        keys = " and ".join(stats.unknown_keys)
        return f"heard a carousel signed by key {keys}, which this box does not trust; see its folder trust/"
    if silent_s == float("inf"):
        return (
            "no packet came: check group, port, interface, firewall, and the switch's IGMP querier (docs/operations.md)"
        )
    return _of_strange_packets(stats, counts)


def _of_a_release(counts: Mapping[str, int], share: float, silent_s: float) -> str:
    if silent_s >= 1.0:
        return f"the carousel fell silent {silent_s:.0f} s ago, at {share:.0%}; what came is kept, run again to go on"
    if share == 0.0:
        return "only headers were heard, and no symbols of their release: is the head-end sending?"
    if counts.get("no_room"):
        return f"there was no room for all of it, at {share:.0%}; make room on the disk"
    return f"there was too little time: {share:.0%} came and is kept; run again to go on, or take a longer --timeout"


def _of_strange_packets(stats: WireStats, counts: Mapping[str, int]) -> str:
    strange = {name: count for name, count in counts.items() if name not in OF_HEADERS}
    if stats.corrupt > sum(strange.values()) / 2:
        return "what came was damaged on the way: check cables and the network card"
    most = max(strange, key=lambda name: strange[name], default="")
    if most == "tsi":
        return "only packets of another session came: give its TSI by --tsi (`headend inspect` shows it)"
    if most in ("early", "early_dropped"):
        return "symbols came, and no header of theirs: somebody sends packets that belong to no release"
    if most in ("bad_signature", "header_crc", "header_fields"):
        return "headers came, and none with a good signature: somebody forges them"
    return "packets came, and none that belongs to a carousel: does another program send to this group and port?"
