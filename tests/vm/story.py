"""`make vm`: an emulated arm64 board boots from the air, is given a bad update, loses its carousel, loses both slots.

Everything is real but the hardware: the head-end's commands, a card of `settop image`, U-Boot, Debian's kernel. It runs
in a network namespace of its own, over a tap, with no root. `--chapters 1` ends after the first image.
"""

import argparse
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from settop.image.newc import Entry, build_archive
from tests.vm.machines import PANIC, Board, kernel_path, payload, tree

BIN = Path(sys.executable).parent
GROUP = "239.255.77.1:5077"
HARDWARE = "00A1B2:7"
NETWORK = ("-netdev", "tap,id=air,ifname=tap0,script=no,downscript=no", "-device", "virtio-net-device,netdev=air")
CONFIRMING = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /store
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin PYTHONPATH=/usr/lib/bootcast
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev
echo "IMAGE v1 runs: $(cat /proc/cmdline)"
for module in $(cat /etc/bootcast/modules); do insmod "/lib/modules/$module" 2>/dev/null; done
sleep 1
mount -t ext4 "$(findfs LABEL=BCSTORE)" /store
settop confirm --store /store/box --backend kexec || settop status --store /store/box
umount /store
echo "IMAGE v1 is done"
poweroff -f
"""


def say(text):
    print(f"\n=== {text}", flush=True)


def run(*words):
    subprocess.run([BIN / words[0], *map(str, words[1:])], check=True)


def into_a_namespace():
    """Start again in a network of our own, where anybody may make a tap; the cards are made, which needs Debian's."""
    os.environ["STORY_NETWORK"] = "own"
    own = ["unshare", "-U", "-r", "-m", "-n", sys.executable, "-m", "tests.vm.story", *sys.argv[1:]]
    os.execvp("unshare", own)


def make_network():
    """The tap that the board hangs on, and we."""
    for words in ("link set lo up", "tuntap add tap0 mode tap", "addr add 169.254.1.1/16 dev tap0", "link set tap0 up"):
        subprocess.run(["ip", *words.split()], check=True)


@contextmanager
def carousel(folder, *releases):
    words = [BIN / "headend", "cast", *releases, "--group", GROUP, "--interface", "tap0", "--rate", "30M", "--json"]
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


def prepare(folder, zstd_level):
    say("A key, three images (the factory's, a good v1, a v2 that panics), and the card")
    run("headend", "keygen", folder / "lab")
    card = ["settop", "image", "--board", "qemu-arm64", "--hardware", HARDWARE, "--interface", "eth0"]
    card += ["--timeout", "100s", "--zstd-level", zstd_level]
    run(*card, "--initramfs", "-o", folder / "receiver.img")
    overlay = folder / "overlay.img"
    overlay.write_bytes(build_archive({"init": Entry(CONFIRMING.encode(), executable=True)}))
    (folder / "factory.efi").write_bytes(payload("factory", "/bin/busybox poweroff -f"))
    (folder / "v2.efi").write_bytes(payload("v2", PANIC))
    factory = pack(folder, "factory", "0.1.0", folder / "factory.efi")
    pack(folder, "v1", "1.0.0", initrds=(folder / "receiver.img", overlay))
    pack(folder, "v2", "2.0.0", folder / "v2.efi")
    run(*card, "--trust", folder / "lab.pub", "--eeprom", factory, "--size", "768M", "-o", folder / "card.img")


def show(said):
    """The lines that tell the story."""
    for line in said.replace("\r", "").splitlines():
        if any(
            mark in line
            for mark in ("bootcast:", "[1mbox", "IMAGE", "settop:", "Traceback", "not syncing", "confirmed")
        ):
            print(f"    {line}", flush=True)


def expect(board, title, wanted, until=None):
    say(title)
    began_s = time.monotonic()
    said = board.run(until=until, deadline_s=900)
    show(said)
    missing = [each for each in wanted if each not in said]
    assert not missing, f"the board never said {missing}"
    print(f"    ({time.monotonic() - began_s:.0f} s)", flush=True)
    return said


def damage_slots(card):
    """Take the images out of both slots, behind the record's back."""
    for name in ("slot-a.image", "slot-b.image"):
        subprocess.run(
            ["/sbin/debugfs", "-w", "-R", f"rm /box/{name}", f"{card}?offset={store_offset(card)}"], check=True
        )


def store_offset(card):
    """Where the store's partition begins: the second entry of the card's table."""
    first_sector = int.from_bytes(card.read_bytes()[462 + 8 : 462 + 12], "little")
    return first_sector * 512


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chapters", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=Path("vm-out"))
    parser.add_argument("--zstd-level", default="3")
    options = parser.parse_args()
    if os.environ.get("STORY_NETWORK") != "own":
        options.folder.mkdir(exist_ok=True)
        prepare(options.folder, options.zstd_level)
        into_a_namespace()
    make_network()
    v1, v2 = (options.folder / f"{name}.release" for name in ("v1", "v2"))
    board = Board(options.folder / "card.img", "uboot", memory="1024", network=NETWORK)
    with carousel(options.folder, v1):
        title = "1. Power on: the board boots its card, joins the carousel, installs v1, and starts it by kexec"
        expect(
            board, title, ["installed 1.0.0 into slot-a", "IMAGE v1 runs", "bootcast.slot=slot-a", "confirmed slot-a"]
        )
    if options.chapters > 1:
        with carousel(options.folder, v2):
            title = "2. An update that panics: three tries, then v1 again"
            said = expect(board, title, ["installed 2.0.0 into slot-b", "IMAGE v1 is done"])
            assert said.count("IMAGE v2 runs") == 3
    if options.chapters > 2:
        expect(board, "3. No carousel: the confirmed image", ["from slot-a: confirmed", "IMAGE v1 is done"])
    if options.chapters > 3:
        damage_slots(board.card)
        expect(board, "4. Both slots damaged: the EEPROM image", ["passed over slot-a", "IMAGE factory runs"])
    say("That was all of it")


if __name__ == "__main__":
    main()
