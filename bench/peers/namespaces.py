"""A head-end and boxes in network namespaces of their own, joined by a bridge; loss by the kernel, per box.

    bcp-h ──veth── [bridge in bcp-sw] ──veth── bcp-b0, bcp-b1, ...       10.77.0.1, then 10.77.0.10 and up

Names begin with `bcp-`: what a crashed run left over is found by that, and cleaned. Nothing touches the machine's own
interfaces.
"""

import fcntl
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from carousel.errors import OperatorError

__all__ = ["Lab", "Process", "leftovers", "rootless"]

PREFIX = "bcp-"
HEAD, SWITCH = f"{PREFIX}h", f"{PREFIX}sw"
HEAD_ADDRESS = "10.77.0.1"
FIRST_BOX_ADDRESS = 10
INTERFACE = "eth0"
MAX_BOXES = 64
QUEUE_PACKETS = 10_000


def run(*command: object) -> str:
    """Run a command of the system; `OperatorError` with what it says if it fails."""
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OperatorError(f"`{' '.join(map(str, command))}` failed: {said[-1] if said else done.returncode}")
    return done.stdout


def rootless(command: list[str]) -> list[str] | None:
    """Return the command as it runs without root: in a user namespace of its own, with all rights over what it makes.

    None where the kernel or its policy does not allow that.
    """
    enter = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*enter, "true"], check=False, capture_output=True).returncode:
        return None
    return [*enter, "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh", *command]


def leftovers() -> list[str]:
    """Return the namespaces of a run that crashed."""
    listed = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]


class Process:
    """A program in a namespace; its CPU time is known once it has ended."""

    def __init__(self, namespace: str, command: list[str], log: Path) -> None:
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.cpu_s = 0.0
        self.status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        if self.status is None:
            pid, status, usage = os.wait4(self._popen.pid, os.WNOHANG)
            if pid:
                self._ended(status, usage)
        return self.status

    def cpu_so_far_s(self) -> float:
        """Return the CPU time of it and of its children that have ended, from the system's account."""
        try:
            fields = Path(f"/proc/{self._popen.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:
            return self.cpu_s
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def _ended(self, status: int, usage: resource.struct_rusage) -> None:
        self.status = self._popen.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime

    def end(self, patience_s: float = 3.0) -> None:
        """End it: kindly, then not."""
        if self.poll() is not None:
            return
        self._popen.terminate()
        until_s = time.monotonic() + patience_s
        while self.poll() is None and time.monotonic() < until_s:
            time.sleep(0.01)
        if self.status is None:
            os.killpg(self._popen.pid, 9)
            _, status, usage = os.wait4(self._popen.pid, 0)
            self._ended(status, usage)


class Lab:
    """Namespaces for the length of a with statement."""

    def __init__(self, boxes: int) -> None:
        if not 1 <= boxes <= MAX_BOXES:
            raise OperatorError(f"from 1 to {MAX_BOXES} boxes fit into this lab, not {boxes}")
        self.boxes = boxes
        if os.geteuid() != 0:
            raise OperatorError("no root, and no user namespaces here for network namespaces without it: use sudo")
        for tool, package in (("ip", "iproute2"), ("nft", "nftables"), ("tc", "iproute2")):
            if shutil.which(tool) is None:
                raise OperatorError(f"{tool} is missing: `make bench-setup` installs it (Debian: {package})")

    def __enter__(self) -> "Lab":
        self._lock = os.open(Path(tempfile.gettempdir()) / "bootcast-peers.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise OperatorError("another `bootbench peers` has these namespaces; wait for it, or end it") from None
        for name in leftovers():
            run("ip", "netns", "del", name)
        try:
            self._build()
        except BaseException:
            self._remove()
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()
        os.close(self._lock)

    def _build(self) -> None:
        run("ip", "netns", "add", SWITCH)
        run("ip", "-n", SWITCH, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", SWITCH, "link", "set", "br0", "up")
        self._add(HEAD, HEAD_ADDRESS, "h")
        for box in range(self.boxes):
            self._add(self.box(box), self.address(box), f"b{box}")

    def _add(self, namespace: str, address: str, port: str) -> None:
        run("ip", "netns", "add", namespace)
        peer = ("peer", "name", port, "netns", SWITCH)
        run("ip", "-n", namespace, "link", "add", INTERFACE, "txqueuelen", QUEUE_PACKETS, "type", "veth", *peer)
        run("ip", "-n", SWITCH, "link", "set", "dev", port, "txqueuelen", QUEUE_PACKETS, "up")
        run("ip", "-n", SWITCH, "link", "set", "dev", port, "master", "br0")
        run("ip", "-n", namespace, "addr", "add", f"{address}/16", "brd", "+", "dev", INTERFACE)
        run("ip", "-n", namespace, "link", "set", INTERFACE, "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "route", "add", "224.0.0.0/4", "dev", INTERFACE)

    def _remove(self) -> None:
        for name in leftovers():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def box(self, index: int) -> str:
        """Return a box's namespace."""
        return f"{PREFIX}b{index}"

    def address(self, index: int) -> str:
        """Return a box's address."""
        return f"10.77.0.{FIRST_BOX_ADDRESS + index}"

    def set_loss(self, share: float) -> None:
        """Drop this share of what reaches each box, each for itself."""
        for box in range(self.boxes):
            ruleset = "flush ruleset\n"
            if share:
                rule = f'iifname "{INTERFACE}" numgen random mod 10000 < {round(share * 10000)} drop;'
                hook = "type filter hook prerouting priority raw;"
                ruleset += f"table ip loss {{\n chain in {{\n{hook}\n{rule}\n}}\n}}\n"
            done = subprocess.run(
                ["ip", "netns", "exec", self.box(box), "nft", "-f", "-"],
                check=False,
                input=ruleset,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise OperatorError(
                    f"this kernel's nftables can't drop at random: {done.stderr.strip().splitlines()[0]}"
                )

    def set_bottleneck(self, rate_bps: float | None) -> None:
        """Limit what the head-end sends, for tools that don't pace themselves; None: no limit."""
        subprocess.run(["tc", "-n", HEAD, "qdisc", "del", "dev", INTERFACE, "root"], check=False, capture_output=True)
        if rate_bps is not None:
            limit = ("rate", f"{round(rate_bps)}bit", "burst", "64k", "latency", "100ms")
            run("tc", "-n", HEAD, "qdisc", "add", "dev", INTERFACE, "root", "tbf", *limit)

    def head_ports(self) -> set[int]:
        """Return the ports, UDP and TCP, that somebody has bound at the head-end."""
        table = run("ip", "netns", "exec", HEAD, "cat", "/proc/net/udp", "/proc/net/tcp")
        rows = [line.split() for line in table.splitlines()]
        return {int(row[1].rpartition(":")[2], 16) for row in rows if row[0].endswith(":")}

    def sent_bytes(self) -> int:
        """Return how much the head-end has put on the wire."""
        shown = json.loads(run("ip", "-n", HEAD, "-s", "-j", "link", "show", INTERFACE))
        return int(shown[0]["stats64"]["tx"]["bytes"])
