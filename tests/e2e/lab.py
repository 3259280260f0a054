"""Real commands on lo: the helpers of the end-to-end tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from typer.testing import CliRunner

from carousel.flute.releasefile import Release
from headend.pack.keys import write_key_pair
from headend.program import app as headend
from settop.cli import make_parser

BIN = Path(sys.executable).parent
HARDWARE = "00A1B2:7"


def command(name: str, *args: object) -> list[str]:
    return [str(BIN / name), *map(str, args)]


def run(name: str, *args: object, timeout: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run(command(name, *args), capture_output=True, text=True, timeout=timeout, check=False)


def prepare(name: str, *arguments: object) -> str:
    """Run a command that comes before what a test is about: in this process, which has everything imported already."""
    words = list(map(str, arguments))
    if name == "headend":
        done = CliRunner().invoke(headend, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout
    with redirect_stdout(StringIO()) as said:
        asked = make_parser().parse_args(words)
        assert asked.run(asked) == 0
    return said.getvalue()


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def named(text: str, event: str) -> list[dict]:
    return [each for each in events(text) if each["event"] == event]


def free_port() -> int:
    """Return a UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A folder with a key pair, releases and boxes, and a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.group = f"239.255.77.1:{port}"
        write_key_pair(folder / "lab")
        self.eeprom = self.pack(b"factory image" * 100, "0.1.0", "factory")

    def pack(self, image: bytes, version: str, name: str, *options: object) -> Path:
        (self.folder / name).write_bytes(image)
        path = self.folder / f"{name}.release"
        arguments = ["-o", path, "--key", self.folder / "lab.key", "--hardware", HARDWARE, "--version", version]
        prepare("headend", "pack", self.folder / name, *arguments, *options)
        return path

    def box(self, name: str) -> Path:
        path = self.folder / name
        arguments = ["--hardware", HARDWARE, "--trust", self.folder / "lab.pub", "--eeprom", self.eeprom]
        prepare("settop", "init", "--store", path, *arguments)
        return path

    @contextmanager
    def cast(self, *releases: Path, rate: str = "80M", options: tuple = ()):
        arguments = ["--group", self.group, "--interface", "lo", "--rate", rate, "--json", *options]
        log = self.folder / "cast.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                command("headend", "cast", *releases, *arguments), stdout=out, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: '"casting"' in log.read_text(), process)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0, log.read_text()

    def receive_arguments(self, box: Path, *options: object, timeout: float = 30) -> list:
        where = ["--store", box, "--group", self.group, "--interface", "lo", "--timeout", timeout, "--json"]
        return ["receive", *where, *options]

    def receive(self, box: Path, *options: object, timeout: float = 30) -> subprocess.CompletedProcess:
        return run("settop", *self.receive_arguments(box, *options, timeout=timeout), timeout=timeout + 30)

    def start_receive(self, box: Path, *options: object, timeout: float = 30) -> subprocess.Popen:
        arguments = self.receive_arguments(box, *options, timeout=timeout)
        return subprocess.Popen(command("settop", *arguments), stdout=subprocess.PIPE, text=True)


def wait_for(condition, process: subprocess.Popen | None = None) -> None:
    """Wait until something is so; nothing that a test is about takes as long as this, however busy the machine is."""
    for _ in range(6000):
        if condition():
            return
        assert process is None or process.poll() is None, "the process ended"
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes([file.read(1)[0] ^ 0xFF]) if os.path.getsize(path) > offset else b"!")


def load(path: Path) -> Release:
    return Release.parse(memoryview(path.read_bytes()))
