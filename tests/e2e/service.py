"""A real `headend serve` on lo: the helper of its end-to-end tests."""

import json
import os
import signal
import socket
import struct
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx2 as httpx

from headend.pack.keys import write_key_pair
from tests.e2e.lab import HARDWARE, command, free_port, prepare

PATIENCE_S = 30.0


def until(condition, what: str, patience_s: float = PATIENCE_S):
    """Return what a condition comes to be; fails when it never does."""
    ends_s = time.monotonic() + patience_s
    while time.monotonic() < ends_s:
        with suppress(httpx.HTTPError, KeyError, IndexError, StopIteration):
            found = condition()
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class Service:
    """A data folder and the service over it; `client` asks as admin."""

    def __init__(self, folder: Path, config: str = "", arguments: tuple = ()) -> None:
        self.folder, self.data, self.config = folder, folder / "data", folder / "service.toml"
        self.log = folder / "serve.log"
        folder.mkdir(exist_ok=True)
        self.config.write_text(config)
        self._arguments = arguments
        self.process: subprocess.Popen | None = None
        write_key_pair(folder / "lab")
        (self.data / "trust").mkdir(parents=True)
        (self.data / "trust" / "lab.pub").write_bytes((folder / "lab.pub").read_bytes())

    def start(self, listen: str = "127.0.0.1:0") -> "Service":
        """Start it, and wait until it serves."""
        out = self.log.open("w")
        arguments = ["--data", self.data, "--config", self.config, "--json", *self._arguments]
        self.process = subprocess.Popen(
            command("headend", "serve", "--listen", listen, *arguments), stdout=out, stderr=subprocess.STDOUT
        )
        out.close()
        self.url = until(self._address, f"the service: {self.log}").rstrip("/")
        self.token = (self.data / "admin.token").read_text().strip()
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=PATIENCE_S, trust_env=False
        )
        return self

    def _address(self) -> str:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return next(each["url"] for each in self.told() if each["event"] == "serving")

    def told(self) -> list[dict]:
        """Return what it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def stop(self) -> int:
        """End it as systemd would."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        self.client.close()
        self.process = None
        return code

    def kill(self) -> None:
        """End it as nobody should."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=PATIENCE_S)
        self.client.close()
        self.process = None

    def pack(self, name: str, size: int = 400_000, version: str = "1.4.0", options: tuple = ()) -> Path:
        """Pack noise as a release."""
        image, path = self.folder / name, self.folder / f"{name}.release"
        image.write_bytes(os.urandom(size))
        arguments = ["-o", path, "--key", self.folder / "lab.key", "--hardware", HARDWARE, "--version", version]
        prepare("headend", "pack", image, *arguments, *options)
        return path

    def upload(self, path: Path) -> str:
        """Upload a release; return its ID."""
        answer = self.client.post(
            "/api/releases", content=path.read_bytes(), headers={"Content-Type": "application/octet-stream"}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def create(self, name: str, rate_bps: float = 8e6, **more) -> dict:
        """Make a carousel on lo, on a group of its own."""
        body = {"name": name, "group": f"239.255.77.7:{free_port()}", "interface": "lo", "rate_bps": rate_bps} | more
        answer = self.client.post("/api/carousels", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def put(self, name: str, release: str, **wanted) -> dict:
        """Put a release on the air."""
        path = f"/api/carousels/{name}/releases/{release}"
        answer = self.client.put(path, json=wanted, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def carousel(self, name: str) -> dict:
        """Return a carousel as decided and as it is."""
        return self.client.get(f"/api/carousels/{name}").json()

    def on_air(self, name: str) -> dict:
        """Wait until a carousel's process tells of a release that it sends; return what it tells."""

        def look():
            shown = self.carousel(name)["on_air"]
            return shown if shown["places"] and shown["rate_bps"] else None

        return until(look, f"{name} on the air: {self.log}")

    def pids(self) -> list[int]:
        """Return the processes below it."""
        return children_of(self.process.pid) if self.process else []


@contextmanager
def listening(group: str, patience_s: float = PATIENCE_S):
    """Open a socket that hears a group on lo."""
    address, port = group.rsplit(":", 1)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        ear.bind((address, int(port)))
        index = struct.pack("=4s4si", socket.inet_aton(address), bytes(4), socket.if_nametoindex("lo"))
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, index)
        ear.settimeout(patience_s)
        yield ear


def hear(group: str, patience_s: float = 2.0) -> bytes | None:
    """Return a packet of a group on lo, or None when there is none for so long."""
    with listening(group, patience_s) as ear:
        try:
            return ear.recv(65536)
        except TimeoutError:
            return None
