"""The tools: how each sends, how each receives, when a box has it. One small class each.

Boxes wait, and the clock starts with the sender; only a unicast server is there first, and the clock starts with the
boxes. `ready_mark`: what a box says when it listens. `port`: what a server has bound then. `paces_itself`: the sender
can be told a rate. `receiver_stays`: the receiver is a daemon, whose file appears when it is whole; others end then.
"""

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.peers.namespaces import HEAD_ADDRESS, INTERFACE

__all__ = ["TOOLS", "Bootcast", "Tool", "Transfer"]

BIN = Path(sys.executable).parent
GROUP = "239.255.77.1:5077"
HARDWARE = "00A1B2:7"
UNLIMITED_BPS = 4e9
"""What bootcast is told where there shall be no limit: a carousel needs a rate."""
UNLIMITED_MULTICAST_BPS = 2e9


@dataclass(frozen=True)
class Transfer:
    """One image to some boxes. `work` is a folder of its own; `rate_bps` None: as fast as it can."""

    image: Path
    work: Path
    boxes: int
    rate_bps: float | None

    def place(self, box: int) -> Path:
        """Return a box's folder."""
        return self.work / f"box{box}"


class Tool(Protocol):
    """A way to get an image to boxes."""

    name: str
    is_server: bool
    ready_mark: str
    port: int
    paces_itself: bool
    receiver_stays: bool

    def missing(self) -> str | None:
        """Say what is not installed, or None."""

    def prepare(self, transfer: Transfer) -> None:
        """Make what a run needs, off the clock."""

    def send(self, transfer: Transfer) -> list[str]:
        """Return the head-end's command."""

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """Return a box's command."""

    def received(self, transfer: Transfer, box: int) -> Path:
        """Return where the image is when the box has it; only then is there such a file, or the command has ended."""


def _absent(*programs: str) -> str | None:
    lacking = [program for program in programs if shutil.which(program) is None]
    return f"{', '.join(lacking)} not installed" if lacking else None


class _Peer:
    """What most tools share: boxes that wait, a folder for each, an image called `image` in it."""

    is_server = False
    ready_mark = ""
    port = 0
    paces_itself = True
    receiver_stays = False

    def prepare(self, transfer: Transfer) -> None:
        """Make each box's folder."""
        for box in range(transfer.boxes):
            transfer.place(box).mkdir(parents=True)

    def received(self, transfer: Transfer, box: int) -> Path:
        """What the receiver writes."""
        return transfer.place(box) / "image"


class Bootcast(_Peer):
    """Ours. The release is packed and the boxes' stores are made once, off the clock, as in a lab."""

    name = "bootcast"
    ready_mark = '"listening"'

    def missing(self) -> str | None:
        """It is here."""
        return None

    def prepare(self, transfer: Transfer) -> None:
        """Give each box a store with a factory image, a copy of the one beside the image."""
        for box in range(transfer.boxes):
            shutil.copytree(transfer.image.parent / "store", transfer.place(box) / "store")

    def send(self, transfer: Transfer) -> list[str]:
        """Cast for ever."""
        release = transfer.image.parent / "image.release"
        rate = f"{round((transfer.rate_bps or UNLIMITED_BPS) / 1e6)}M"
        cast = [str(BIN / "headend"), "cast", str(release), "--group", GROUP, "--interface", INTERFACE]
        return [*cast, "--rate", rate, "--json"]

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """Receive, verify, install."""
        store = str(transfer.place(box) / "store")
        receive = [str(BIN / "settop"), "receive", "--store", store, "--group", GROUP, "--interface", INTERFACE]
        return [*receive, "--timeout", "600", "--json"]

    def received(self, transfer: Transfer, box: int) -> Path:
        """It is in slot A."""
        return transfer.place(box) / "store" / "slot-a.image"


class Uftp(_Peer):
    """UFTP: announce, passes over the file, NAKs."""

    name = "UFTP"
    receiver_stays = True

    def missing(self) -> str | None:
        """Look for both ends."""
        return _absent("uftp", "uftpd")

    def prepare(self, transfer: Transfer) -> None:
        """Nothing to make but folders."""
        for box in range(transfer.boxes):
            (transfer.place(box) / "done").mkdir(parents=True)
            (transfer.place(box) / "temp").mkdir()

    def send(self, transfer: Transfer) -> list[str]:
        """Send once, with as many passes as it takes."""
        rate = str(round(transfer.rate_bps / 1e3)) if transfer.rate_bps else "-1"
        options = ["-M", "230.4.4.1", "-P", "230.5.5.1", "-I", INTERFACE, "-R", rate, "-B", "4000000"]
        return ["uftp", *options, str(transfer.image)]

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """A daemon: a whole file is moved from `temp` to `done`."""
        place = transfer.place(box)
        folders = ["-D", str(place / "done"), "-T", str(place / "temp")]
        return ["uftpd", "-d", "-I", INTERFACE, "-M", "230.4.4.1", "-B", "4000000", *folders]

    def received(self, transfer: Transfer, box: int) -> Path:
        """The file under its own name."""
        return transfer.place(box) / "done" / transfer.image.name


class Udpcast(_Peer):
    """udpcast, full duplex: slices, each acknowledged by all."""

    name = "udpcast"
    sender_options: tuple[str, ...] = ("--full-duplex",)

    def missing(self) -> str | None:
        """Look for both ends."""
        return _absent("udp-sender", "udp-receiver")

    def _rate(self, transfer: Transfer) -> list[str]:
        return ["--max-bitrate", f"{round(transfer.rate_bps / 1e3)}k"] if transfer.rate_bps else []

    def _waits(self, transfer: Transfer) -> list[str]:
        """Wait for all boxes, and be as patient with each as can be."""
        return ["--min-receivers", str(transfer.boxes), "--retries-until-drop", "200"]

    def send(self, transfer: Transfer) -> list[str]:
        """Start when all boxes have called."""
        options = [*self.sender_options, *self._rate(transfer), *self._waits(transfer), "--nokbd", "--no-progress"]
        return ["udp-sender", "--file", str(transfer.image), "--interface", INTERFACE, *options]

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """Call, receive, end."""
        output = str(transfer.place(box) / "image")
        return ["udp-receiver", "--file", output, "--interface", INTERFACE, "--nokbd"]


class UdpcastAsync(Udpcast):
    """udpcast without any way back: forward error correction, 8 stripes, a sixth of redundancy."""

    name = "udpcast --async --fec"
    sender_options = ("--async", "--fec", "8x16/128")

    def _rate(self, transfer: Transfer) -> list[str]:
        return ["--max-bitrate", f"{round((transfer.rate_bps or UNLIMITED_MULTICAST_BPS) / 1e3)}k"]

    def _waits(self, transfer: Transfer) -> list[str]:
        """Nobody answers: say hello five times, then go."""
        return ["--autostart", "5", "--rexmit-hello-interval", "100"]


class FluteAlc(_Peer):
    """flute-alc (PyPI) with a harness of ours: Reed-Solomon, a quarter of repair, sent round and round."""

    name = "flute-alc"
    ready_mark = "listening"

    def missing(self) -> str | None:
        """Look for the module."""
        return None if importlib.util.find_spec("flute") else "flute-alc is not installed (PyPI)"

    def send(self, transfer: Transfer) -> list[str]:
        """Render once, send for ever."""
        rate = str(transfer.rate_bps or UNLIMITED_MULTICAST_BPS)
        return [sys.executable, "-m", "bench.peers.fluteharness", "send", str(transfer.image), INTERFACE, rate]

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """End when the object is whole."""
        place = str(transfer.place(box))
        size = str(transfer.image.stat().st_size)
        return [sys.executable, "-m", "bench.peers.fluteharness", "receive", place, INTERFACE, size]

    def received(self, transfer: Transfer, box: int) -> Path:
        """The object under its name."""
        return transfer.place(box) / transfer.image.name


class Tftp(_Peer):
    """TFTP, unicast: tftpd-hpa and curl, blocks of 1428 bytes, one at a time."""

    name = "TFTP"
    is_server = True
    port = 69
    paces_itself = False

    def missing(self) -> str | None:
        """Look for both ends."""
        return _absent("in.tftpd", "curl")

    def send(self, transfer: Transfer) -> list[str]:
        """Serve one folder."""
        return ["in.tftpd", "-L", "-a", f"{HEAD_ADDRESS}:{self.port}", "-s", str(transfer.image.parent)]

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """Fetch."""
        url = f"tftp://{HEAD_ADDRESS}/{transfer.image.name}"
        return ["curl", "-sS", "--tftp-blksize", "1428", "-o", str(transfer.place(box) / "image"), url]


class Http(Tftp):
    """HTTP, unicast: Python's threading server and curl."""

    name = "HTTP"
    port = 8000

    def missing(self) -> str | None:
        """Look for curl."""
        return _absent("curl")

    def send(self, transfer: Transfer) -> list[str]:
        """Serve one folder."""
        serve = [sys.executable, "-m", "http.server", str(self.port), "--bind", HEAD_ADDRESS]
        return [*serve, "--directory", str(transfer.image.parent)]

    def receive(self, transfer: Transfer, box: int) -> list[str]:
        """Fetch."""
        url = f"http://{HEAD_ADDRESS}:{self.port}/{transfer.image.name}"
        return ["curl", "-sS", "-o", str(transfer.place(box) / "image"), url]


TOOLS: tuple[Tool, ...] = (Bootcast(), Uftp(), Udpcast(), UdpcastAsync(), FluteAlc(), Tftp(), Http())
