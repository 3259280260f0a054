"""The boot stub, built for this machine over a strict NOR model, called through ctypes (needs a source checkout)."""

import ctypes
import fcntl
import os
import subprocess
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from pathlib import Path
from typing import Any

from carousel.errors import OperatorError
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from settop.flasher.frames import Place
from settop.store.staterecord import RECORD_BYTES

__all__ = ["POWER_WENT", "STUB", "Board", "Cut", "Decision", "Geometry", "build", "library"]

STUB = Path(__file__).parents[2] / "firmware_stub"
POWER_WENT = -1
OUTPUT_BYTES = 1 << 16


class Cut(IntEnum):
    """How a power cut hits the flash operation under way; as host/nor.h."""

    BEFORE = 0
    TORN_PREFIX = 1
    RANDOM_BITS = 2
    PARTIAL = 3
    AFTER = 4


class _PassedOver(ctypes.Structure):
    _fields_ = (("place", ctypes.c_uint8), ("failure", ctypes.c_uint8))


class Decision(ctypes.Structure):
    """`struct boot_decision`."""

    _fields_ = (
        ("place", ctypes.c_uint8),
        ("reason", ctypes.c_uint8),
        ("tries_left", ctypes.c_uint8),
        ("passed_over_count", ctypes.c_uint8),
        ("passed_over", _PassedOver * 3),
        ("header", ctypes.c_uint8 * 256),
    )


@dataclass(frozen=True)
class Geometry:
    """A flash and its map; a slot is `slot_sectors` long, one of them for the header."""

    sector_bytes: int = 512
    slot_sectors: int = 3

    @property
    def regions(self) -> dict[str, tuple[int, int]]:
        """Offset and size of stub, records, slot A, slot B, EEPROM."""
        slot = self.slot_sectors
        sectors = {"stub": 32, "records": 2, "slot_a": slot, "slot_b": slot, "eeprom": slot}
        offset, regions = 0, {}
        for name, count in sectors.items():
            regions[name] = (offset, count * self.sector_bytes)
            offset += count * self.sector_bytes
        return regions

    @property
    def flash_bytes(self) -> int:
        """The whole flash."""
        return sum(size for _, size in self.regions.values())

    @property
    def capacity(self) -> int:
        """How large an image may be."""
        return (self.slot_sectors - 1) * self.sector_bytes


@cache
def build(target: str = "host") -> None:
    """Build the stub for this machine, once."""
    if not (STUB / "Makefile").exists():
        raise OperatorError("the boot stub's source is not here; run this from a checkout of the project")
    (STUB / "build").mkdir(exist_ok=True)
    with (STUB / "build" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        subprocess.run(["make", "-s", "-C", STUB, target], check=True)


@cache
def library(path: Path | None = None) -> ctypes.CDLL:
    """Load the stub; `STUB_LIBRARY` names another build of it."""
    if path is None:
        build()
    stub = ctypes.CDLL(str(path or os.environ.get("STUB_LIBRARY") or STUB / "build" / "libstub.so"))
    stub.host_new.restype = ctypes.c_void_p
    stub.host_flash.restype = ctypes.POINTER(ctypes.c_uint8)
    stub.host_busy_us.restype = ctypes.c_uint64
    for name in ("violations", "operations", "baud", "stub_replacements", "take_output", "crc32"):
        getattr(stub, f"host_{name}").restype = ctypes.c_uint32
    return stub


class Board:
    """One board: its flash, and the stub that runs on it. `host_X` of host/host.c is `board.X`."""

    def __init__(
        self,
        geometry: Geometry,
        hardware: Hardware,
        public_key: bytes = bytes(32),
        path: Path | None = None,
    ) -> None:
        self.geometry = geometry
        self.stub = library(path)
        flat = [number for region in geometry.regions.values() for number in region]
        regions = (ctypes.c_uint32 * len(flat))(*flat)
        about = (hardware.oui, hardware.model, hardware.version, public_key)
        made = self.stub.host_new(geometry.sector_bytes, geometry.flash_bytes, regions, *about)
        self._host = ctypes.c_void_p(made)
        self._flash = self.stub.host_flash(self._host)
        self._output = ctypes.create_string_buffer(OUTPUT_BYTES)

    def __del__(self) -> None:
        self.stub.host_free(self._host)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        function = partial(getattr(self.stub, f"host_{name}"), self._host)
        setattr(self, name, function)  # found at once the next time
        return function

    # --- flash -------------------------------------------------------------------------------------------

    @property
    def flash(self) -> bytes:
        """All of it; may be set."""
        return ctypes.string_at(self._flash, self.geometry.flash_bytes)

    @flash.setter
    def flash(self, content: bytes) -> None:
        ctypes.memmove(self._flash, content, len(content))

    def put(self, offset: int, content: bytes) -> None:
        """Write as a programmer would, past the stub."""
        ctypes.memmove(ctypes.byref(self._flash.contents, offset), content, len(content))

    def region(self, name: str) -> bytes:
        """Return what a region holds."""
        offset, size = self.geometry.regions[name]
        return self.flash[offset : offset + size]

    def put_image(self, name: str, header_raw: bytes, image: bytes) -> None:
        """Write a slot as a programmer would."""
        offset, _ = self.geometry.regions[name]
        self.put(offset, header_raw)
        self.put(offset + self.geometry.sector_bytes, image)

    def image(self, name: str, size: int) -> bytes:
        """Return the first bytes of a slot's image."""
        return self.region(name)[self.geometry.sector_bytes :][:size]

    # --- what it does ------------------------------------------------------------------------------------

    def arm(self, cut_at: int, cut: Cut = Cut.BEFORE, seed: int = 0) -> None:
        """Cut the power at an operation, counted from 1; 0: never."""
        self.stub.host_arm(self._host, cut_at, int(cut), ctypes.c_uint64(seed))

    def arm_fault(self, fault_at: int, cut: Cut, seed: int = 0, is_worn: bool = False, is_silent: bool = False) -> None:
        """Let an operation of the flash fail, its effect as a cut's; worn: all after it, too; silent: unreported."""
        how = (int(is_worn), int(is_silent), int(cut), ctypes.c_uint64(seed))
        self.stub.host_arm_fault(self._host, fault_at, *how)

    def boot(self) -> Decision | int | None:
        """Return the decision; None where nothing boots; `POWER_WENT`."""
        decision = Decision()
        outcome = self.stub.host_boot(self._host, ctypes.byref(decision))
        if outcome == POWER_WENT:
            return POWER_WENT
        return decision if outcome else None

    def install(self, header: SignedHeader, image: bytes, place: int = Place.FREE_SLOT) -> int:
        """Install in one go; 0 if it is on trial then, else a refusal or `POWER_WENT`."""
        return int(self.stub.host_install(self._host, place, header.raw, image))

    def load(self) -> tuple[bytes, bool]:
        """Return the record's 64 bytes, and whether one was found."""
        raw = ctypes.create_string_buffer(RECORD_BYTES)
        found = self.stub.host_load(self._host, raw)
        return raw.raw, bool(found)

    def take_output(self) -> bytes:
        """Return what the loader has sent."""
        count = self.stub.host_take_output(self._host, self._output, OUTPUT_BYTES)
        return ctypes.string_at(self._output, count) if count else b""
