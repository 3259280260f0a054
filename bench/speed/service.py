"""What the service costs its carousels: one release, faster than the machine can, by `headend cast` and by `serve`.

Both on lo, in turns, without a box; the figure is what leaves, from their own status lines.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["main"]

BIN = Path(sys.executable).parent
GROUP = "239.255.77.1:5079"
IMAGE_BYTES = 32_000_000
RATE = "100G"
SECONDS = 4
WARM_UP_S = 4
"""Beside a carousel that has just begun another process starts, to stand by."""
TURNS = 3


def headend(*arguments: object) -> str:
    """Run a command of ours."""
    command = [str(BIN / "headend"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def started(log: Path, *arguments: object) -> Iterator[None]:
    """Have a command of ours run beside us."""
    with log.open("w") as out:
        process = subprocess.Popen([str(BIN / "headend"), *map(str, arguments)], stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def events(log: Path, name: str) -> list[dict[str, float]]:
    """Return what a log tells of one kind."""
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [each for each in told if each["event"] == name]


def by_cast(folder: Path) -> float:
    """Return bit/s of `headend cast`."""
    log = folder / "cast.log"
    where = ["--group", GROUP, "--interface", "lo", "--rate", RATE, "--json"]
    with started(log, "cast", folder / "image.release", *where):
        while len(events(log, "status")) < WARM_UP_S + SECONDS:
            time.sleep(0.1)
    return statistics.median(each["rate_bps"] for each in events(log, "status")[WARM_UP_S:])


def by_service(folder: Path) -> float:
    """Return bit/s of a carousel of `headend serve`."""
    log, data = folder / "serve.log", folder / "data"
    with started(log, "serve", "--data", data, "--listen", "127.0.0.1:0", "--json"):
        while not events(log, "serving"):
            time.sleep(0.1)
        url = str(events(log, "serving")[0]["url"]).rstrip("/")
        at = ["ctl", "--url", url, "--token-file", data / "admin.token"]
        if "1.0.0" not in headend(*at, "releases"):
            headend(*at, "upload", folder / "image.release")
            headend(*at, "create", "lab", "--group", GROUP, "--interface", "lo", "--rate", RATE)
            headend(*at, "put", "lab", "image")
        rates: list[float] = []
        while len(rates) < WARM_UP_S + SECONDS:
            time.sleep(1.0)
            rate_bps = rate_of(url, (data / "admin.token").read_text().strip())
            rates += [rate_bps] if rate_bps else []
    return float(statistics.median(rates[WARM_UP_S:]))


def rate_of(url: str, token: str) -> float:
    """Ask the service what its carousel sent in the last second."""
    request = urllib.request.Request(f"{url}/api/status", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return float(json.load(answer)["carousels"][0]["on_air"]["rate_bps"])


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        headend("keygen", folder / "lab")
        (folder / "data" / "trust").mkdir(parents=True)
        (folder / "data" / "trust" / "lab.pub").write_bytes((folder / "lab.pub").read_bytes())
        (folder / "image").write_bytes(os.urandom(IMAGE_BYTES))
        request = ["--key", folder / "lab.key", "--hardware", "00A1B2:7", "--version", "1.0.0"]
        headend("pack", folder / "image", "-o", folder / "image.release", *request)
        pairs = [(by_cast(folder), by_service(folder)) for _ in range(TURNS)]
    alone, served = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(
        f"a carousel alone {alone / 1e9:.2f} Gb/s, in the service {served / 1e9:.2f} Gb/s: {served / alone:.2f} of it"
    )


if __name__ == "__main__":
    main()
