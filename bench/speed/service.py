"""What the service costs its carousels: one release, faster than the machine can, by `headend cast` and by `serve`.

Both on lo, without a box, both started once; of the two, one is stopped (SIGSTOP) while the other sends, in turns of
half a second, the service with all its processes. What leaves is what the kernel counts on lo. A machine that is slow
for a while is slow for both halves of a pair: the figure is the median of the pairs' ratios, with its quartiles.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["main"]

BIN = Path(sys.executable).parent
GROUPS = "239.255.77.1:5079", "239.255.77.1:5080"
SENT = Path("/sys/class/net/lo/statistics/tx_bytes")
IMAGE_BYTES = 32_000_000
RATE = "100G"
PAIRS = 40
SETTLE_S, TURN_S = 0.1, 0.5


def headend(*arguments: object) -> str:
    """Run a command of ours."""
    command = [str(BIN / "headend"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def started(log: Path, *arguments: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a command of ours run beside us."""
    with log.open("w") as out:
        process = subprocess.Popen([str(BIN / "headend"), *map(str, arguments)], stdout=out, stderr=out)
    try:
        yield process
    finally:
        let(process, signal.SIGCONT)
        process.terminate()
        process.wait()


def wait_for(log: Path, event: str) -> dict[str, str]:
    """Wait until a log tells of something; return what."""
    while True:
        for line in log.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and json.loads(line)["event"] == event:
                return dict(json.loads(line))
        time.sleep(0.1)


def let(process: "subprocess.Popen[bytes]", order: signal.Signals) -> None:
    """Stop a process and those below it, or let them go on."""
    below = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(FileNotFoundError):
        for pid in (process.pid, *map(int, below.read_text().split())):
            with suppress(ProcessLookupError):
                os.kill(pid, order)


def turn_bps(process: "subprocess.Popen[bytes]") -> float:
    """Let one of the two send for a turn; return what it sent."""
    let(process, signal.SIGCONT)
    time.sleep(SETTLE_S)
    begin, begin_s = int(SENT.read_text()), time.monotonic()
    time.sleep(TURN_S)
    end, end_s = int(SENT.read_text()), time.monotonic()
    let(process, signal.SIGSTOP)
    return (end - begin) * 8 / (end_s - begin_s)


def prepare(folder: Path) -> None:
    """Make keys, and a release."""
    headend("keygen", folder / "lab")
    (folder / "data" / "trust").mkdir(parents=True)
    (folder / "data" / "trust" / "lab.pub").write_bytes((folder / "lab.pub").read_bytes())
    (folder / "image").write_bytes(os.urandom(IMAGE_BYTES))
    request = ["--key", folder / "lab.key", "--hardware", "00A1B2:7", "--version", "1.0.0"]
    headend("pack", folder / "image", "-o", folder / "image.release", *request)


def put_on_air(folder: Path) -> None:
    """Have the service cast it, too."""
    url, data = wait_for(folder / "serve.log", "serving")["url"].rstrip("/"), folder / "data"
    at = ["ctl", "--url", url, "--token-file", data / "admin.token"]
    headend(*at, "upload", folder / "image.release")
    headend(*at, "create", "lab", "--group", GROUPS[1], "--interface", "lo", "--rate", RATE)
    headend(*at, "put", "lab", "image")
    wait_for(folder / "serve.log", "casting")
    time.sleep(5.0)  # another process starts, to stand by


def main() -> None:
    """Print both, and what one is of the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        where = ["--group", GROUPS[0], "--interface", "lo", "--rate", RATE, "--json"]
        listen = ["--data", folder / "data", "--listen", "127.0.0.1:0", "--json"]
        with started(folder / "serve.log", "serve", *listen) as service:
            put_on_air(folder)
            let(service, signal.SIGSTOP)
            with started(folder / "cast.log", "cast", folder / "image.release", *where) as alone:
                wait_for(folder / "cast.log", "casting")
                pairs = []
                for number in range(PAIRS):
                    first, second = (alone, service) if number % 2 else (service, alone)
                    let(alone, signal.SIGSTOP)
                    rates = {id(each): turn_bps(each) for each in (first, second)}
                    pairs.append((rates[id(alone)], rates[id(service)]))
    low, middle, high = statistics.quantiles([served / alone for alone, served in pairs], n=4)
    alone_bps, served_bps = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(
        f"a carousel alone {alone_bps / 1e9:.2f} Gb/s, in the service {served_bps / 1e9:.2f} Gb/s: "
        f"{middle:.3f} of it (the middle half of {PAIRS} pairs: {low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    main()
