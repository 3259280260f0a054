"""A reception and its install on one disk: the power goes at any moment, and each operation may fail.

A part file is mapped, nothing of it is synced before the install: what a cut leaves is any mixture of its sectors.
"""

import errno
import random
from itertools import count

import pytest

from carousel.errors import BootcastError
from settop.events import Suspicion
from settop.store.choice import Source
from settop.store.partfile import PartFile
from settop.store.slots import Store
from tests.conftest import HARDWARE, noise
from tests.settop.stitch.air import Air
from tests.settop.store.cutfolder import CutFolder
from tests.settop.store.powercut import Cut, CutDisk, PowerCut
from tests.settop.store.test_slots import RING, boot, deliver, header_of, image_of, install, new_store, two_confirmed

SIZE = 60_000
PART = "x.part"


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(SIZE, symbol_size=256, version="2.0.0")


@pytest.fixture
def disk(tmp_path):
    """A box that runs 1.0.0 confirmed."""
    (tmp_path / "box").mkdir()
    made = CutFolder(tmp_path / "box")
    store = Store(made, HARDWARE, RING)
    store.write_eeprom(header_of("0.1.0"), [image_of("0.1.0")])
    store.format()
    made.write(PART, 0, image_of("1.0.0"))
    store.install(header_of("1.0.0"), PART)
    store.boot()
    store.confirm()
    yield made
    made.close()


def receive(disk, release, rng, share=1.0):
    """Receive as far as this share of what is on the air, in any order; return the assembly, its file closed."""
    part = PartFile(disk.folder / PART, release.layout)
    air = Air(release)
    air.landings[:] = part.landings
    air.assemble(resumed=part.resumed)
    air.retarget()
    places = [
        (level, sbn, esi)
        for level, geometry in enumerate(release.layout.objects)
        for sbn, size in enumerate(geometry.block_sizes.tolist())
        for esi in range(size + geometry.repair_per_block)
    ]
    rng.shuffle(places)
    heard = places[: int(share * len(places))]
    for first in range(0, len(heard), 50):
        air.hear(air.packet(*place) for place in heard[first : first + 50])
        air.work()
    assert not any(isinstance(event, Suspicion) for event in air.events), "a power cut is no forgery"
    is_verified, air.landings = air.assembly.is_verified, []
    part.close()
    return is_verified


def recover_and_update(disk, release, seed):
    """After any cut: boot what is there, receive the rest, install it, boot it."""
    store = Store(disk, HARDWARE, RING)
    version = str(store.boot().header.version)
    assert version in ("1.0.0", "2.0.0"), f"fell back to {version}"
    if version == "1.0.0":
        store.take_back(release.header, PART)
        rng = random.Random(seed)
        assert any(receive(disk, release, rng) for _ in range(3))
        store.install(release.header, PART)
        assert str(store.boot().header.version) == "2.0.0"
    source = store.confirm()
    assert (disk.folder / f"{source.value}.image").read_bytes() == noise(SIZE)


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_while_symbols_land(disk, release, seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(3):
        receive(disk, release, rng, rng.uniform(0.0, 0.45))
        disk.cut_now(rng.randrange(1 << 30))
        assert str(Store(disk, HARDWARE, RING).boot().header.version) == "1.0.0"
    recover_and_update(disk, release, seed)


def operations_of_an_install(disk, release):
    assert receive(disk, release, random.Random(1))
    disk.arm(None, Cut.BEFORE, 0)
    Store(disk, HARDWARE, RING).install(release.header, PART)
    return disk.operations


def test_an_install_has_so_many_operations(disk, release):
    assert operations_of_an_install(disk, release) == INSTALL_OPERATIONS


INSTALL_OPERATIONS = 15


@pytest.mark.parametrize("at", range(1, INSTALL_OPERATIONS + 1))
def test_a_power_cut_at_every_operation_of_an_install_from_a_mapped_file(disk, release, at):
    assert receive(disk, release, random.Random(1))
    disk.arm(at, list(Cut)[at % len(Cut)], at)
    with pytest.raises(PowerCut):
        Store(disk, HARDWARE, RING).install(release.header, PART)
    recover_and_update(disk, release, at)


def test_the_folder_tears_what_is_not_synced(disk, tmp_path):
    """Or the tests above prove nothing."""
    path = disk.folder / PART
    path.write_bytes(bytes(100_000))
    disk.sync(PART)
    disk.sync_names()
    path.write_bytes(b"\xff" * 100_000)
    disk.cut_now(3)
    left = path.read_bytes()
    assert left.count(0) > 10_000
    assert left.count(0xFF) > 10_000
    path.unlink()
    (disk.folder / "y.part").write_bytes(b"new")
    seen = set()
    for seed in range(20):
        copy = CutFolder(tmp_path / f"copy{seed}")
        copy.folder.mkdir()
        (copy.folder / "a").write_bytes(b"old")
        copy.sync_names()
        (copy.folder / "b").write_bytes(b"new")
        copy.cut_now(seed)
        seen.add(tuple(copy.names()))
        copy.close()
    assert seen == {("a",), ("a", "b")}


# --- operations that fail ------------------------------------------------------------------------------------


class FailingDisk(CutDisk):
    """One operation of it fails with this error, reading included; or all from that one on."""

    def __init__(self, disk, at, code, for_good):
        super().__init__()
        self.files, self.durable_names = disk.files, disk.durable_names
        self._at, self._code, self._for_good, self._done = at, code, for_good, 0
        self.has_failed = False

    def _may_fail(self):
        self._done += 1
        if self._done == self._at or (self._for_good and self._done > self._at):
            self.has_failed = True
            raise OSError(self._code, "the medium fails")

    def _mutate(self, action, torn=None):
        self._may_fail()
        super()._mutate(action, torn)

    def read(self, name):
        self._may_fail()
        return super().read(name)


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("action", ["install", "boot", "confirm", "take back"])
def test_whatever_operation_fails_the_box_boots_then_and_afterwards(action, code, for_good, record_property):
    """What fails is an error that every command says in a sentence; a medium that recovers has lost nothing."""
    for at in count(1):
        store = two_confirmed()
        header = deliver(store, "3.0.0")
        if action in ("boot", "confirm"):
            store.install(header, PART)
        if action == "confirm":
            store.boot()
        failing = FailingDisk(store._disk, at, code, for_good)
        broken = Store(failing, HARDWARE, RING)
        try:
            if action == "install":
                broken.install(header, PART)
            elif action == "boot":
                assert str(broken.boot().header.version) in ("2.0.0", "3.0.0", "1.0.0", "0.1.0")
            elif action == "confirm":
                broken.confirm()
            else:
                broken.take_back(header, PART)
        except (OSError, BootcastError):
            assert failing.has_failed
            assert action != "boot" or for_good, "one error stops no boot"
        assert str(boot(Store(store._disk, HARDWARE, RING)).header.version) in ("2.0.0", "3.0.0")
        if not failing.has_failed:
            record_property("failing operations of the store", at - 1)
            assert at >= 2
            return
        healed = Store(store._disk, HARDWARE, RING)
        assert install(healed, "4.0.0") in (Source.SLOT_A, Source.SLOT_B)
        assert str(boot(healed).header.version) == "4.0.0"


def test_a_disk_that_fails_from_the_begin_leaves_an_error_and_no_surprise():
    failing = FailingDisk(new_store()._disk, 1, errno.EIO, for_good=True)
    with pytest.raises(BootcastError, match="not even the EEPROM"):
        Store(failing, HARDWARE, RING).boot()
