"""`make demo`: the whole story on one machine, in under a minute, on lo.

A boot image is packed, signed and cast; three boxes tune in at different moments with different losses, install
and boot it; then the head-end goes away, and a fresh box falls back to its EEPROM.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bench.kernel import debian_kernel
from carousel.console.quantities import format_rate_bps

__all__ = ["main"]

BIN = Path(sys.executable).parent
HARDWARE = "00A1B2:7"
CAST_S = 4.0
"""The rate is chosen so that one image's worth takes about this long."""
BOXES = (("kitchen", 0.0, "0%"), ("bedroom", 1.0, "5%"), ("garage", 2.0, "20%"))
"""Name, seconds after the head-end, loss."""

console = Console(highlight=False)


def main() -> int:
    """Run the demonstration; its folder stays, to be looked at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, help="the boot image; default: this machine's kernel")
    parser.add_argument("--folder", type=Path, default=Path("demo-out"))
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir()
    image = find_image(options.image, options.folder)
    rate_bps = max(1e6, image.stat().st_size * 8 / CAST_S)
    prepare(image, options.folder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        group = f"239.255.77.1:{probe.getsockname()[1]}"
    head_end = cast(options.folder, group, rate_bps)
    try:
        succeeded = watch_boxes(options.folder, group)
    finally:
        head_end.send_signal(signal.SIGTERM)
        head_end.wait()
    for name, _, _ in BOXES:
        settop("boot", "--store", options.folder / name, "--count-only")
        settop("confirm", "--store", options.folder / name)
    headline("The head-end is gone. A fresh box powers up:")
    new_box(options.folder, "attic")
    arguments = ("--group", group, "--interface", "lo", "--timeout", 2)
    settop("run", "--store", options.folder / "attic", *arguments, "--command", "echo kexec would start {image} here")
    headline("What a box holds now:")
    settop("status", "--store", options.folder / "garage")
    console.print(f"Look around: [bold].venv/bin/settop status --store {options.folder}/kitchen[/]")
    return 0 if succeeded else 1


def headline(text: str) -> None:
    """Print a step of the story."""
    console.print(f"\n[bold cyan]{text}[/]")


def settop(*arguments: object) -> None:
    """Run `settop` and show what it says."""
    subprocess.run([BIN / "settop", *map(str, arguments)], check=True)


def headend(*arguments: object) -> None:
    """Run `headend` and show what it says."""
    subprocess.run([BIN / "headend", *map(str, arguments)], check=True)


def find_image(given: Path | None, folder: Path) -> Path:
    """Return a real boot image: the given one, this machine's kernel, Debian's, or at last a made-up one."""
    if given is not None:
        headline(f"The boot image: {given}, as asked")
        return given
    for kernel in sorted(Path("/boot").glob("vmlinu[xz]-*"), reverse=True):
        if os.access(kernel, os.R_OK):
            headline(f"The boot image: this machine's kernel, {kernel}")
            return kernel
    kernel_of_debian = debian_kernel(console)
    if kernel_of_debian is not None:
        headline(f"The boot image: Debian's kernel, {kernel_of_debian}")
        return kernel_of_debian
    made_up = folder / "made-up-image"
    made_up.write_bytes(os.urandom(8_000_000))
    headline("The boot image: there is no kernel to be had here, so 8 MB of random bytes stand for one")
    return made_up


def prepare(image: Path, folder: Path) -> None:
    """Make keys, pack the image and a factory image, and give three boxes their EEPROM."""
    headline("Keys, a signed release, and three boxes with a factory image in their EEPROM:")
    headend("keygen", folder / "lab")
    factory = folder / "factory"
    factory.write_bytes(b"a small image that can only listen and update\n" * 2000)
    for path, version in ((image, "1.4.0"), (factory, "0.1.0")):
        where = ("-o", folder / f"{version}.release", "--key", folder / "lab.key")
        headend("pack", path, *where, "--hardware", HARDWARE, "--version", version)
    for name, _, _ in BOXES:
        new_box(folder, name)


def new_box(folder: Path, name: str) -> None:
    """Give a box its folder."""
    arguments = ("--hardware", HARDWARE, "--trust", folder / "lab.pub", "--eeprom", folder / "0.1.0.release")
    settop("init", "--store", folder / name, *arguments)


def cast(folder: Path, group: str, rate_bps: float) -> subprocess.Popen[str]:
    """Start the head-end."""
    headline(f"The head-end casts to {group} on lo at {format_rate_bps(rate_bps)}, for ever:")
    arguments = ["--group", group, "--interface", "lo", "--rate", f"{rate_bps / 1e6:.3f}M", "--json"]
    log = (folder / "cast.log").open("w")
    return subprocess.Popen(
        [BIN / "headend", "cast", folder / "1.4.0.release", *arguments], stdout=log, stderr=log, text=True
    )


@dataclass
class RunningBox:
    """A `settop receive` under way, and its bar."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    task: TaskID
    read_bytes: int = 0
    said: str = ""

    def follow(self, progress: Progress) -> None:
        """Take in what the box has said since, and move its bar."""
        text = self.log.read_text()[self.read_bytes :]
        whole = text[: text.rfind("\n") + 1]
        self.read_bytes += len(whole)
        for line in whole.splitlines():
            self._show(json.loads(line), progress)

    def _show(self, event: dict[str, object], progress: Progress) -> None:
        if event["event"] == "progress":
            detail = f"blocks {event['blocks_done']}/{event['blocks']}, loss seen {float(str(event['loss'])):.1%}"
            total, completed = float(str(event["needed_symbols"])), float(str(event["useful_symbols"]))
            progress.update(self.task, total=total, completed=completed, detail=detail)
        elif event["event"] == "image_verified":
            heard, needed = int(str(event["received_symbols"])), int(str(event["needed_symbols"]))
            self.said = f"verified in {event['elapsed_s']:.2f} s, {heard / needed:.1%} of the image heard"
            progress.update(self.task, total=1.0, completed=1.0, detail=self.said)
        elif event["event"] == "installed":
            progress.update(self.task, detail=f"{self.said}, installed in {event['slot']}")


def watch_boxes(folder: Path, group: str) -> bool:
    """Start the boxes one after the other, and show them until they are done; say whether all installed."""
    columns = (TextColumn("{task.description:8}"), BarColumn(bar_width=30), TextColumn("{task.fields[detail]}"))
    began_s, waiting, running = time.monotonic(), list(BOXES), list[RunningBox]()
    with Progress(*columns, console=console) as progress:
        while waiting or any(box.process.poll() is None for box in running):
            if waiting and time.monotonic() - began_s >= waiting[0][1]:
                name, _, loss = waiting.pop(0)
                running.append(power_up(folder, group, name, loss, progress))
            for box in running:
                box.follow(progress)
            time.sleep(0.1)
        for box in running:
            box.follow(progress)
    return all(box.process.returncode == 0 for box in running)


def power_up(folder: Path, group: str, name: str, loss: str, progress: Progress) -> RunningBox:
    """Start one box."""
    log = folder / f"{name}.log"
    arguments = ["--group", group, "--interface", "lo", "--timeout", "40", "--json", "--drop", loss]
    with log.open("w") as out:
        process = subprocess.Popen(
            [BIN / "settop", "receive", "--store", folder / name, *arguments], stdout=out, text=True
        )
    task = progress.add_task(name, total=None, detail=f"powers up behind a link that loses {loss}")
    return RunningBox(name, process, log, task)


if __name__ == "__main__":
    raise SystemExit(main())
