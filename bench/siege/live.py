"""Floods by real processes: `headend cast`, a flood, and `settop receive`, on one interface, with real sockets.

What virtual time can't show: processor time, and what a socket drops when it is flooded faster than the box reads. The
factor is `receive`'s own time to the verified image over that without a flood; on a busy machine it says little, so
it is told with the packets that the socket dropped. `python -m bench.siege.live`, or `make siege-live`.
"""

import argparse
import json
import mmap
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.siege.attackers import ForgedHeaders, ForgedSymbols, OtherCarousel, Rubbish
from carousel.flute.releasefile import Release

__all__ = ["BIN", "FLOODS", "HARDWARE", "Flood", "Live", "Report", "free_port"]

HARDWARE = "00A1B2:7"
BIN = Path(sys.executable).parent
POOL_PACKETS = 4096
BURST_S = 0.002
UDP_SEGMENT = 103
MOST_SEGMENTS = 40
SETTLE_S = 0.5
HANGS_AFTER_S = 60.0
MOST_OLDER_BYTES = 100_000_000
Packets = Sequence[bytes]


@dataclass(frozen=True)
class Flood:
    """What a forger sends, and how much of it: packets a second, or times the carousel's own."""

    name: str
    packets: Callable[["Live", np.random.Generator], Packets]
    packets_per_s: float = 0.0
    times_the_rate: float = 0.0


@dataclass(frozen=True)
class Report:
    """How a reception went: seconds to the verified image (None: not in time), and packets that the socket dropped."""

    verified_s: float | None
    socket_drops: int
    sent_per_s: float


def free_port() -> int:
    """Return a UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load_release(path: Path) -> Release:
    """Read a release where it lies: it may be larger than memory."""
    with path.open("rb") as file:
        return Release.parse(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _symbols(live: "Live", rng: np.random.Generator) -> Packets:
    forger = ForgedSymbols(live.release, 1.0, rng)
    return [bytes(forger.packet().packet(0)) for _ in range(POOL_PACKETS)]


def _headers(live: "Live", rng: np.random.Generator) -> Packets:
    forger = ForgedHeaders(live.release, 1.0, rng)
    return [bytes(forger.packet().packet(0)) for _ in range(POOL_PACKETS)]


def _rubbish(size_bytes: int) -> Callable[["Live", np.random.Generator], Packets]:
    def packets(live: "Live", rng: np.random.Generator) -> Packets:
        flood = Rubbish(size_bytes, 1.0, rng, live.release)
        return [bytes(flood.packet().packet(0)) for _ in range(POOL_PACKETS)]

    return packets


def _mixed_sizes(live: "Live", rng: np.random.Generator) -> Packets:
    return [rng.bytes(int(size)) for size in rng.integers(0, 1472, POOL_PACKETS)]


def _second_headend(live: "Live", rng: np.random.Generator) -> Packets:
    """Return what a whole carousel of the older release sends in a cycle."""
    carousel = OtherCarousel(live.older, live.rate_bps)
    heard = iter(carousel.packet, None)
    packets: list[bytes] = []
    while len(packets) < live.older.layout.rows:
        batch = next(heard)
        packets += [bytes(batch.packet(index)) for index in range(batch.count)]
    return packets


FLOODS = (
    Flood("empty datagrams, as many as one core sends", lambda release, rng: [b""] * POOL_PACKETS, 220_000),
    Flood("1-byte packets", _rubbish(1), 34_000),
    Flood("1468-byte packets of random TOIs", _rubbish(1468), 34_000),
    Flood("packets of all sizes, mixed", _mixed_sizes, 34_000),
    Flood("jumbo datagrams of 8900 bytes", _rubbish(8900), 4_000),
    Flood("fragments: datagrams of 20,000 bytes", _rubbish(20_000), 1_500),
    Flood("forged releases, a header and a symbol each", _headers, 12_000),
    Flood("forged symbols at 1 % of the rate", _symbols, times_the_rate=0.01),
    Flood("forged symbols at the carousel's rate", _symbols, times_the_rate=1),
    Flood("forged symbols at 10 times its rate", _symbols, times_the_rate=10),
    Flood("a second head-end with an older release", _second_headend, times_the_rate=1),
)


def _send(packets: Packets, packets_per_s: float, group: tuple[str, int], interface: str, stop: object) -> None:
    """Send for as long as the parent lives, in bursts of 2 ms; packets of one size go many at a time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        index = socket.if_nametoindex(interface)
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes(8) + index.to_bytes(4, sys.byteorder))
        out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        bursts = _bursts(packets, out)
        begin_s, sent = time.monotonic(), 0
        while not stop.is_set():  # type: ignore[attr-defined]
            due = int((time.monotonic() - begin_s) * packets_per_s)
            if sent >= due:
                time.sleep(BURST_S)
                continue
            content, count = next(bursts)
            try:
                out.sendto(content, group)
            except OSError:
                time.sleep(BURST_S)
            sent += count


def _bursts(packets: Packets, out: socket.socket) -> Iterator[tuple[bytes, int]]:
    """Yield (bytes of one call, packets in it) for ever; with UDP_SEGMENT the kernel cuts what one call sends."""
    size = len(packets[0])
    together = 1
    if 0 < size <= 1472 and all(len(packet) == size for packet in packets):
        together = min(MOST_SEGMENTS, 60_000 // size)
        out.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    while True:
        for first in range(0, len(packets), together):
            part = packets[first : first + together]
            yield b"".join(part), len(part)


class Live:
    """A head-end with a release on the air, for the length of a with statement."""

    def __init__(
        self, folder: Path, image_bytes: int, rate_bps: float, interface: str, seed: int, repair_ratio: float = 1.0
    ) -> None:
        self._folder, self.rate_bps, self._interface = folder, rate_bps, interface
        self._rng = np.random.default_rng(seed)
        self._group = ("239.255.77.12", free_port())
        self._run("headend", "keygen", folder / "key")
        older_bytes = min(image_bytes, MOST_OLDER_BYTES)
        packed = (("factory", 10_000, "0.1.0"), ("older", older_bytes, "1.0.0"), ("release", image_bytes, "2.0.0"))
        for name, size_bytes, version in packed:
            (folder / "image").write_bytes(self._rng.bytes(size_bytes))
            how = ["--key", folder / "key.key", "--hardware", HARDWARE, "--version", version, "--repair", repair_ratio]
            self._run("headend", "pack", folder / "image", "-o", folder / name, *how)
        self.older, self.release = (load_release(folder / name) for name in ("older", "release"))

    @staticmethod
    def _run(*arguments: object) -> str:
        program, *rest = map(str, arguments)
        done = subprocess.run([BIN / program, *rest], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr}{done.stdout}")
        return done.stdout

    @property
    def _where(self) -> list[str]:
        return ["--group", f"{self._group[0]}:{self._group[1]}", "--interface", self._interface, "--json"]

    @contextmanager
    def on_air(self) -> Iterator[None]:
        """Cast the release."""
        rate = ["--rate", f"{self.rate_bps / 1e6:g}M"]
        command = [str(BIN / "headend"), "cast", str(self._folder / "release"), *self._where, *rate]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(SETTLE_S)
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)

    @contextmanager
    def under(self, flood: Flood | None) -> Iterator[float]:
        """Flood the group; give the packets a second that are aimed at."""
        if flood is None:
            yield 0.0
            return
        genuine_per_s = self.rate_bps / 8 / self.release.packet_size
        per_s = flood.packets_per_s or flood.times_the_rate * genuine_per_s
        stop = multiprocessing.Event()
        packets = flood.packets(self, self._rng)
        process = multiprocessing.Process(target=_send, args=(packets, per_s, self._group, self._interface, stop))
        process.start()
        try:
            time.sleep(SETTLE_S)
            yield per_s
        finally:
            stop.set()
            process.join(timeout=10)

    def receive(self, flood: Flood | None, timeout_s: float) -> Report:
        """Let a new box receive the release; `subprocess.TimeoutExpired` where it waits far beyond its deadline."""
        with tempfile.TemporaryDirectory(dir=self._folder) as box:
            trust = ["--hardware", HARDWARE, "--trust", str(self._folder / "key.pub")]
            self._run("settop", "init", "--store", f"{box}/box", *trust, "--eeprom", self._folder / "factory")
            with self.under(flood) as per_s:
                command = [str(BIN / "settop"), "receive", "--store", f"{box}/box", *self._where]
                command += ["--timeout", f"{timeout_s:g}"]
                hung_s = timeout_s + HANGS_AFTER_S
                done = subprocess.run(command, capture_output=True, text=True, timeout=hung_s, check=False)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found = next((each for each in told if each["event"] == "image_verified"), None)
        if found is None:
            return Report(None, 0, per_s)
        return Report(found["elapsed_s"], found["socket_drops"], per_s)


def main() -> None:
    """Fight them all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-mb", type=float, default=20)
    parser.add_argument("--rate-mbps", type=float, default=40)
    parser.add_argument("--interface", default="lo")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--repair", type=float, default=1.0, help="repair symbols over source symbols")
    parser.add_argument("--timeout", type=float, help="seconds that a box listens, come what may")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size_bytes, rate_bps = int(given.image_mb * 1e6), given.rate_mbps * 1e6
        live = Live(Path(folder), size_bytes, rate_bps, given.interface, given.seed, given.repair)
        with live.on_air():
            calm = live.receive(None, given.timeout or 60)
            if calm.verified_s is None:
                sys.exit("nothing came even without a flood")
            print(f"undisturbed: {calm.verified_s:.2f} s, {calm.socket_drops} drops\n")
            print("| flood | packets/s | factor | socket drops |\n|---|---|---|---|", flush=True)
            for flood in FLOODS:
                if given.only not in flood.name:
                    continue
                report = live.receive(flood, given.timeout or 20 * calm.verified_s)
                factor = f"{report.verified_s / calm.verified_s:.2f}" if report.verified_s else "no image in time"
                print(f"| {flood.name} | {report.sent_per_s:.0f} | {factor} | {report.socket_drops} |", flush=True)


if __name__ == "__main__":
    main()
