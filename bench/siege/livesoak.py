"""An hour of real processes: does anything grow, and does any order of commands stop a boot?

A head-end casts on the loopback, and swaps to a newer release now and then. A box that stays on its EEPROM image
listens all the time, to a group where nobody speaks. On another box `receive`, `run`, `boot`, `confirm` and `status`
are started at random moments, side by side, and killed at times. What must hold: no traceback, only the exit codes
that are documented, each boot starts an image that was packed here, and never the EEPROM's again once one was
confirmed. Memory, descriptors and log of the long-lived processes are told each minute. `python -m
bench.siege.livesoak`, or `make soak-live`.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.siege.live import BIN, HARDWARE, free_port

__all__ = ["Household", "Vitals", "has_grown"]

IMAGE_BYTES = 400_000
RATE = "8M"
COMMANDS = ("receive", "receive", "run", "boot", "boot", "confirm", "status")
EXIT_CODES = {
    "receive": {0, 1, 3, 4},
    "run": {0},
    "boot": {0},
    "confirm": {0, 1},
    "status": {0},
}
"""As docs/man has them; 1 is one sentence: another command works there, or nothing is on trial."""
AT_ONCE = 3
KILLED_SHARE = 0.1
SWAP_EVERY = 25
"""So many commands are started between two swaps."""
HANGS_AFTER_S = 60.0
MINUTE_S = 60.0
GROWTH_BYTES = 4 << 20
LOG_BYTES_A_MINUTE = 16_000
"""A line a second."""


@dataclass(frozen=True)
class Vitals:
    """What a long-lived process holds: resident bytes, descriptors, and how long its log is."""

    name: str
    resident_bytes: int
    descriptors: int
    log_bytes: int


@dataclass
class _Running:
    name: str
    process: subprocess.Popen[str]
    is_doomed: bool
    was_confirmed: bool
    """Whether an image was confirmed when it was started."""


class Household:
    """A head-end and its boxes; one seed gives one order of commands (not of what they meet)."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._rng = folder, random.Random(seed)
        self._group = f"239.255.77.13:{free_port()}"
        self._silent_group = f"239.255.77.14:{free_port()}"
        self._run("headend", "keygen", folder / "key")
        self._version = 0
        self._digests: set[str] = set()
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self._has_confirmed = False
        self._running: list[_Running] = []
        self._started = 0
        self._lived: dict[str, tuple[int, Path]] = {}
        self._eeprom_digest = self._pack("factory")
        for box in ("box", "listener"):
            trust = ["--hardware", HARDWARE, "--trust", folder / "key.pub", "--eeprom", folder / "factory"]
            self._run("settop", "init", "--store", folder / box, *trust)
        self._pack("release")

    @staticmethod
    def _run(program: str, *arguments: object) -> None:
        subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, check=True)

    def _pack(self, name: str) -> str:
        self._version += 1
        image = self._rng.randbytes(IMAGE_BYTES + self._version)
        (self._folder / "image").write_bytes(image)
        how = ["--key", self._folder / "key.key", "--hardware", HARDWARE, "--version", f"1.{self._version}.0"]
        self._run("headend", "pack", self._folder / "image", "-o", self._folder / f"{name}.new", *how)
        (self._folder / f"{name}.new").replace(self._folder / name)
        digest = hashlib.sha256(image).hexdigest()
        self._digests.add(digest)
        return digest

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """Let the long-lived processes live for the length of a with statement."""
        where = ["--interface", "lo", "--json"]
        with ExitStack() as stack:
            cast = ["headend", "cast", self._folder / "release", "--group", self._group, "--rate", RATE, *where]
            listen = ["settop", "receive", "--store", self._folder / "listener", "--group", self._silent_group, *where]
            self._headend = stack.enter_context(self._living("headend cast", cast))
            stack.enter_context(self._living("settop receive", [*listen, "--timeout", "10h"]))
            try:
                yield
            finally:
                for running in self._running:
                    running.process.kill()
                    running.process.communicate()

    @contextmanager
    def _living(self, name: str, command: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
        log = self._folder / f"{name.replace(' ', '-')}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [BIN / str(command[0]), *map(str, command[1:])], stdout=out, stderr=out, text=True
            )
        self._lived[name] = process.pid, log
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=HANGS_AFTER_S)

    # --- commands at random ------------------------------------------------------------------------------

    def act(self) -> None:
        """Start a command, and judge those that have ended; `AssertionError` where something must not be."""
        if len(self._running) < AT_ONCE:
            self._start(self._rng.choice(COMMANDS))
        time.sleep(self._rng.uniform(0.0, 0.3))
        for running in list(self._running):
            is_killed = running.is_doomed and self._rng.random() < 0.3
            if is_killed:
                running.process.kill()
            if is_killed or running.process.poll() is not None:
                self._running.remove(running)
                self._judge(running, is_killed)

    def settle(self) -> None:
        """Start nothing more, and judge what is under way."""
        while self._running:
            running = self._running.pop()
            self._judge(running, False)

    def _start(self, name: str) -> None:
        self._started += 1
        if self._started % SWAP_EVERY == 0:
            self._pack("release")
            self._headend.send_signal(signal.SIGHUP)
        arguments = [name, "--store", self._folder / "box"]
        if name in {"receive", "run"}:
            arguments += ["--group", self._group, "--interface", "lo", "--timeout", self._rng.choice(["0.5", "2", "5"])]
        if name in {"run", "boot"}:
            arguments += ["--command", "sha256sum {image}"]
        if name != "confirm":
            arguments += ["--json"]
        is_doomed = self._rng.random() < KILLED_SHARE
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([BIN / "settop", *map(str, arguments)], **pipes)  # type: ignore[call-overload]
        self._running.append(_Running(name, process, is_doomed, self._has_confirmed))

    def _judge(self, running: _Running, is_killed: bool) -> None:
        name, process = running.name, running.process
        out, complaint = process.communicate(timeout=HANGS_AFTER_S)
        if is_killed:
            self.outcomes[name, -signal.SIGKILL] += 1
            return
        self.outcomes[name, process.returncode] += 1
        said = f"{name} ended with {process.returncode}: {out}{complaint}"
        assert "Traceback" not in out + complaint, said
        assert process.returncode in EXIT_CODES[name], said
        assert process.returncode != 1 or len(complaint.splitlines()) == 1, said
        if name == "confirm" and process.returncode == 0:
            self._has_confirmed = True
        if name in {"run", "boot"}:
            self._judge_boot(out, said, running.was_confirmed)

    def _judge_boot(self, out: str, said: str, was_confirmed: bool) -> None:
        started = [line.split()[0] for line in out.splitlines() if not line.startswith("{")]
        assert len(started) == 1, said
        assert started[0] in self._digests, said
        sources = [json.loads(line)["source"] for line in out.splitlines() if line.startswith('{"event": "boot"')]
        assert len(sources) == 1, said
        if sources[0] == "eeprom":
            assert started[0] == self._eeprom_digest, said
            assert not was_confirmed, said

    # --- vitals ------------------------------------------------------------------------------------------

    def vitals(self) -> list[Vitals]:
        """Look at the long-lived processes."""
        return [_vitals(name, pid, log) for name, (pid, log) in self._lived.items()]


def _vitals(name: str, pid: int, log: Path) -> Vitals:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return Vitals(name, resident * 1024, len(os.listdir(f"/proc/{pid}/fd")), log.stat().st_size)


def has_grown(early: Sequence[Vitals], late: Sequence[Vitals], minutes: float) -> list[str]:
    """Say which processes hold more than they did, or say more than a few lines a minute."""
    grown = []
    for before, after in zip(early, late, strict=True):
        if after.resident_bytes > before.resident_bytes + GROWTH_BYTES:
            grown.append(f"memory of {after.name}")
        if after.descriptors > before.descriptors:
            grown.append(f"descriptors of {after.name}")
        if after.log_bytes > before.log_bytes + LOG_BYTES_A_MINUTE * (1 + minutes):
            grown.append(f"log of {after.name}")
    return grown


def main() -> None:
    """Live for so many minutes, and tell. Exit 1 if anything grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        household = Household(Path(folder), given.seed)
        with household.at_home():
            begin_s, early = time.monotonic(), None
            told_s, late = begin_s, household.vitals()
            while (now := time.monotonic()) - begin_s < given.minutes * MINUTE_S:
                household.act()
                if now - told_s < MINUTE_S:
                    continue
                told_s, late = now, household.vitals()
                early = early or late
                print(f"{(now - begin_s) / 60:.0f} min: {late}", flush=True)
            household.settle()
        outcomes = ", ".join(f"{name} {code}: {count}" for (name, code), count in sorted(household.outcomes.items()))
        print(f"commands and exit codes: {outcomes}")
        grown = has_grown(early or late, late, given.minutes)
    sys.exit(f"these grew: {', '.join(grown)}" if grown else 0)


if __name__ == "__main__":
    main()
