"""One flash for two implementations: Python's store and the C stub; and what such a flash may hold."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing
from settop.store.disk import Disk
from settop.store.slots import SECTOR_BYTES, Store
from settop.store.staterecord import NO_SLOT, RECORD_BYTES, Failure, SlotRecord, SlotState, StateRecord
from tests.conftest import HARDWARE, KEY, OTHER_KEY
from tests.firmware_stub.stubhost import Board, Geometry, header_of, image_of
from tests.settop.store.powercut import CutDisk

GEOMETRY = Geometry(SECTOR_BYTES, 2)
PUBLIC_KEY = KEY.public_key().public_bytes_raw()

u32 = st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1))
slot_records = st.builds(
    SlotRecord,
    st.sampled_from(SlotState),
    st.integers(0, 3),
    st.sampled_from(Failure),
    u32,
    st.binary(min_size=8, max_size=8),
)
records = st.builds(
    StateRecord,
    u32,
    st.integers(0, 3),
    st.sampled_from([0, 1, NO_SLOT]),
    st.sampled_from(Failure),
    st.tuples(slot_records, slot_records),
)
damage = st.one_of(st.none(), st.tuples(st.integers(0, RECORD_BYTES * 8 - 1), st.sampled_from(["flip", "tear"])))
images = st.sampled_from(
    [
        "none",
        "good",
        "newer",
        "other key",
        "other hardware",
        "other version",
        "low counter",
        "bad image",
        "bad header",
        "cut",
    ]
)


class SameFlash(Board):
    """A C board and a Python store that see the same bytes."""

    def __init__(self):
        super().__init__(GEOMETRY, HARDWARE, PUBLIC_KEY)
        self.disk: Disk = CutDisk()
        self.store = Store(self.disk, HARDWARE, TrustRing.of([KEY.public_key()]))

    def put_records(self, content):
        self.put(self.geometry.regions["records"][0], content)
        self.disk.write("state.bin", 0, content)

    def records_differ(self):
        return self.region("records") != self.disk.read("state.bin")

    def put_slot(self, name, kind):
        header, image = slot_content(kind, name)
        if header is None:
            return
        self.put_image(name, header, image)
        file = name.replace("_", "-")
        self.disk.write(f"{file}.header", 0, header)
        size = int.from_bytes(header[40:48], "little")
        self.disk.write(f"{file}.image", 0, self.image(name, min(size, GEOMETRY.capacity)))


def slot_content(kind, name):
    version = {"slot_a": "1.0.0", "slot_b": "1.1.0", "eeprom": "0.1.0"}[name]
    version = "2.0.0" if kind == "newer" else version
    fields = {
        "other key": {"key": OTHER_KEY},
        "other hardware": {"hardware": Hardware(1, 2)},
        "other version": {"hardware": HARDWARE.but(version=9)},
        "low counter": {"counter": 0},
    }.get(kind, {"counter": 2})
    header, image = header_of(version, **fields), image_of(version)
    if kind == "none":
        return None, b""
    if kind == "bad image":
        return header.raw, image[:-1] + bytes([image[-1] ^ 1])
    if kind == "bad header":
        return header.raw[:100] + bytes([header.raw[100] ^ 0x10]) + header.raw[101:], image
    return header.raw, image[:300] if kind == "cut" else image


def hurt(content, place):
    if place is None:
        return content
    bit, how = place
    if how == "tear":
        return content[: bit // 8].ljust(RECORD_BYTES, b"\xff")
    return bytes(byte ^ (1 << bit % 8 if index == bit // 8 else 0) for index, byte in enumerate(content))


def flash_of(history):
    """Records at their places, each perhaps hurt; then rubbish is what a sector held before."""
    sectors = bytearray(b"\xff" * 2 * SECTOR_BYTES)
    for place, record, damaged in history:
        offset = place * RECORD_BYTES
        sectors[offset : offset + RECORD_BYTES] = hurt(record.build(), damaged)
    return bytes(sectors)


histories = st.lists(st.tuples(st.integers(0, 2 * SECTOR_BYTES // RECORD_BYTES - 1), records, damage), max_size=6)
grown = st.lists(records, max_size=8)


def settled(test):
    return settings(deadline=None, suppress_health_check=list(HealthCheck))(test)
