"""What `bootbench sniff` saw, in words and tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

from carousel.console.quantities import format_rate_bps

__all__ = ["COUNTED", "print_flute", "print_ssu"]

SHOWN_FILES = 3
COUNTED = {
    "announcements": "{} announcements of releases (signed headers)",
    "fdt_packets": "{} packets of FDTs (lists of files)",
    "bad_headers": "{} announcements that could not be read",
    "close_flag": "{} packets that close the session",
    "not_lct": "{} packets that are no FLUTE",
    "no_crc": "{} packets without a CRC",
    "crc_errors": "{} packets with a wrong CRC",
    "objects_beyond_limit": "{} packets of more objects than are followed",
    "tables_and_messages": "{} tables and messages",
    "odd_blocks": "{} blocks that could not be read",
    "carousels_beyond_limit": "{} blocks of more carousels than are followed",
}
"""What is counted, in words; what is not here is a reason why a table was not read."""


def print_flute(report: dict[str, Any]) -> None:
    """Print what a FLUTE carousel is made of."""
    console = Console(width=118, markup=False)  # names come off the air
    rate = format_rate_bps(report["rate_bps"]) if report["rate_bps"] else "?"
    console.print(
        f"{report['packets']:,} packets in {report['seconds']:.2f} s, {rate}; TSI {', '.join(report['tsis'])}"
    )
    for release in report["releases"]:
        console.print(
            f"release {release['name']} {release['version']} for {release['hardware']}: {release['image_size']:,} "
            f"bytes in {_number(release['source_blocks'], 'block')}, "
            f"{release['repair_per_block']} repair symbols each, key {release['key_id']}",
            highlight=False,
        )
    table = Table("TOI", "what", "FEC", "packets", "share", "distinct", "blocks", "cycle", "turns")
    for each in report["objects"]:
        is_known = each["cycle_s"] is not None
        cycle = f"{each['cycle_s']:.2f} s, {each['cycle_packets']:,}" if is_known else "not seen twice"
        cells = [each["toi"], each["kind"], each["fec"], f"{each['packets']:,}", f"{each['share']:.1%}"]
        cells += [f"{each['distinct_symbols']:,}", each["blocks"], cycle, f"{each['block_changes']:.0%}"]
        table.add_row(*map(str, cells))
    console.print(table)
    for fdt in report["fdt"]:
        console.print(f"FDT instance {fdt['instance']}: {_files(fdt['files'])}", highlight=False)
    _print_counts(console, report["counts"])


def print_ssu(report: dict[str, Any]) -> None:
    """Print what a DVB-SSU stream is made of."""
    console = Console(width=118, markup=False)  # names come off the air
    rate = format_rate_bps(report["rate_bps"]) if report["rate_bps"] else "?"
    wrapping = "RTP" if report["rtp"] else "UDP"
    console.print(
        f"{report['packets']:,} transport packets over {wrapping} in {report['seconds']:.2f} s, {rate}, "
        f"{report['null_share']:.1%} null"
    )
    for number, name in report["services"].items():
        console.print(f"service {number}: {name}; linked for {', '.join(report['linked_ouis']) or 'nobody'}")
    _print_tables(console, report)
    for each in report["carousels"]:
        cycle = f"{each['cycle_s']:.2f} s" if each["cycle_s"] is not None else "not seen twice"
        console.print(
            f"carousel {each['download_id']} on {each['pid']}: {each['release'] or 'no header of ours'}; "
            f"{_number(each['modules'], 'module')}, {each['distinct_blocks']:,} blocks of {each['block_bytes']} bytes, "
            f"cycle {cycle}; {', '.join(each['devices'])}",
            highlight=False,
        )
        for note in each["loader"]:
            console.print(f"  a loader in the field: {note}", highlight=False)
    _print_counts(console, report["counts"])


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _files(files: list[dict[str, Any]]) -> str:
    """Name the first files of an FDT, and say how many there are beside them."""
    named = [f"{file['location']} ({file['toi']})" for file in files[:SHOWN_FILES]]
    more = [f"and {len(files) - SHOWN_FILES} more"] if len(files) > SHOWN_FILES else []
    return f"{_number(len(files), 'file')}: {', '.join([*named, *more])}"


def _print_counts(console: Console, counts: dict[str, int]) -> None:
    said = [COUNTED.get(name, f"{{}} tables or messages not read: {name}").format(f"{count:,}")
            for name, count in counts.items()]  # fmt: skip
    if said:
        console.print("; ".join(said), highlight=False)


def _print_tables(console: Console, report: dict[str, Any]) -> None:
    pids = Table("PID", "packets", "share", "continuity errors", "carries")
    streams = {each["pid"]: f"{each['update_type']} update of {each['oui']}" for each in report["streams"]}
    for each in report["pids"]:
        cells = (each["packets"], f"{each['share']:.1%}", each["continuity_errors"], streams.get(each["pid"], ""))
        pids.add_row(each["pid"], *map(str, cells))
    console.print(pids)
    tables = Table("table", "times", "longest gap", "versions")
    for name, each in report["tables"].items():
        tables.add_row(
            name, str(each["count"]), f"{each['longest_gap_s']:.2f} s", ", ".join(map(str, each["versions"]))
        )
    console.print(tables)
