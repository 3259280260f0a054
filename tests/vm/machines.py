"""Emulated arm64 boards: real kernels, real loaders, cards as `settop image` makes them; the serial line as text.

`-cpu neoverse-n1`: cortex-a72 makes the kernel isolate its page tables, which doubles the time. `-accel tcg` is said,
so that nothing else is tried.
"""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from carousel.uki import DEFAULT_OS_RELEASE, build_uki
from settop.boot.backend import placed_name
from settop.image.boards import board_named
from settop.image.debian import debian_tree
from settop.image.fat import make_fat
from settop.image.initramfs import compress
from settop.image.kernelmodules import modules_in_order
from settop.image.mbr import EFI_SYSTEM, Partition, build_mbr
from settop.image.newc import Entry, build_archive

UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
AAVMF = Path("/usr/share/AAVMF")
MEBIBYTE = 1 << 20
PAYLOAD = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /card
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
echo "IMAGE {name} runs, slot $(/bin/busybox cat /proc/device-tree/chosen/bootcast,slot 2>/dev/null)"
{then}
"""
OFF = "/bin/busybox poweroff -f"
PANIC = "exit 1  # the kernel panics without its init, and restarts"
HANG = "while :; do /bin/busybox sleep 60; done"


def tree():
    """Debian's packages for arm64: kernel, loaders, busybox; kept in the cache."""
    return debian_tree(board_named("uefi-arm64", "grub"))


def kernel_path():
    return sorted((tree() / "boot").glob("vmlinuz-*"))[-1]


def payload(name, then, extra=None, modules=()):
    """A UKI of Debian's kernel that says who it is, and then does what it is told."""
    entries = {
        "init": Entry(PAYLOAD.format(name=name, then=then).encode(), executable=True),
        "bin/busybox": Entry((tree() / "bin/busybox").read_bytes(), executable=True),
        "dev/.keep": Entry(),
    }
    version = kernel_path().name.removeprefix("vmlinuz-")
    ordered = modules_in_order(tree() / "lib/modules" / version, modules) if modules else {}
    entries |= {f"modules/{number:02}-{each}": Entry(raw) for number, (each, raw) in enumerate(ordered.items())}
    entries |= {path: Entry(content) for path, content in (extra or {}).items()}
    stub = (tree() / "usr/lib/systemd/boot/efi/linuxaa64.efi.stub").read_bytes()
    command_line = "console=ttyAMA0 quiet panic=1"
    initramfs = compress(build_archive(entries), level=3)
    return build_uki(stub, kernel_path().read_bytes(), initramfs, command_line, DEFAULT_OS_RELEASE)


def make_card(path, files, size_bytes=160 * MEBIBYTE):
    """A card with one firmware partition."""
    partition = Partition(EFI_SYSTEM, MEBIBYTE, size_bytes - MEBIBYTE, is_bootable=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)
        file.write(build_mbr([partition], 0x0B007CA5))
    make_fat(path, partition.offset_bytes, partition.size_bytes, "BCBOOT", files)
    return path


def read_card(path, name):
    return subprocess.run(["mtype", "-i", f"{path}@@1M", f"::/{name}"], capture_output=True, check=True).stdout


def write_card(path, name, content):
    scratch = path.with_suffix(".part")
    scratch.write_bytes(content)
    subprocess.run(["mcopy", "-o", "-i", f"{path}@@1M", scratch, f"::/{name}"], check=True)


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


@dataclass
class Board:
    """An emulated board with a card; `firmware` is uboot or uefi. It goes on from a frozen state, if one is given."""

    card: Path
    firmware: str
    memory: str = "512"
    network: tuple = ("-nic", "none")
    frozen: Path | None = None

    @property
    def variables(self):
        """The file of UEFI's variables, which belongs to the card here."""
        return self.card.with_suffix(".vars")

    @property
    def log(self):
        """The file of its serial line."""
        return self.card.with_suffix(".log")

    @property
    def question_line(self):
        """The socket on which its emulator answers."""
        return self.card.with_suffix(".qmp")

    def words(self):
        words = ["qemu-system-aarch64", "-M", "virt", "-cpu", "neoverse-n1", "-smp", "2", "-accel", "tcg"]
        words += ["-m", self.memory, "-display", "none", "-serial", "stdio", "-monitor", "none"]
        words += ["-drive", f"if=none,id=card,format=raw,file={self.card}", "-device", "virtio-blk-device,drive=card"]
        words += self.network  # behind the card, which is at the same place without it: UEFI boots by places
        words += ["-qmp", f"unix:{self.question_line},server=on,wait=off"]
        words += ["-incoming", f"exec:cat {self.frozen}"] if self.frozen else []
        if self.firmware == "uboot":
            return [*words, "-bios", str(UBOOT)]
        if not self.variables.exists():
            shutil.copyfile(AAVMF / "AAVMF_VARS.fd", self.variables)
        code = AAVMF / "AAVMF_CODE.fd"
        words += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
        return [*words, "-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"]

    def copy(self, name, **changes):
        """Return the board with a copy of its card."""
        copied = replace(self, card=self.card.with_name(f"{name}.img"), **changes)
        copy_sparse(self.card, copied.card)
        if self.variables.exists():
            copy_sparse(self.variables, copied.variables)
        return copied

    @contextmanager
    def powered(self):
        """Switch on, give the process, and pull the power (it is killed)."""
        with self.log.open("wb") as file:
            board = subprocess.Popen(self.words(), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield board
        finally:
            board.kill()
            board.wait()

    def run(self, until=None, deadline_s=300, tell=None):
        """Switch on, until it switches itself off, or has said `until`; return what it said on the serial line.

        `tell(seconds since power-on, line)` is called for each line as it comes.
        """
        with self.powered() as board:
            began_s, told = time.monotonic(), 0
            while True:
                is_off = board.poll() is not None
                said = self.log.read_text(errors="replace").replace("\r", "")
                elapsed_s = time.monotonic() - began_s
                whole = said.rfind("\n") + 1
                for line in said[told:whole].splitlines() if tell else ():
                    tell(elapsed_s, line)
                told = whole
                if is_off or (until is not None and until in said):
                    return said
                assert elapsed_s < deadline_s, f"nothing more in {deadline_s} s:\n{said[-3000:]}"
                time.sleep(0.2)

    def freeze(self, name):
        """Return a running board as it is at this moment, its card included; it runs on."""
        state = self.card.with_name(f"{name}.state")
        with monitor(self) as ask:
            ask("stop")
            ask("migrate-set-parameters", **{"max-bandwidth": 1 << 34})
            ask("migrate", uri=f"exec:cat > {state}")
            while ask("query-migrate")["status"] != "completed":
                time.sleep(0.1)
            frozen = self.copy(name, frozen=state)
            ask("cont")
        return frozen


@contextmanager
def monitor(board):
    """Give what asks the emulator of a running board (QMP), which may have just been started."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(60)
        for _ in range(600):
            if line.connect_ex(str(board.question_line)) == 0:
                break
            time.sleep(0.1)
        lines = line.makefile("rw")

        def ask(command, **arguments):
            lines.write(json.dumps({"execute": command, "arguments": arguments}))
            lines.flush()
            answer = next(found for found in map(json.loads, lines) if "return" in found or "error" in found)
            return answer["return"]

        lines.readline()  # it says who it is
        ask("qmp_capabilities")
        yield ask


def images_run(said):
    """The names of the images that ran, in order."""
    return [line.split("IMAGE ")[1].split(" runs")[0] for line in said.splitlines() if "IMAGE " in line]


def slot_files(**payloads):
    from settop.store.choice import Source

    names = {"a": placed_name(Source.SLOT_A), "b": placed_name(Source.SLOT_B), "receiver": "receiver.efi"}
    return {names[each]: image for each, image in payloads.items()}
