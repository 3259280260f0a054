"""A model of the Raspberry Pi's firmware over QEMU's `virt` board: QEMU has no such firmware, and no board like a Pi 4.

It reads autoboot.txt off the card, takes kernel, initrd and command line from the partition that this names, says in
the device tree which one it was, and forgets the flag of tryboot at power-off. A Pi's own kernel hands the words of
`reboot "0 tryboot"` to the firmware; Debian's drops them, but says them on the console, where the model reads them.
"""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from settop.boot.tryboot import parse_autoboot

WITH_WORDS = "reboot: Restarting system with command '0 tryboot'"
RESTARTING = "reboot: Restarting system"
MOST_STARTS = 8
MACHINE = ["qemu-system-aarch64", "-M", "virt", "-cpu", "neoverse-n1", "-smp", "2", "-accel", "tcg", "-m", "1024"]
MACHINE += ["-display", "none", "-monitor", "none", "-nic", "none"]
BEGIN_NODE, END_NODE, PROP = 1, 2, 3
"""Of a device tree's structure block (Devicetree Specification 0.4, 5.4)."""


def with_bootloader(tree, partition, tryboot):
    """Return a device tree blob with /chosen/bootloader, as the firmware writes it."""
    header = list(struct.unpack_from(">10I", tree))
    _, _, at_structure, at_strings, _, _, _, _, strings_size, structure_size = header
    structure = tree[at_structure : at_structure + structure_size]
    strings = tree[at_strings : at_strings + strings_size]
    node = struct.pack(">I", BEGIN_NODE) + b"bootloader\0\0"
    for name, number in ((b"partition\0", partition), (b"tryboot\0", tryboot)):
        node += struct.pack(">4I", PROP, 4, len(strings), number)
        strings += name
    node += struct.pack(">I", END_NODE)
    opening = struct.pack(">I", BEGIN_NODE) + b"chosen\0\0"
    at = structure.index(opening) + len(opening)
    while struct.unpack_from(">I", structure, at)[0] == PROP:  # a node's properties come before its nodes
        at += 12 + -(-struct.unpack_from(">I", structure, at + 4)[0] // 4) * 4
    structure = structure[:at] + node + structure[at:]
    header[1:4] = at_structure + len(structure) + len(strings), at_structure, at_structure + len(structure)
    header[8:10] = len(strings), len(structure)
    return struct.pack(">10I", *header) + tree[40:at_structure] + structure + strings


@dataclass
class PiBoard:
    """A board with this model for its firmware; `places` has the offset of each partition of the card, in order."""

    card: Path
    places: list

    def partition_file(self, partition, name):
        words = ["mtype", "-i", f"{self.card}@@{self.places[partition - 1]}", f"::/{name}"]
        return subprocess.run(words, capture_output=True, check=True).stdout

    def run(self, deadline_s):
        """Switch on, until it switches itself off; return (partition, what was said) of each start."""
        starts, flag = [], False
        while len(starts) < MOST_STARTS:
            partition = parse_autoboot(self.partition_file(1, "autoboot.txt"), tryboot=flag)
            said = self._start(partition, flag, deadline_s)
            starts.append((partition, said))
            flag = WITH_WORDS in said
            if RESTARTING not in said:
                return starts
        raise AssertionError(f"it restarts for ever: {[partition for partition, _ in starts]}\n{starts[-1][1][-3000:]}")

    def _start(self, partition, flag, deadline_s):
        paths = {name: self.card.with_name(name) for name in ("kernel8.img", "initrd.img")}
        for name, path in paths.items():
            path.write_bytes(self.partition_file(partition, name))
        tree = self.card.with_suffix(".dtb")
        subprocess.run([*MACHINE, "-M", f"virt,dumpdtb={tree}"], check=True, capture_output=True, timeout=60)
        tree.write_bytes(with_bootloader(tree.read_bytes(), partition, flag))
        words = [*MACHINE, "-serial", "stdio", "-no-reboot", "-dtb", tree]
        words += ["-kernel", paths["kernel8.img"], "-initrd", paths["initrd.img"]]
        words += ["-append", self.partition_file(partition, "cmdline.txt").decode().strip()]
        words += ["-drive", f"if=none,id=card,format=raw,file={self.card}", "-device", "virtio-blk-device,drive=card"]
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=deadline_s, check=True)
        return done.stdout.decode(errors="replace").replace("\r", "")
