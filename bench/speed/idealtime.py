"""How long a box takes from anywhere in the carousel, beside the ideal: the image's bits over what of the rate arrives.

    python -m bench.speed.idealtime            # in virtual time: what code, order, framing and digests cost
    python -m bench.speed.idealtime --live     # real processes on the loopback, too: a minute for each 200 MB

Live, a box starts at a drawn moment, and drops packets itself; its clock begins when it listens.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from bench.speed.table import LIVE_BPS, Bench, Row, ideal_s, live_ratio
from bench.virtual.box import InlineBox
from bench.virtual.pair import FaultyLink, run_pair
from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from headend.pack.packing import PackRequest, pack
from settop.stitch.policy import BoxProfile

SIZES_BYTES = (20_000_000, 200_000_000)
LOSSES = (0.0, 0.01, 0.05, 0.2)
GOALS = {0.0: 1.035, 0.01: 1.05, 0.05: 1.05, 0.2: 1.05}
HARDWARE = Hardware.parse("00A1B2:7")
VERSION = Version(1, 0, 0)
LIMIT = 5.0
"""A run that takes so many times the ideal time is not waited for."""


def _row(how: str, size_bytes: int, loss: float, values: list[float]) -> Row:
    return Row(f"{how}, {size_bytes / 1e6:g} MB, {loss:.0%} loss", "x", values, f"<= {GOALS[loss]}")


def virtual_rows(size_bytes: int, runs: int, seed: int) -> Iterator[Row]:
    """Let boxes tune in anywhere, in virtual time."""
    key = Ed25519PrivateKey.generate()
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        image, file = Path(folder) / "image", Path(folder) / "release"
        image.write_bytes(rng.bytes(size_bytes))
        pack(image, file, key, PackRequest(HARDWARE, VERSION, 0))
        release = Release.parse(memoryview(file.read_bytes()))
    profile = BoxProfile(HARDWARE, TrustRing.of([key.public_key()]))
    for loss in LOSSES:
        yield _row("virtual", size_bytes, loss, [_virtual(release, profile, loss, rng) for _ in range(runs)])


def _virtual(release: Release, profile: BoxProfile, loss: float, rng: np.random.Generator) -> float:
    size_bytes = release.header.image_size
    start = int(rng.integers(release.image_packets))
    box, link = InlineBox(profile, release.tsi), FaultyLink(rng, loss=loss)
    limit_s = LIMIT * ideal_s(size_bytes, loss)
    result = run_pair([release], box, link, LIVE_BPS, start, limit_s, seed=int(rng.integers(1 << 31)))
    if result.verified_s is None:
        raise RuntimeError(f"no image within {LIMIT:g} times the ideal time, from packet {start}")
    return result.verified_s / ideal_s(size_bytes, loss)


def live_rows(bench: Bench, size_bytes: int, runs: int, seed: int) -> Iterator[Row]:
    """Start boxes at drawn moments of a cycle, on the loopback."""
    rng = np.random.default_rng(seed)
    release = bench.pack(size_bytes, "1.0.0")
    cycle_s = 2 * ideal_s(size_bytes, 0.0)
    for loss in LOSSES:
        starts_s = rng.random(runs) * cycle_s
        yield _row("live", size_bytes, loss, [live_ratio(bench, release, size_bytes, loss, s)[0] for s in starts_s])
    release.unlink()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("bench-out"))
    options = parser.parse_args()
    console = Console(width=100)
    title = f"time to the verified image over the ideal at 50 Mb/s, any start, {options.runs} each, seed {options.seed}"
    table = Table("what", "median", "worst", "goal", title=title, title_justify="left")
    found: list[Row] = []
    for size_bytes in SIZES_BYTES:
        rows = [virtual_rows(size_bytes, options.runs, options.seed)]
        if options.live:
            rows.append(live_rows(Bench(options.output, 1_000_000), size_bytes, options.runs, options.seed))
        for row in (each for some in rows for each in some):
            found.append(row)
            table.add_row(row.name, f"{row.median:.4f}", f"{max(row.values):.4f}", row.goal)
            console.print(f"{row.name}: {row.median:.4f}", style="dim")
    console.print(table)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "idealtime.json").write_text(json.dumps([asdict(row) for row in found], indent=1))


if __name__ == "__main__":
    main()
