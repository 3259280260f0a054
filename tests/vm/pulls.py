"""`make pulls`: the power of an emulated board is pulled at random moments of an install, and of a confirmation.

The board (QEMU, killed) is switched on again, with its carousel; what starts then must be whole: v1, which is
confirmed, or v2, which was on its way. The seed is printed; `--seed` repeats the moments, as far as the load allows.
"""

import argparse
import os
import random
import re
import secrets
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.vm import story
from tests.vm.machines import Board

MOMENTS = {"install": ("found v2", "booting 2.0.0"), "commit": ("IMAGE v2 runs", "IMAGE v2 is done")}
"""Between which two lines of the console the power is pulled."""
STARTED = re.compile(r"IMAGE (v\d) runs.*bootcast\.slot=(slot-[ab]) bootcast\.image=([0-9a-f]{16})")


def copy_card(board, card, name):
    """Return the board with a copy of this card."""
    copied = replace(board, card=card.with_name(f"{name}.img"))
    subprocess.run(["cp", "--sparse=always", card, copied.card], check=True)
    return copied


def prepare_board(folder):
    """Return a board whose card has v1 confirmed, and how long an install and a commit take on this machine."""
    board = Board(folder / "card.img", "uboot", memory="1024", network=story.network(0))
    with story.carousel(folder, folder / "v1.release"):
        board.run(deadline_s=900, tell=story.teller())
    measured, at = copy_card(board, board.card, "measured"), {}

    def note(elapsed_s, line):
        for text in (text for pair in MOMENTS.values() for text in pair if text in line):
            at.setdefault(text, elapsed_s)

    with story.carousel(folder, folder / "v2.release"):
        measured.run(deadline_s=900, tell=note)
    return board, {name: at[last] - at[first] for name, (first, last) in MOMENTS.items()}


def pull(board, first, after_s):
    """Switch on, and off again so long after this line of its console."""
    board.run(until=first, deadline_s=900, leave=lambda: time.sleep(after_s))


def judge(said, releases):
    """Return what started after a pull, which has to be one of the releases, whole as kexec got it, to its end."""
    found = STARTED.search(said)
    assert found, f"no image started:\n{said[-3000:]}"
    name, slot, digest = found.groups()
    assert releases[name] == digest, f"{slot} started as {digest}, which is not {name}"
    assert f"IMAGE {name} is done" in said, said[-3000:]
    return name


def digest_of(release):
    from carousel.console.files import open_release

    with open_release(release) as opened:
        return opened.header.image_sha256[:8].hex()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pulls", type=int, default=20, help="of an install, and as many of a commit")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--folder", type=Path, default=Path("vm-out"))
    parser.add_argument("--timeout", default="100s")
    parser.add_argument("--zstd-level", default="3")
    options = parser.parse_args()
    if os.environ.get("STORY_NETWORK") != "own":
        options.folder.mkdir(exist_ok=True)
        story.prepare(options, v2_is_good=True)
        story.into_a_namespace("tests.vm.pulls", ["--seed", str(options.seed)])
    story.make_network()
    print(f"\nseed {options.seed}", flush=True)
    rng, came = random.Random(options.seed), Counter()
    releases = {name: digest_of(options.folder / f"{name}.release") for name in ("v1", "v2")}
    board, lasts_s = prepare_board(options.folder)
    print(f"an install takes {lasts_s['install']:.1f} s here, a confirmation {lasts_s['commit']:.1f} s", flush=True)
    with story.carousel(options.folder, options.folder / "v2.release"):
        for number in range(2 * options.pulls):
            name = "install" if number % 2 == 0 else "commit"
            after_s = rng.uniform(0, lasts_s[name])
            pulled = copy_card(board, board.card, "pulled")
            pull(pulled, MOMENTS[name][0], after_s)
            started = judge(pulled.run(deadline_s=900), releases)
            came[name, started] += 1
            print(f"{number + 1:3}: pulled {after_s:5.1f} s into the {name}: {started} starts", flush=True)
    for (name, started), count in sorted(came.items()):
        print(f"{count} pulls of power during {name}: {started} started, whole")


if __name__ == "__main__":
    main()
