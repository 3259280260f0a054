"""`headend ts`."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

from carousel.console.files import beside
from carousel.console.quantities import format_size_bytes, parse_rate_bps
from headend.cast.broadcaster import Broadcaster
from headend.cast.recording import recorded
from headend.cast.settings import BroadcastSettings
from headend.cast.ssu import SsuFormat
from headend.casting import ssu_notes
from headend.commands import options
from headend.commands.options import CAROUSEL, OUTPUT, option
from headend.shelf import ReleaseShelf

__all__ = ["ts"]


def ts(
    releases: options.ReleasesArgument,
    output: Annotated[
        Path, option("The transport stream to write.", "-o", "--output", group=OUTPUT, metavar="FILE.ts")
    ],
    rate: Annotated[str, option("Bit/s of transport packets: 8M.", group=CAROUSEL, metavar="RATE")] = "8M",
    loops: Annotated[int, option("So many whole cycles of every release.", group=CAROUSEL, min=1, metavar="N")] = 2,
    seed: options.SeedOption = 0,
    service_id: options.ServiceIdOption = 1,
    network_id: options.NetworkIdOption = 1,
    ts_id: options.TsIdOption = 1,
    pid: options.PidOption = options.DEFAULT_PID_TEXT,
    pcr: options.PcrOption = False,
) -> None:
    """Write the stream of `headend cast --ssu` into a file, for other multiplexers; it may be played in a loop."""
    rate_bps = parse_rate_bps(rate)
    stream = SsuFormat(options.ssu_settings(rate_bps, service_id, network_id, ts_id, pid, rtp=False, pcr=pcr))
    with closing(ReleaseShelf(releases)) as shelf:
        loaded = shelf.load()
        broadcaster = Broadcaster(loaded, BroadcastSettings(rate_bps, seed=seed), 0.0, stream)
        unfinished = beside(output)
        try:
            with unfinished.open("wb") as file:
                for batch in recorded(broadcaster, stream, loops):
                    file.write(batch.buffer[: batch.stride * batch.count])
            unfinished.replace(output)
        finally:
            unfinished.unlink(missing_ok=True)
    size_bytes = output.stat().st_size
    print(
        f"{output}: {loops} cycle(s), {format_size_bytes(size_bytes)}, {size_bytes * 8 / rate_bps:.1f} s at {rate}b/s"
    )
    for text in ssu_notes(stream, loaded):
        print(f"note: {text}")
