"""`headend inspect`."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from carousel.console.files import load_public_key, open_release
from carousel.flute.releasefile import Release
from carousel.release.trust import TrustRing
from headend.cast.turning import describe_release

__all__ = ["inspect"]


def inspect(
    file: Annotated[Path, typer.Argument(help="A release file.")],
    trust: Annotated[list[Path] | None, typer.Option(help="Check the signature against this public key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show a release's header and layout; with --trust, check its signature (exit 1 if it is not good)."""
    with open_release(file) as release:
        header, fields = release.header, _describe(release)
    good = None
    if trust:
        ring = TrustRing.of(load_public_key(path) for path in trust)
        good = ring.believes(header)
        fields["signature"] = "good" if good else "by none of these keys" if not ring.knows(header) else "bad"
    if as_json:
        print(json.dumps(fields))
    else:
        _print_fields(file, fields)
    if good is False:
        raise typer.Exit(1)


def _describe(release: Release) -> dict[str, Any]:
    header, layout = release.header, release.layout
    image = layout.objects[0]
    return {
        **describe_release(release),
        "security_counter": header.security_counter,
        "created_unix_s": header.created_unix_s,
        "image_sha256": header.image_sha256.hex(),
        "key_id": header.key_id.hex(),
        "signature": "not checked (give --trust KEY.pub)",
        "tsi": release.tsi,
        "fec": image.fec.name,
        "symbol_size": layout.symbol_size,
        "source_symbols": image.source_symbols,
        "source_blocks": image.blocks,
        "largest_block": image.largest_block,
        "repair_per_block": image.repair_per_block,
        "digest_levels": [
            {
                "level": level,
                "toi": release.toi_base + level,
                "bytes": geometry.transfer_length,
                "packets": geometry.rows,
            }
            for level, geometry in enumerate(layout.objects)
            if level
        ],
        "packets": layout.rows,
        "packet_bytes": release.packet_size,
    }


def _print_fields(file: Path, fields: dict[str, Any]) -> None:
    table = Table(title=str(file), show_header=False, title_justify="left")
    for name, value in fields.items():
        if name == "digest_levels":
            shown = ", ".join(f"{each['bytes']:,} bytes in {each['packets']} packets" for each in value)
        elif name in ("tsi", "toi_base"):
            shown = f"{value:#010x}"
        elif name == "created_unix_s":
            shown = f"{value} ({time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(value))})"
        else:
            shown = f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name.replace("_", " "), shown)
    Console(markup=False).print(table)
