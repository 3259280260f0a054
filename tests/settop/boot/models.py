"""Boards without hardware: each loader's decision at power-on as a small model over strict disks.

A model reads and writes the files (or EFI variables) that the real loader would, in its way; tests/vm runs the real
U-Boot, systemd-boot and GRUB. `Rails` cuts the power of all disks of a board at one operation of any of them.
"""

import hashlib
import random
from functools import cache

from carousel.release.header import ReleaseHeader
from carousel.release.identity import Version
from carousel.release.trust import TrustRing
from carousel.uki import build_uki, parse_uki
from settop.boot.backend import SlotImage, placed_name
from settop.boot.firmwarefiles import Environment
from settop.boot.grub import Grub
from settop.boot.kexec import Kexec, slot_words
from settop.boot.systemdboot import LOADER_GUID, SystemdBoot, efi_text
from settop.boot.tryboot import AUTOBOOT_BYTES, TryBoot, build_autoboot, parse_autoboot
from settop.boot.uboot import UBoot
from settop.store.choice import Source
from settop.store.slots import Store
from tests.conftest import HARDWARE, KEY, noise
from tests.settop.store.powercut import Cut, CutDisk, PowerCut

RING = TrustRing.of([KEY.public_key()])
SLOTS = (Source.SLOT_A, Source.SLOT_B)


class Restarted(Exception):
    """The machine restarts; `words` go to the firmware."""

    def __init__(self, words=""):
        self.words = words


class Jumped(Exception):
    """kexec."""


class Rails:
    """The power supply of several disks: counts their operations, cuts all of them at once."""

    def __init__(self):
        self.disks, self.operations, self.cut_at = [], 0, None
        self.cut, self.rng = Cut.BEFORE, random.Random(0)

    def arm(self, cut_at, cut=Cut.BEFORE, seed=0):
        self.operations, self.cut_at, self.cut, self.rng = 0, cut_at, cut, random.Random(seed)

    def mutate(self, action, torn=None):
        self.operations += 1
        if self.operations != self.cut_at:
            action()
            return
        if self.cut is Cut.AFTER:
            action()
        elif self.cut is not Cut.BEFORE and torn is not None:
            torn()
        self.cut_at = None
        for disk in self.disks:
            disk._lose_power()
        raise PowerCut


class RailDisk(CutDisk):
    """A strict disk on a board's rails; read-only if it is told so."""

    def __init__(self, rails):
        self.rails = rails
        rails.disks.append(self)
        super().__init__()
        self.read_only = False

    cut = property(lambda self: self.rails.cut, lambda self, value: None)
    rng = property(lambda self: self.rails.rng, lambda self, value: None)

    def _mutate(self, action, torn=None):
        if self.read_only:
            raise OSError(30, "Read-only file system")
        self.rails.mutate(action, torn)


@cache
def image_of(version, kind="uki"):
    """A UKI in which every part tells the version."""
    if kind == "plain":
        return noise(700, version)
    return build_uki(STUB, noise(600, version), noise(300, "i" + version), f"console=x v={version}", "ID=x\n")


@cache
def parts_of(version):
    uki = parse_uki(memoryview(image_of(version)))
    return bytes(uki.linux), bytes(uki.initrd), uki.command_line


def _tiny_stub():
    headers = bytearray(1024)
    headers[:2], headers[0x3C:0x40] = b"MZ", (64).to_bytes(4, "little")
    coff = b"PE\0\0" + (0xAA64).to_bytes(2, "little") + bytes(14) + (112).to_bytes(2, "little") + bytes(2)
    optional = bytearray(112)
    optional[:2] = (0x20B).to_bytes(2, "little")
    for place, value in ((32, 4096), (36, 512), (56, 0x3000), (60, 1024)):
        optional[place : place + 4] = value.to_bytes(4, "little")
    section = b".text\0\0\0" + b"".join(value.to_bytes(4, "little") for value in (512, 0x1000, 512, 1024)) + bytes(16)
    whole = coff + bytes(optional) + section
    headers[64 : 64 + len(whole)] = whole
    headers[64 + 6] = 1  # sections
    return bytes(headers) + b"\xc3" * 512


STUB = _tiny_stub()


@cache
def header_of(version, counter=0, kind="uki"):
    image = image_of(version, kind)
    digest = hashlib.sha256(image).digest()
    size = len(image)
    plain = ReleaseHeader(
        HARDWARE, counter, Version.parse(version), 0, size, 256, 1, -(-size // 256), digest, bytes(32), f"v{version}"
    )
    return plain.sign(KEY)


class FakeMachine:
    """Kernel files in a dict, EFI variables among them; programs that succeed; a restart is an exception."""

    def __init__(self, rails):
        self.rails, self.files, self.ran = rails, {}, []
        self.programs = {"kexec": "/sbin/kexec"}
        self.exit_code = 0

    def read(self, path):
        return self.files.get(path)

    def write(self, path, data):
        def act():
            if len(data) == 4 and "efivars" in path:
                self.files.pop(path, None)
            else:
                self.files[path] = data

        self.rails.mutate(act)  # UEFI promises that a variable is set wholly or not at all

    def find(self, program):
        return self.programs.get(program)

    def run(self, words):
        self.ran.append(list(words))
        return self.exit_code

    def restart(self, words=""):
        raise Restarted(words)

    def jump(self):
        raise Jumped


class Board:
    """One board: store, firmware partition(s), a loader's model. `power_on` returns what runs then."""

    name = ""

    def __init__(self, kind="uki"):
        self.rails = Rails()
        self.disk = RailDisk(self.rails)
        self.machine = FakeMachine(self.rails)
        self.kind = kind
        self.tried = []
        self.make()
        self.store.write_eeprom(header_of("0.1.0", kind=kind), [image_of("0.1.0", kind)])
        self.store.format()
        self.words = ""

    @property
    def store(self):
        return Store(self.disk, HARDWARE, RING)

    def make(self):
        """Make the card: partitions as `settop image` fills them."""

    def load(self):
        """The loader: return the source that it starts, None for the receiver. May write."""
        raise NotImplementedError

    def content(self, source):
        """The image that the loader starts, or what identifies it whole."""
        raise NotImplementedError

    def power_on(self, words=""):
        """Switch on, or restart with words: return what runs, asserting that it is whole; None: the receiver."""
        self.words = words
        for key in [key for key in self.machine.files if not key.startswith("/sys/firmware/efi")]:
            del self.machine.files[key]
        self.machine.files["/sys/kernel/kexec_loaded"] = b"0\n"
        running = self.load()
        if running is not None:
            version = self.version_of(running)
            self.tried.append(version)
        return running

    def version_of(self, source):
        for version in ("0.1.0", "1.0.0", "2.0.0", "2.5.0", "3.0.0"):
            if self.content(source) == self.expected(source, version):
                return version
        raise AssertionError(f"{self.name} starts {source}, which is not whole")

    def expected(self, source, version):
        return image_of(version, self.kind)


class FileBoard(Board):
    """Loaders that start files of one FAT partition."""

    def make(self):
        self.firmware = RailDisk(self.rails)

    def content(self, source):
        return self.firmware.read(placed_name(source))

    def _write(self, name, raw):
        self.firmware.write(name, 0, raw)
        self.firmware.sync(name)
        self.firmware.sync_names()


class UBootBoard(FileBoard):
    """boot.scr of settop/image: counts in the older file."""

    name = "uboot"

    def make(self):
        super().make()
        self.backend = UBoot(self.firmware, self.machine)
        for name in UBoot.files:
            self._write(name, self.backend.encode(Environment()))

    def load(self):
        found = [self.backend.decode(self.firmware.read(name) or b"") for name in UBoot.files]
        best, newest = 0, None
        for number, environment in enumerate(found):
            if environment is not None and (newest is None or environment.sequence > best):
                best, newest = environment.sequence, number
        now = found[newest] if newest is not None else Environment()
        start = now.default
        if now.tries_left > 0:
            counted = Environment(now.sequence + 1, now.default, now.armed, now.tries_left - 1)
            self._write(UBoot.files[0 if newest else 1], self.backend.encode(counted))
            start = now.armed
        if start is not None and self.firmware.read(placed_name(start)) is None:
            start = None
        if start is not None:
            self.machine.files["/proc/device-tree/chosen/bootcast,slot"] = start.value.encode() + b"\0"
        return start


class GrubBoard(FileBoard):
    """grub.cfg of settop/image: counts in place, in the newer file."""

    name = "grub"

    def make(self):
        super().make()
        self.backend = Grub(self.firmware, self.machine)
        for name in Grub.files:
            self._write(name, self.backend.encode(Environment()))

    def load(self):
        found = [self.backend.decode(self.firmware.read(name) or b"") for name in Grub.files]
        whole = [number for number, environment in enumerate(found) if environment is not None]
        newest = max(whole, key=lambda number: found[number].sequence, default=None)
        now = found[newest] if newest is not None else Environment()
        start = now.default
        if now.tries_left > 0:
            counted = Environment(now.sequence, now.default, now.armed, now.tries_left - 1)
            self._write(Grub.files[newest], self.backend.encode(counted))
            start = now.armed
        if start is not None and self.firmware.read(placed_name(start)) is None:
            start = None
        self.machine.files.pop(self.identifier, None)
        if start is not None:
            text = f"\\{placed_name(start)}\0".encode("utf-16-le")
            self.machine.files[self.identifier] = bytes(4) + text
        return start

    identifier = f"/sys/firmware/efi/efivars/LoaderImageIdentifier-{LOADER_GUID}"


class SystemdBootBoard(FileBoard):
    """systemd-boot: one-shot deleted as it is read, entries without their file are not there."""

    name = "systemd-boot"

    def make(self):
        super().make()
        self.backend = SystemdBoot(self.firmware, self.machine)

    def variable(self, name):
        return f"/sys/firmware/efi/efivars/{name}-{LOADER_GUID}"

    def load(self):
        files = self.machine.files
        files[self.variable("LoaderInfo")] = bytes(4) + "systemd-boot 252\0".encode("utf-16-le")
        once = efi_text(files.get(self.variable("LoaderEntryOneShot"), b""))
        if once:
            self.machine.write(self.variable("LoaderEntryOneShot"), bytes(4))
        default = efi_text(files.get(self.variable("LoaderEntryDefault"), b""))
        for entry in (once, default):
            source = next((each for each in Source if f"{each.value}.conf" == entry), None)
            if source is not None and self.firmware.read(placed_name(source)) is not None:
                files[self.variable("LoaderEntrySelected")] = bytes(4) + f"{entry}\0".encode("utf-16-le")
                return source
        files[self.variable("LoaderEntrySelected")] = bytes(4) + "receiver.conf\0".encode("utf-16-le")
        return None


class TryBootBoard(Board):
    """The Raspberry Pi's firmware, as far as autoboot.txt and tryboot go. A model: only a Pi can show the rest."""

    name = "tryboot"

    def make(self):
        self.first = RailDisk(self.rails)
        self.slots = {source: RailDisk(self.rails) for source in SLOTS}
        self.backend = TryBoot(self.first, self.slots, self.machine)
        self.first.write("autoboot.txt", 0, build_autoboot(1, 2))
        self.first.sync("autoboot.txt")
        self.first.sync_names()

    def load(self):
        flag = self.words == "0 tryboot"
        raw = self.first.read("autoboot.txt") or b""
        assert len(raw) <= AUTOBOOT_BYTES
        partition = parse_autoboot(raw, flag)
        tree = "/proc/device-tree/chosen/bootloader"
        self.machine.files[f"{tree}/partition"] = partition.to_bytes(4, "big")
        self.machine.files[f"{tree}/tryboot"] = int(flag).to_bytes(4, "big")
        if partition == 1:
            return None
        disk = self.slots[SLOTS[partition - 2]]
        command_line = disk.read("cmdline.txt")
        assert command_line is not None, f"the firmware boots partition {partition}, which is empty"
        self.machine.files["/proc/cmdline"] = command_line
        return self.backend.booted()

    def content(self, source):
        for disk in self.slots.values():
            if f"bootcast.slot={source.value} " in (disk.read("cmdline.txt") or b"").decode():
                return tuple(disk.read(name) for name in ("kernel8.img", "initrd.img", "cmdline.txt"))
        return None

    def expected(self, source, version):
        linux, initrd, command_line = parts_of(version)
        words = slot_words(source, SlotImage(self.disk, "", header_of(version)))
        return linux, initrd, f"{command_line} {words}\n".encode()


class KexecBoard(Board):
    """No loader: the receiver at every power-on."""

    name = "kexec"

    def make(self):
        self.backend = Kexec(self.machine)

    def load(self):
        return None

    def jump(self):
        """What kexec loaded runs."""
        words = self.machine.ran[-1]
        line = next(word.removeprefix("--command-line=") for word in words if word.startswith("--command-line="))
        self.machine.files["/proc/cmdline"] = line.encode()
        running = self.backend.booted()
        self.tried.append(self.version_of(running))
        return running

    def content(self, source):
        return self.machine.files["/run/bootcast/linux"], self.machine.files["/run/bootcast/initrd"]

    def expected(self, source, version):
        return parts_of(version)[:2]


BOARDS = (KexecBoard, UBootBoard, GrubBoard, SystemdBootBoard, TryBootBoard)
