"""`headend inspect`."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from carousel.console.files import load_public_key, open_release
from carousel.flute.releasefile import Release
from carousel.printable import printable
from carousel.release.trust import TrustRing
from headend.events import OnAir

__all__ = ["inspect"]

LABELS = {
    "toi_base": "TOI base",
    "tsi": "TSI",
    "fec": "FEC",
    "image_sha256": "image SHA-256",
    "created_unix_s": "created",
}


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
        **OnAir.of(release).fields(),
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
    """Print a line each, never cut: a SHA-256 is there to be copied."""
    print(file)
    for name, value in fields.items():
        label = LABELS.get(name, name.replace("_", " "))
        print(f"  {label:17} {printable(_in_words(name, value))}")


def _in_words(name: str, value: Any) -> str:
    match name:
        case "digest_levels":
            return ", ".join(f"{each['bytes']:,} bytes in {each['packets']:,} packet(s)" for each in value)
        case "tsi" | "toi_base":
            return f"{value:#010x}"
        case "created_unix_s":
            return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
        case "image_size" | "symbol_size" | "packet_bytes":
            return f"{value:,} bytes"
        case _:
            return f"{value:,}" if isinstance(value, int) else str(value)
