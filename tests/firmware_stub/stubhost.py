"""The stub, built for this machine over a strict NOR model, by ctypes; and the same flash seen by Python's store."""

import ctypes
import hashlib
import os
import subprocess
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

from carousel.header import ReleaseHeader
from carousel.identity import Version
from settop.staterecord import RECORD_BYTES
from tests.conftest import HARDWARE, KEY, noise

STUB = Path(__file__).parents[2] / "firmware_stub"
POWER_WENT = -1


class Cut(IntEnum):
    BEFORE = 0
    TORN_PREFIX = 1
    RANDOM_BITS = 2
    PARTIAL = 3
    AFTER = 4


class PassedOver(ctypes.Structure):
    _fields_ = [("place", ctypes.c_uint8), ("failure", ctypes.c_uint8)]


class Decision(ctypes.Structure):
    _fields_ = [
        ("place", ctypes.c_uint8),
        ("reason", ctypes.c_uint8),
        ("tries_left", ctypes.c_uint8),
        ("passed_over_count", ctypes.c_uint8),
        ("passed_over", PassedOver * 3),
        ("header", ctypes.c_uint8 * 256),
    ]


@dataclass(frozen=True)
class Geometry:
    """A small flash; places in sectors."""

    sector_bytes: int = 512
    slot_sectors: int = 3  # one of them for the header

    @property
    def regions(self):
        """Offset and size of stub, records, slot A, slot B, EEPROM."""
        sizes = {"stub": 32, "records": 2, "slot_a": self.slot_sectors, "slot_b": self.slot_sectors}
        sizes["eeprom"] = self.slot_sectors
        offset, regions = 0, {}
        for name, sectors in sizes.items():
            regions[name] = (offset, sectors * self.sector_bytes)
            offset += sectors * self.sector_bytes
        return regions

    @property
    def flash_bytes(self):
        return sum(size for _, size in self.regions.values())

    @property
    def capacity(self):
        return (self.slot_sectors - 1) * self.sector_bytes


@cache
def build():
    subprocess.run(["make", "-s", "-C", STUB, "host"], check=True)


@cache
def library(path=None):
    build()
    stub = ctypes.CDLL(str(path or os.environ.get("STUB_LIBRARY") or STUB / "build" / "libstub.so"))
    stub.host_new.restype = ctypes.c_void_p
    stub.host_flash.restype = ctypes.POINTER(ctypes.c_uint8)
    stub.host_busy_us.restype = ctypes.c_uint64
    stub.host_take_output.restype = ctypes.c_uint32
    stub.host_crc32.restype = ctypes.c_uint32
    for name in ("host_violations", "host_operations", "host_baud", "host_stub_replacements"):
        getattr(stub, name).restype = ctypes.c_uint32
    return stub


class Board:
    """One board: its flash, and the stub that runs on it."""

    def __init__(self, geometry=None, hardware=HARDWARE, public_key=bytes(32), path=None):
        self.geometry = geometry or Geometry()
        self.stub = library(path)
        flat = [number for region in self.geometry.regions.values() for number in region]
        self._host = ctypes.c_void_p(
            self.stub.host_new(
                self.geometry.sector_bytes,
                self.geometry.flash_bytes,
                (ctypes.c_uint32 * 10)(*flat),
                hardware.oui,
                hardware.model,
                hardware.version,
                public_key,
            )
        )
        self._flash = self.stub.host_flash(self._host)

    def __del__(self):
        self.stub.host_free(self._host)

    # --- flash -------------------------------------------------------------------------------------------

    @property
    def flash(self):
        return ctypes.string_at(self._flash, self.geometry.flash_bytes)

    @flash.setter
    def flash(self, content):
        ctypes.memmove(self._flash, content, len(content))

    def put(self, offset, content):
        ctypes.memmove(ctypes.byref(self._flash.contents, offset), content, len(content))

    def region(self, name):
        offset, size = self.geometry.regions[name]
        return self.flash[offset : offset + size]

    def put_image(self, name, header_raw, image):
        """Write a slot as a programmer would, past the stub."""
        offset, _ = self.geometry.regions[name]
        self.put(offset, header_raw)
        self.put(offset + self.geometry.sector_bytes, image)

    def image(self, name, size):
        return self.region(name)[self.geometry.sector_bytes :][:size]

    # --- what it does ------------------------------------------------------------------------------------

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        function = getattr(self.stub, f"host_{name}")
        return lambda *arguments: function(self._host, *arguments)

    def arm(self, cut_at, cut=Cut.BEFORE, seed=0):
        self.stub.host_arm(self._host, cut_at, int(cut), ctypes.c_uint64(seed))

    def boot(self):
        """Return the decision; None where nothing boots; POWER_WENT."""
        decision = Decision()
        outcome = self.stub.host_boot(self._host, ctypes.byref(decision))
        if outcome == POWER_WENT:
            return POWER_WENT
        return decision if outcome else None

    def install(self, header, image, place=0xFF):
        return self.stub.host_install(self._host, place, header.raw, image)

    def load(self):
        """Return the record's 64 bytes, and whether one was found."""
        raw = ctypes.create_string_buffer(RECORD_BYTES)
        found = self.stub.host_load(self._host, raw)
        return raw.raw, bool(found)

    def take_output(self):
        buffer = ctypes.create_string_buffer(1 << 16)
        count = self.stub.host_take_output(self._host, buffer, len(buffer))
        return buffer.raw[:count]


def image_of(version, size=700):
    return noise(size, version)


@cache
def header_of(version, counter=0, hardware=HARDWARE, key=KEY, size=700):
    image = image_of(version, size)
    digest = hashlib.sha256(image).digest()
    plain = ReleaseHeader(
        hardware, counter, Version.parse(version), 0, len(image), 256, 1, 3, digest, bytes(32), f"v{version}"
    )
    return plain.sign(key)
