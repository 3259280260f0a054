"""What fleets cost by their size: each shipped scenario with all its strategies, as `bootbench fleet` runs it.

Prints CPU seconds and peak memory of all processes of a run (as the kernel counts them, looked at ten times a second),
and seconds of wall time, which mean something on a quiet machine alone.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.fleet.scenario.reading import shipped

__all__ = ["main"]

BOXES = ("1M", "220M")
WORKERS = 2
LOOK_S = 0.1
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PROCESS = Path("/proc")
SESSION, USER_TIME, SYSTEM_TIME = 3, 11, 12
"""Fields of /proc/PID/stat behind the command's name (proc(5))."""


@dataclass(frozen=True)
class Cost:
    """What a run took, with all its processes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def main() -> None:
    """Measure, and print."""
    names = sys.argv[1:] or shipped()
    print(f"{'scenario':20}{'boxes':>8}{'CPU s':>9}{'wall s':>9}{'MiB':>7}")
    for name in names:
        for boxes in BOXES:
            cost = cost_of(name, boxes)
            row = f"{cost.cpu_s:9.1f}{cost.wall_s:9.1f}{cost.peak_bytes / 2**20:7.0f}"
            print(f"{name:20}{boxes:>8}{row}", flush=True)


def cost_of(name: str, boxes: str) -> Cost:
    """Run a scenario once, and look at its processes all the while."""
    program = Path(sys.executable).parent / "bootbench"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), "fleet", name, "--boxes", boxes, "--workers", str(WORKERS), "-o", folder]
        begin_s = time.monotonic()
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        cpu_s: dict[int, float] = {}
        peak_bytes = 0
        while process.poll() is None:
            peak_bytes = max(peak_bytes, _look_at(process.pid, cpu_s))
            time.sleep(LOOK_S)
        wall_s = time.monotonic() - begin_s
    if process.returncode:
        raise SystemExit(f"bootbench fleet {name} --boxes {boxes} ended with {process.returncode}")
    return Cost(wall_s, sum(cpu_s.values()), peak_bytes)


def _look_at(session: int, cpu_s: dict[int, float]) -> int:
    """Note the CPU time of each process of a session; return what memory they hold now, shared pages once."""
    held_bytes = 0
    for folder in PROCESS.glob("[0-9]*"):
        with suppress(OSError):  # it may have ended meanwhile
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[SESSION]) != session:
                continue
            cpu_s[int(folder.name)] = (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / TICKS_A_SECOND
            rollup = (folder / "smaps_rollup").read_text().split()
            held_bytes += int(rollup[rollup.index("Pss:") + 1]) * 1024
    return held_bytes


if __name__ == "__main__":
    main()
