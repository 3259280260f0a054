"""`make vm`: an emulated arm64 board boots from the air, is given a bad update, loses its carousel, loses both slots.

Everything is real but the hardware: the head-end's commands, a card of `settop image`, U-Boot, Debian's kernel. It runs
in a network namespace of its own, over a tap, with no root. `--chapters 1` ends after the first image.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from settop.image.newc import Entry, build_archive
from tests.vm.machines import PANIC, Board, kernel_path, payload, tree

BIN = Path(sys.executable).parent
GROUP = "239.255.77.1:5077"
HARDWARE = "00A1B2:7"
BRIDGE = "air"
LOSS_PERCENT = 5
ERASE_LINE = "\33[2K"
CONFIRMING = """#!/bin/busybox sh
. /etc/bootcast/bringup
echo "IMAGE {name} runs: $(cat /proc/cmdline)"
settop confirm --store /store/box --backend "$BACKEND" --firmware /boot/firmware || settop status --store /store/box
echo "IMAGE {name} is done"
if [ "$BACKEND" != kexec ] && [ -e "/sys/class/net/$interface" ]; then  # a loader starts this without the receiver
  settop run --store /store/box --group "$GROUP" --interface "$interface" --timeout "$TIMEOUT" \\
    --backend "$BACKEND" --firmware /boot/firmware
fi
umount /store /boot/firmware
poweroff -f
"""


def say(text):
    print(f"\n=== {text}", flush=True)


def run(*words):
    subprocess.run([BIN / words[0], *map(str, words[1:])], check=True)


def into_a_namespace(module, more_words=()):
    """Start again in a network of our own, where anybody may make a tap; the cards are made, which needs Debian's."""
    os.environ["STORY_NETWORK"] = "own"
    own = ["unshare", "-U", "-r", "-m", "-n", sys.executable, "-m", module, *sys.argv[1:], *more_words]
    os.execvp("unshare", own)


def make_network():
    """A bridge that floods as a switch without IGMP snooping; two boards hang on it, the second by a bad cable."""
    words = [
        "link set lo up",
        f"link add {BRIDGE} type bridge mcast_snooping 0",
        f"addr add 192.168.77.1/24 dev {BRIDGE}",
    ]
    for tap in ("tap0", "tap1"):
        words += [f"tuntap add {tap} mode tap", f"link set {tap} master {BRIDGE}", f"link set {tap} up"]
    for each in [*words, f"link set {BRIDGE} up"]:
        subprocess.run(["ip", *each.split()], check=True)
    hook = 'type filter hook egress device "tap1" priority 0'
    rule = f"numgen random mod 100 < {LOSS_PERCENT} drop"
    subprocess.run(["nft", f"table netdev cable {{ chain loss {{ {hook}; {rule}; }}; }}"], check=True)


def network(number):
    """The words by which a board gets the tap of this number, and an address of its own."""
    tap = f"tap,id=air,ifname=tap{number},script=no,downscript=no"
    return "-netdev", tap, "-device", f"virtio-net-device,netdev=air,mac=52:54:00:00:00:{number + 1:02x}"


@contextmanager
def carousel(folder, *releases):
    words = [BIN / "headend", "cast", *releases, "--group", GROUP, "--interface", BRIDGE, "--rate", "30M", "--json"]
    with (folder / "cast.log").open("w") as log:
        head_end = subprocess.Popen(list(map(str, words)), stdout=log, stderr=log)
        try:
            yield
        finally:
            head_end.terminate()
            head_end.wait()


def pack(folder, name, version, image=None, initrds=()):
    release = folder / f"{name}.release"
    words = ["headend", "pack", image or kernel_path(), "-o", release, "--key", folder / "lab.key"]
    words += ["--hardware", HARDWARE, "--version", version, "--name", name]
    if initrds:
        stub = tree() / "usr/lib/systemd/boot/efi/linuxaa64.efi.stub"
        words += ["--uki", "--stub", stub, "--cmdline", "console=ttyAMA0 quiet panic=1"]
        words += [word for initrd in initrds for word in ("--initrd", initrd)]
    run(*words)
    return release


def confirming(folder, name):
    """The receiver's initramfs, and over it an init that says who it is, confirms, and switches off."""
    overlay = folder / f"{name}.overlay"
    script = CONFIRMING.replace("{name}", name)
    overlay.write_bytes(build_archive({"init": Entry(script.encode(), executable=True)}))
    return folder / "receiver.img", overlay


def prepare(options, board="qemu-arm64", loader=None, v2_is_good=False):
    folder = options.folder
    say(
        f"A key, three images (the factory's, v1, and a v2 that {'is good, too' if v2_is_good else 'panics'}), the card"
    )
    for left in ("lab.key", "lab.pub", "card.vars"):  # of an earlier run
        (folder / left).unlink(missing_ok=True)
    run("headend", "keygen", folder / "lab")
    card = ["settop", "image", "--board", board, "--hardware", HARDWARE, "--interface", "eth0"]
    card += ["--timeout", options.timeout, "--zstd-level", options.zstd_level]
    card += ["--loader", loader] if loader else []
    run(*card, "--initramfs", "-o", folder / "receiver.img")
    (folder / "factory.efi").write_bytes(payload("factory", "/bin/busybox poweroff -f"))
    (folder / "v2.efi").write_bytes(payload("v2", PANIC))
    factory = pack(folder, "factory", "0.1.0", folder / "factory.efi")
    pack(folder, "v1", "1.0.0", initrds=confirming(folder, "v1"))
    if v2_is_good:
        pack(folder, "v2", "2.0.0", initrds=confirming(folder, "v2"))
    else:
        pack(folder, "v2", "2.0.0", folder / "v2.efi")
    run(*card, "--trust", folder / "lab.pub", "--eeprom", factory, "--size", "768M", "-o", folder / "card.img")


MARKS = ("bootcast:", "box\33[0m", "IMAGE", "settop:", "Traceback", "not syncing")
"""What tells the story, among the lines of a serial console."""


def teller(whose=""):
    """Return what prints a board's telling lines as they come, with the seconds since power-on."""

    def tell(elapsed_s, line):
        if any(mark in line for mark in MARKS):
            print(f"{elapsed_s:6.0f} s  {whose}{line.rsplit(ERASE_LINE, 1)[-1]}", flush=True)

    return tell


@dataclass
class Told:
    """A board with a name, and what it has to say until it is off again."""

    whose: str
    board: Board
    wanted: list

    def run(self):
        """Switch it on, and tell the story; return what it said."""
        said = self.board.run(deadline_s=900, tell=teller(f"{self.whose:11}"))
        missing = [each for each in self.wanted if each not in said]
        assert not missing, f"{self.whose} never said {missing}:\n{said[-3000:]}"
        return said


def run_together(*boards):
    """Switch boards on at once; return what each said, when all are off again."""
    with ThreadPoolExecutor() as together:
        return list(together.map(Told.run, boards))


def damage_slots(card):
    """Hurt the image in slot A, and put the same into slot B: behind the record's back, no slot holds a whole one."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {part: Path(folder, part) for part in ("image", "header")}
        for part, path in parts.items():
            in_store(card, f"dump /box/slot-a.{part} {path}")
        with parts["image"].open("r+b") as image:
            image.seek(image.seek(0, os.SEEK_END) // 2)
            image.write(b"not what was signed")
        in_store(card, "rm /box/slot-a.image")
        in_store(card, f"write {parts['image']} /box/slot-a.image")
        for part, path in parts.items():
            in_store(card, f"write {path} /box/slot-b.{part}")


def in_store(card, request):
    """Let debugfs do something in the store's partition of a card."""
    words = ["/sbin/debugfs", "-w", "-R", request, f"{card}?offset={store_offset(card)}"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert ":" not in done.stderr.partition("\n")[2], done.stderr


def store_offset(card):
    """Where the store's partition begins: the second entry of the card's table."""
    with card.open("rb") as file:
        return int.from_bytes(file.read(512)[462 + 8 : 462 + 12], "little") * 512


FIRST_IMAGE = ["installed 1.0.0 into slot-a", "IMAGE v1 runs", "bootcast.slot=slot-a", "confirmed slot-a"]
BACK = ["installed 2.0.0 into slot-b", "IMAGE v1 is done"]
LONELY = ("-netdev", "user,id=air,restrict=on", "-device", "virtio-net-device,netdev=air")


def chapter_first_image(first, folder):
    say(f"1. Power on: two boards with new cards on one bridge, the second behind {LOSS_PERCENT} % loss;")
    print("    each joins the carousel, installs v1, and starts it by kexec")
    second = first.copy("second", network=network(1))
    with carousel(folder, folder / "v1.release"):
        run_together(Told("first", first, FIRST_IMAGE), Told("second", second, FIRST_IMAGE))


def chapter_what_goes_wrong(first, folder):
    """At once, since the boards without a carousel only wait: they listen to nothing, as long as their cards say."""
    say("2. The first board's update is bad, and panics: three tries, then v1 again")
    say("3. Meanwhile the second board hears no carousel: its confirmed image starts;")
    print("    beside it a copy of its card, with a damaged image in either slot: the EEPROM image")
    second = replace(first, card=folder / "second.img", network=LONELY)
    damaged = second.copy("damaged")
    damage_slots(damaged.card)
    with carousel(folder, folder / "v2.release"):
        said, *_ = run_together(
            Told("first", first, BACK),
            Told("second", second, ["from slot-a: confirmed", "IMAGE v1 is done"]),
            Told("damaged", damaged, ["passed over slot-a", "IMAGE factory runs"]),
        )
    assert said.count("IMAGE v2 runs") == 3


CHAPTERS = (chapter_first_image, chapter_what_goes_wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chapters", type=int, default=len(CHAPTERS))
    parser.add_argument("--folder", type=Path, default=Path("vm-out"))
    parser.add_argument("--timeout", default="60s", help="how long a board listens before it starts what it has")
    parser.add_argument("--zstd-level", default="3")
    options = parser.parse_args()
    began_s = time.monotonic()
    if os.environ.get("STORY_NETWORK") != "own":
        options.folder.mkdir(exist_ok=True)
        prepare(options)
        print(f"    ({time.monotonic() - began_s:.0f} s)")
        into_a_namespace("tests.vm.story")
    make_network()
    board = Board(options.folder / "card.img", "uboot", memory="1024", network=network(0))
    for chapter in CHAPTERS[: options.chapters]:
        chapter(board, options.folder)
    say(f"That was all of it, in {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    main()
