"""The store: boot choice, and power cuts at every operation, in five ways, and in pairs."""

import copy
import errno
import hashlib
from itertools import product

import pytest

from carousel.errors import OperatorError
from carousel.release.blocks import ObjectGeometry
from carousel.release.digests import BlockHash
from carousel.release.header import ReleaseHeader
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from settop.stitch.proof import ImageProof
from settop.store import statelog
from settop.store.choice import Source
from settop.store.slots import SECTOR_BYTES, Access, InstallError, Store
from settop.store.staterecord import RECORD_BYTES, Erase, Failure, SlotState
from tests.conftest import HARDWARE, KEY, OTHER_KEY, noise
from tests.settop.store.powercut import Cut, CutDisk, PowerCut

RING = TrustRing.of([KEY.public_key()])


def image_of(version):
    return noise(700, version)


def header_of(version, counter=0, hardware=HARDWARE, key=KEY):
    image = image_of(version)
    digest = hashlib.sha256(image).digest()
    plain = ReleaseHeader(
        hardware, counter, Version.parse(version), 0, len(image), 256, 1, 3, digest, bytes(32), f"v{version}"
    )
    return plain.sign(key)


def new_store(disk=None):
    store = Store(disk or CutDisk(), HARDWARE, RING)
    store.write_eeprom(header_of("0.1.0"), [image_of("0.1.0")])
    store.format()
    return store


def deliver(store, version, counter=0):
    """Put a verified part file down, as the receiver does: image rows first, then others."""
    disk = store._disk
    disk.write("x.part", 0, image_of(version) + b"padding and repair symbols")
    disk.sync("x.part")
    disk.sync_names()
    return header_of(version, counter)


def install(store, version, counter=0):
    return store.install(deliver(store, version, counter), "x.part")


def boot(store):
    decision = store.boot()
    content = b"".join(store._disk.chunks(decision.image_name))
    assert content == image_of(str(decision.header.version)), "booted an image that is not whole"
    return decision


def version_booted(store):
    return str(boot(store).header.version)


def test_a_new_box_boots_its_eeprom():
    decision = boot(new_store())
    assert decision.source is Source.EEPROM


def test_trial_confirm_and_the_next_update():
    store = new_store()
    assert install(store, "1.0.0") is Source.SLOT_A
    decision = boot(store)
    assert (decision.source, decision.reason) == (Source.SLOT_A, "on trial, 3 of 3 tries left")
    assert store.confirm() is Source.SLOT_A
    for _ in range(10):
        assert boot(store).reason == "confirmed"
    assert install(store, "2.0.0") is Source.SLOT_B
    assert version_booted(store) == "2.0.0"
    store.confirm()
    assert version_booted(store) == "2.0.0"
    assert install(store, "3.0.0") is Source.SLOT_A


def test_three_tries_then_back():
    store = new_store()
    install(store, "1.0.0")
    boot(store)
    store.confirm()
    install(store, "2.0.0")
    assert [version_booted(store) for _ in range(5)] == ["2.0.0"] * 3 + ["1.0.0"] * 2
    assert store.record().slots[1].failure is Failure.TRIES_USED_UP
    assert hashlib.sha256(image_of("2.0.0")).digest()[:8] in store.profile().failed


def test_an_image_damaged_in_its_slot_is_passed_over():
    store = new_store()
    install(store, "1.0.0")
    boot(store)
    store.confirm()
    store._disk.write("slot-a.image", 5, b"!")
    decision = boot(store)
    assert decision.source is Source.EEPROM
    assert decision.passed_over == ((Source.SLOT_A, Failure.IMAGE_DAMAGED),)
    assert store.record().slots[0].state is SlotState.FAILED


def test_the_previously_confirmed_slot_is_next():
    store = new_store()
    for version in ("1.0.0", "2.0.0"):
        install(store, version)
        boot(store)
        store.confirm()
    store._disk.write("slot-b.header", 0, b"????")
    decision = boot(store)
    assert decision.source is Source.SLOT_A
    assert decision.passed_over == ((Source.SLOT_B, Failure.HEADER_DAMAGED),)


def test_the_floor_rises_at_confirmation_not_before():
    store = new_store()
    install(store, "1.0.0", counter=1)
    boot(store)
    store.confirm()
    install(store, "2.0.0", counter=5)
    boot(store)
    assert store.record().floor == 1
    store.confirm()
    assert store.record().floor == 5
    store._disk.write("slot-b.image", 0, b"damage")
    decision = boot(store)
    assert decision.source is Source.EEPROM, "a slot below the floor must not boot"
    assert (Source.SLOT_A, Failure.SECURITY_COUNTER) in decision.passed_over


@pytest.mark.parametrize(
    ("fields", "failure"),
    [({"key": OTHER_KEY}, Failure.SIGNATURE), ({"hardware": Hardware(1, 1)}, Failure.HARDWARE)],
)
def test_a_swapped_header_never_boots(fields, failure):
    store = new_store()
    install(store, "1.0.0")
    store._disk.write("slot-a.header", 0, header_of("1.0.0", **fields).raw)
    decision = boot(store)
    assert decision.source is Source.EEPROM
    assert decision.passed_over == ((Source.SLOT_A, failure),)


def test_nothing_left_to_boot_is_said():
    store = new_store()
    install(store, "1.0.0")
    store._disk.write("slot-a.header", 0, b"damage")
    store._disk.write("eeprom.image", 0, b"damage")
    with pytest.raises(OperatorError) as refused:
        store.boot()
    assert str(refused.value) == (
        "nothing here can be booted, not even the EEPROM image (slot-a: its header is missing or damaged; "
        "eeprom: its image does not match its SHA-256); run `settop init`"
    )


def test_confirm_needs_a_boot():
    store = new_store()
    with pytest.raises(OperatorError, match="nothing to confirm"):
        store.confirm()
    install(store, "1.0.0")
    with pytest.raises(OperatorError, match="not been booted"):
        store.confirm()
    boot(store)
    store.confirm()
    assert store.confirm() is None


@pytest.mark.parametrize("by_blocks", [False, True])
def test_a_medium_that_lies_is_noticed(by_blocks):
    class LyingDisk(CutDisk):
        def rename(self, name, to):
            super().rename(name, to)
            self.files[to].current = b"\0" + self.files[to].current[1:]

    image = image_of("1.0.0")
    proof = ImageProof(ObjectGeometry(700, 700, 1, 0), (BlockHash(image).digest(),)).holds if by_blocks else None
    store = new_store(LyingDisk())
    with pytest.raises(InstallError, match="read back"):
        store.install(deliver(store, "1.0.0"), "x.part", proof)
    assert boot(store).source is Source.EEPROM
    honest = new_store()
    honest.install(deliver(honest, "1.0.0"), "x.part", proof)
    assert version_booted(honest) == "1.0.0"


def test_an_install_cut_off_goes_on():
    store = new_store()
    header = deliver(store, "1.0.0")
    store._disk.arm(8, Cut.AFTER, 0)
    with pytest.raises(PowerCut):
        store.install(header, "x.part")
    again = Store(store._disk, HARDWARE, RING)
    if "x.part" not in store._disk.names():
        again.take_back(header, "x.part")
    assert store._disk.read("x.part")[:700] == image_of("1.0.0")


def test_a_lost_state_record_is_rebuilt_from_the_slots():
    store = new_store()
    for version in ("1.0.0", "2.0.0"):
        install(store, version)
        boot(store)
        store.confirm()
    store._disk.remove("state.bin")
    assert version_booted(store) == "2.0.0"
    store._disk.write("slot-b.image", 0, b"damage")
    store._disk.remove("state.bin")
    assert version_booted(store) == "1.0.0"


# --- single faults ---------------------------------------------------------------------------------------------


class FaultyDisk(CutDisk):
    """A disk some of whose files the medium does not give, and some take nothing."""

    def __init__(self, disk, *unreadable, unwritable=()):
        super().__init__()
        self.__dict__ |= disk.__dict__
        self.unreadable, self.unwritable = set(unreadable), set(unwritable)

    def read(self, name):
        if name in self.unreadable:
            raise OSError(errno.EIO, "Input/output error", name)
        return super().read(name)

    def write(self, name, offset, data):
        if name in self.unwritable | self.unreadable:
            raise OSError(errno.EIO, "Input/output error", name)
        super().write(name, offset, data)


def two_confirmed(counter=0):
    """A box that runs 2.0.0, and ran 1.0.0 before."""
    store = new_store()
    for version in ("1.0.0", "2.0.0"):
        install(store, version, counter)
        boot(store)
        store.confirm()
    return store


def with_faults(store, *unreadable, **others):
    return Store(FaultyDisk(store._disk, *unreadable, **others), HARDWARE, RING)


@pytest.mark.parametrize("part", ["image", "header"])
def test_a_file_that_the_medium_does_not_give_is_passed_over_today_and_boots_tomorrow(part):
    store = two_confirmed()
    decision = boot(with_faults(store, f"slot-b.{part}"))
    assert decision.source is Source.SLOT_A
    assert decision.passed_over == ((Source.SLOT_B, Failure.UNREADABLE),)
    assert boot(store).source is Source.SLOT_B, "a medium that recovers has lost nothing"


def test_a_trial_that_the_medium_does_not_give_uses_up_its_tries():
    store = two_confirmed()
    install(store, "3.0.0")
    faulty = with_faults(store, "slot-a.image")
    assert [boot(faulty).source for _ in range(4)] == [Source.SLOT_B] * 4
    assert store.record().slots[0].failure is Failure.TRIES_USED_UP


def test_an_unreadable_state_record_boots_what_is_confirmed_and_says_so():
    store = two_confirmed(counter=4)
    decision = boot(with_faults(store, "state.bin"))
    assert (decision.source, decision.reason) == (Source.SLOT_B, "confirmed")
    assert "state.bin can't be read" in decision.notes[0]
    install(store, "3.0.0", counter=4)
    decision = boot(with_faults(store, "state.bin"))
    assert decision.source is Source.SLOT_B, "a try that can't be counted is none"
    assert decision.passed_over == ((Source.SLOT_A, Failure.UNRECORDABLE),)
    assert boot(store).source is Source.SLOT_A, "the record is as it was"


def test_a_record_that_does_not_read_back_counts_for_nothing():
    class Forgetful(CutDisk):
        def write(self, name, offset, data):
            if name != "state.bin" or not getattr(self, "forgets", False):
                super().write(name, offset, data)

    store = new_store(disk := Forgetful())
    install(store, "1.0.0")
    disk.forgets = True
    assert boot(store).passed_over == ((Source.SLOT_A, Failure.UNRECORDABLE),)


def test_a_lost_state_record_resurrects_no_image_that_failed():
    """B: an image that used up its tries is whole; without the record it must not count as confirmed."""
    store = new_store()
    install(store, "1.0.0")
    for _ in range(4):
        boot(store)
    assert boot(store).source is Source.EEPROM
    store._disk.remove("state.bin")
    again = Store(store._disk, HARDWARE, RING)
    assert [boot(again).source for _ in range(5)] == [Source.SLOT_A] * 3 + [Source.EEPROM] * 2


@pytest.mark.parametrize("lose", [lambda disk: disk.remove("state.bin"), lambda disk: disk.truncate("state.bin", 0)])
def test_a_lost_state_record_keeps_confirmation_order_and_floor(lose):
    store = two_confirmed(counter=7)
    lose(store._disk)
    again = Store(store._disk, HARDWARE, RING)
    decision = boot(again)
    assert (decision.source, decision.reason) == (Source.SLOT_B, "confirmed")
    assert "no state record" in decision.notes[0]
    assert again.record().floor == 7
    assert again.profile().held[0][1] == Version(1, 0, 0)


def test_a_confirmed_image_that_is_given_up_loses_its_mark():
    store = two_confirmed()
    store.mark_bad(Source.SLOT_B)
    assert boot(store).source is Source.SLOT_A
    store._disk.remove("state.bin")
    assert Store(store._disk, HARDWARE, RING).record().active == 0


def test_marks_are_given_to_boxes_from_before_there_were_any():
    store = two_confirmed()
    for name in ("slot-a.confirmed", "slot-b.confirmed"):
        store._disk.remove(name)
    boot(store)
    store._disk.remove("state.bin")
    assert boot(Store(store._disk, HARDWARE, RING)).source is Source.SLOT_B


@pytest.mark.parametrize("damage", [b"", b"BCCM", b"x" * 44])
def test_a_damaged_mark_marks_nothing(damage):
    store = two_confirmed()
    store._disk.remove("slot-b.confirmed")
    store._disk.write("slot-b.confirmed", 0, damage)
    store._disk.remove("state.bin")
    slots = Store(store._disk, HARDWARE, RING).record().slots
    assert [slot.state for slot in slots] == [SlotState.CONFIRMED, SlotState.TRIAL]


# --- what a person may ask for ---------------------------------------------------------------------------------


def test_a_look_at_what_would_boot_counts_nothing():
    store = new_store()
    install(store, "1.0.0")
    before = store.record()
    for _ in range(5):
        assert store.with_access(Access.LOOK).boot().source is Source.SLOT_A
    assert store.record() == before


def test_a_store_that_somebody_else_holds_boots_what_is_confirmed():
    store = two_confirmed()
    install(store, "3.0.0")
    before = store.record()
    decision = store.with_access(Access.HELD).boot()
    assert decision.source is Source.SLOT_B
    assert decision.passed_over == ((Source.SLOT_A, Failure.UNRECORDABLE),)
    assert store.record() == before


def test_forgetting_lets_a_failed_image_come_again():
    store = two_confirmed()
    install(store, "3.0.0")
    for _ in range(4):
        boot(store)
    digest = hashlib.sha256(image_of("3.0.0")).digest()[:8]
    assert digest in store.profile().failed
    store.forget(Source.SLOT_A)
    assert digest not in store.profile().failed
    assert not [name for name in store._disk.names() if name.startswith("slot-a")]
    assert install(store, "3.0.0") is Source.SLOT_A
    with pytest.raises(OperatorError, match="confirmed and boots"):
        store.forget(Source.SLOT_B)
    with pytest.raises(OperatorError, match="can't be forgotten"):
        store.forget(Source.EEPROM)


def test_marking_bad_gives_an_image_up_for_good():
    store = two_confirmed()
    install(store, "3.0.0")
    store.mark_bad(Source.SLOT_A)
    assert hashlib.sha256(image_of("3.0.0")).digest()[:8] in store.profile().failed
    store.mark_bad(Source.SLOT_B)
    assert boot(store).source is Source.EEPROM
    with pytest.raises(OperatorError, match="can't be marked bad"):
        store.mark_bad(Source.EEPROM)
    with pytest.raises(OperatorError, match="slot-a is failed"):
        store.mark_bad(Source.SLOT_A)


# --- power cuts -------------------------------------------------------------------------------------------------


class FullDisk(CutDisk):
    """No file can grow any more; what there is can be written over."""

    def __init__(self, disk):
        super().__init__()
        self.files, self.is_full = disk.files, True

    def write(self, name, offset, data):
        if self.is_full and offset + len(data) > len(self.read(name) or b""):
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(name, offset, data)


def test_a_full_disk_does_not_end_appends():
    """Both sectors of the state record have their room from the begin."""
    disk = CutDisk()
    store = new_store(disk)
    install(store, "1.0.0")
    full = Store(FullDisk(disk), HARDWARE, RING)
    for _ in range(3 * 2 * SECTOR_BYTES // RECORD_BYTES):
        full._append(full.record())
    assert version_booted(full) == "1.0.0"
    assert full.confirm() is Source.SLOT_A


def test_a_box_of_old_gets_its_second_sector_when_there_is_room():
    disk = CutDisk()
    store = new_store(disk)
    disk.truncate("state.bin", SECTOR_BYTES)
    full_disk = FullDisk(disk)
    full = Store(full_disk, HARDWARE, RING)
    before = full.record()
    assert full._append(before) == before.but(seq=before.seq + 1)
    assert len(disk.read("state.bin")) == SECTOR_BYTES
    full_disk.is_full = False
    full._append(before)
    assert len(disk.read("state.bin")) == 2 * SECTOR_BYTES
    assert store.record().seq == before.seq + 2


def prepared():
    """A box that runs 1.0.0 confirmed, with 2.0.0 delivered."""
    store = new_store()
    install(store, "1.0.0")
    boot(store)
    store.confirm()
    return store, deliver(store, "2.0.0")


def act_install(store, header):
    store.install(header, "x.part")


def act_boot_trial(store, header):
    store.boot()


def act_confirm(store, header):
    store.confirm()


def prepare_for(action):
    store, header = prepared()
    if action is not act_install:
        store.install(header, "x.part")
    if action is act_confirm:
        store.boot()
    return store, header


def fill_sector(store):
    """Leave one free record in the state's sector, so that the next appends cross into the other."""
    while store.record().seq % 64 not in (63, 0):
        store._append(store.record())


def operations_of(action, near_compaction):
    store, header = prepare_for(action)
    if near_compaction:
        fill_sector(store)
    store._disk.arm(None, Cut.BEFORE, 0)
    action(store, header)
    return store._disk.operations


def check_after(disk, action):
    """After any cut a verified image boots, the old or the new one, and the box goes on working."""
    store = Store(disk, HARDWARE, RING)
    decision = boot(store)
    booted = str(decision.header.version)
    assert booted in ("1.0.0", "2.0.0"), f"fell back to {booted}"
    assert not decision.notes, "the state record is never lost"
    if booted == "2.0.0" and action is not act_confirm:
        assert decision.reason.startswith("on trial"), "nobody confirmed it"
    install(store, "3.0.0")
    assert version_booted(store) == "3.0.0"
    store.confirm()
    assert version_booted(store) == "3.0.0"


@pytest.mark.slow
@pytest.mark.parametrize("near_compaction", [False, True])
@pytest.mark.parametrize("action", [act_install, act_boot_trial, act_confirm])
def test_a_power_cut_at_every_operation(action, near_compaction, record_property):
    tried = 0
    for at, cut, seed in product(range(1, operations_of(action, near_compaction) + 1), Cut, range(3)):
        store, header = prepare_for(action)
        if near_compaction:
            fill_sector(store)
        store._disk.arm(at, cut, seed)
        with pytest.raises(PowerCut):
            action(store, header)
        check_after(store._disk, action)
        tried += 1
    record_property("power cuts, Python store", tried)
    assert tried >= 30


@pytest.mark.slow
@pytest.mark.parametrize("first", Cut)
@pytest.mark.parametrize("action", [act_install, act_boot_trial, act_confirm])
def test_a_second_power_cut_during_recovery(action, first, record_property):
    """Every pair: a cut during an action, and another one while the box boots and installs again."""
    tried = 0
    store, header = prepare_for(action)
    for at in range(1, operations_of(action, near_compaction=False) + 1):
        disk = copy.deepcopy(store._disk)
        disk.arm(at, first, 1)
        with pytest.raises(PowerCut):
            action(Store(disk, HARDWARE, RING), header)
        for second, cut in product(range(1, recover(copy.deepcopy(disk)) + 1), Cut):
            again = copy.deepcopy(disk)
            again.arm(second, cut, 2)
            with pytest.raises(PowerCut):
                recover(again, rearm=False)
            assert version_booted(Store(again, HARDWARE, RING)) in ("1.0.0", "2.0.0", "2.5.0")
            tried += 1
    record_property("pairs of power cuts, Python store", tried)
    assert tried >= 100


def recover(disk, rearm=True):
    """What a box does after a cut: boot, and take the next update; return how many operations that takes."""
    if rearm:
        disk.arm(None, Cut.BEFORE, 2)
    store = Store(disk, HARDWARE, RING)
    store.boot()
    install(store, "2.5.0")
    return disk.operations


@pytest.mark.parametrize("mutation", ["header first", "floor at install", "erase the newest sector"])
def test_the_power_cut_test_can_fail(mutation, monkeypatch):
    """A mutated store must be caught, or the tests above prove nothing."""
    import settop.store.slots as module

    if mutation == "header first":

        def broken(self, header, part_name):
            index = module.choice.free_slot(self.record())
            source = Source.of_slot(index)
            record = module.choice.writing(self.record(), index, header.image_sha256[:8], 0)
            self._append(module.choice.confirmed(record, index))
            self._disk.write(f"{source.value}.header", 0, header.raw)
            self._disk.rename(part_name, f"{source.value}.image")
            return source

        monkeypatch.setattr(Store, "install", broken)
    elif mutation == "floor at install":
        original = module.choice.on_trial

        def raised(record, index):
            made = original(record, index)
            return made.but(floor=made.slots[index].security_counter + 1)

        monkeypatch.setattr(module.choice, "on_trial", raised)
    else:

        def careless(flash, record):
            operations = list(module_plan(flash, record))
            return operations if isinstance(operations[0], Erase) else [Erase(0), *operations]

        module_plan = statelog.plan_append
        monkeypatch.setattr(statelog, "plan_append", careless)
    with pytest.raises((AssertionError, OperatorError)):
        test_a_power_cut_at_every_operation(act_install, False, lambda name, count: None)
