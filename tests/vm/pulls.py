"""`make pulls`: the power of emulated boards is pulled at random moments of an install, and of a confirmation.

For each way to boot, a card of `settop image` takes v1 off the air and confirms it; then v2. Where v2 begins to come,
and where it begins to confirm itself, the board is frozen. Each pull lets a copy of the frozen board run on, with its
carousel, kills it (QEMU) at a random moment, one in each part of the operation, and switches it on again with no
network: what starts then must be whole, v1 or v2. The seed is printed; `--seed` repeats the moments, as far as the load
allows.
"""

import argparse
import hashlib
import os
import random
import re
import secrets
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from tests.vm import story
from tests.vm.machines import Board, monitor, read_card


@dataclass(frozen=True)
class Way:
    """A way to boot: the card's board and loader, and what the emulated board has for firmware."""

    board: str
    firmware: str
    loader: str | None = None


WAYS = {
    "kexec": Way("qemu-arm64", "uboot"),
    "uboot": Way("uboot-arm64", "uboot"),
    "systemd-boot": Way("uefi-arm64", "uefi"),
    "grub": Way("uefi-arm64", "uefi", "grub"),
}
MOMENTS = {"install": ("found v2", "booting 2.0.0"), "commit": ("IMAGE v2 runs", "IMAGE v2 is done")}
"""Between which two lines of the console the power is pulled."""
COMMIT_S = 3.0
"""A confirmation is mostly Python's start; pulled is in its last seconds, when it writes."""
STARTED = re.compile(r"IMAGE (v\d) runs: (.*)")
DIGEST = re.compile(r"bootcast\.image=([0-9a-f]{16})")
SLOTS = {"v1": "slot-a", "v2": "slot-b"}


def freeze_board(folder, way):
    """Return a board frozen at the start of both operations, and how long each takes on this machine."""
    board = Board(folder / "card.img", way.firmware, memory="1024", network=story.network(0))
    with story.carousel(folder, folder / "v1.release"):
        said = board.run(deadline_s=900, tell=story.teller())
    assert "confirmed slot-a" in said, said[-3000:]
    frozen, began_s, ended_s = {}, {}, {}

    def note(_, line):
        for name, (first, last) in MOMENTS.items():
            if first in line and name not in frozen:
                frozen[name] = board.freeze(name)
                began_s[name] = time.monotonic()
            if last in line:
                ended_s.setdefault(name, time.monotonic())

    with story.carousel(folder, folder / "v2.release"):
        said = board.run(deadline_s=900, tell=note)
    assert "confirmed slot-b" in said, said[-3000:]
    return frozen, {name: ended_s[name] - began_s[name] for name in MOMENTS}


def pull(board, after_s):
    """Let a frozen board run on, and pull its power so much later; tell whether it was on till then."""
    with board.powered() as process:
        with monitor(board) as ask:
            while ask("query-status")["status"] == "inmigrate":
                time.sleep(0.02)
            ask("cont")
        time.sleep(after_s)
        return process.poll() is None


def judge(board, said, releases):
    """Return what started after a pull: one of the releases, whole, to its end."""
    found = STARTED.search(said)
    assert found, f"no image started:\n{said[-3000:]}"
    name, command_line = found.groups()
    by_kexec = DIGEST.search(command_line)
    if by_kexec:
        digest = by_kexec.group(1)
    else:
        digest = hashlib.sha256(read_card(board.card, f"{SLOTS[name]}.efi")).hexdigest()[:16]
    assert releases[name] == digest, f"{SLOTS[name]} started as {digest}, which is not {name}"
    assert f"IMAGE {name} is done" in said, said[-3000:]
    return name


def digest_of(release):
    from carousel.console.files import open_release

    with open_release(release) as opened:
        return opened.header.image_sha256[:8].hex()


def pull_often(options, way_name, rng):
    """Pull the power of one way's boards; return what started how often, by operation."""
    folder, came = options.folder / way_name, Counter()
    releases = {name: digest_of(folder / f"{name}.release") for name in SLOTS}
    frozen, lasts_s = freeze_board(folder, WAYS[way_name])
    print(
        f"{way_name}: an install takes {lasts_s['install']:.1f} s here, a confirmation {lasts_s['commit']:.1f} s",
        flush=True,
    )
    first_s = {"install": 0.0, "commit": max(0.0, lasts_s["commit"] - COMMIT_S)}
    with story.carousel(folder, folder / "v2.release"):
        for number, (part, name) in enumerate(product(range(options.pulls), MOMENTS)):
            share = (part + rng.random()) / options.pulls  # a random moment in each part, so that no part is left out
            after_s = first_s[name] + share * (lasts_s[name] - first_s[name])
            board = frozen[name].copy("pulled")
            was_on = pull(board, after_s)
            alone = replace(board, frozen=None, network=("-nic", "none"))
            started = judge(board, alone.run(deadline_s=900), releases)
            came[name, started] += 1
            late = "" if was_on else " (it was off by then)"
            print(f"{number + 1:3}: pulled {after_s:5.1f} s into the {name}{late}: {started} starts", flush=True)
    return came


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pulls", type=int, default=20, help="of an install, and as many of a commit, for each way")
    parser.add_argument("--way", action="append", choices=WAYS, help="may be repeated; all, if none is named")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--folder", type=Path, default=Path("vm-out"))
    parser.add_argument("--timeout", default="100s")
    parser.add_argument("--zstd-level", default="3")
    options = parser.parse_args()
    ways = options.way or list(WAYS)
    if os.environ.get("STORY_NETWORK") != "own":
        for name in ways:
            folder = options.folder / name
            folder.mkdir(exist_ok=True, parents=True)
            way = WAYS[name]
            of_this = argparse.Namespace(**{**vars(options), "folder": folder})
            story.prepare(of_this, way.board, way.loader, v2_is_good=True)
        story.into_a_namespace("tests.vm.pulls", ["--seed", str(options.seed)])
    story.make_network()
    print(f"\nseed {options.seed}", flush=True)
    rng = random.Random(options.seed)
    for way_name in ways:
        for (name, started), count in sorted(pull_often(options, way_name, rng).items()):
            print(f"{way_name}: {count} pulls of power during {name}: {started} started, whole", flush=True)


if __name__ == "__main__":
    main()
