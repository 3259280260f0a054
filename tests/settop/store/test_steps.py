"""The store's steps one by one: what each leaves in the record and on the disk, and what the policy is told of it."""

import hashlib

import pytest

from carousel.errors import OperatorError
from carousel.release.identity import Version
from settop.store.choice import Source
from settop.store.marks import Marks
from settop.store.slots import Access, InstallError, Store, describe
from settop.store.staterecord import TRIES, Failure, SlotRecord, SlotState
from tests.conftest import HARDWARE, OTHER_KEY
from tests.settop.store.powercut import CutDisk
from tests.settop.store.test_slots import (
    RING,
    boot,
    deliver,
    header_of,
    image_of,
    install,
    new_store,
    two_confirmed,
    with_faults,
)

A, B = Source.SLOT_A, Source.SLOT_B


def digest_of(version):
    return hashlib.sha256(image_of(version)).digest()[:8]


def states(store):
    return [slot.state for slot in store.record().slots]


# --- install ---------------------------------------------------------------------------------------------------


def test_an_install_leaves_image_header_and_a_trial_and_nothing_else():
    store = two_confirmed()
    header = deliver(store, "3.0.0", counter=4)
    assert store.install(header, "x.part") is A
    disk, slot = store._disk, store.record().slots[0]
    assert slot == SlotRecord(SlotState.TRIAL, TRIES, Failure.NONE, 4, digest_of("3.0.0"))
    assert disk.read("slot-a.image") == image_of("3.0.0")
    assert disk.read("slot-a.header") == header.raw
    assert "x.part" not in disk.names()
    assert "slot-a.confirmed" not in disk.names(), "the mark was the one of 1.0.0"
    disk._lose_power()
    assert (disk.read("slot-a.image"), disk.read("slot-a.header")) == (image_of("3.0.0"), header.raw)
    assert store.record().floor == 0, "the floor rises with the confirmation"


@pytest.mark.parametrize("is_right", [True, False])
def test_whoever_has_a_better_proof_is_asked_for_it_with_what_reads_back(is_right):
    store, asked = new_store(), []
    header = deliver(store, "1.0.0")

    def holds(chunks):
        asked.append((b"".join(chunks), "slot-a.header" in store._disk.names()))
        return is_right

    if is_right:
        assert store.install(header, "x.part", holds) is A
    else:
        with pytest.raises(InstallError, match="does not read back"):
            store.install(header, "x.part", holds)
    assert asked == [(image_of("1.0.0"), False)], "asked once, before the slot counts as anything"
    assert states(store)[0] is (SlotState.TRIAL if is_right else SlotState.FAILED)


def test_an_image_that_does_not_read_back_fails_alone():
    class Lying(CutDisk):
        def rename(self, name, to):
            super().rename(name, to)
            self.files[to].current = self.files[to].current[:-1] + b"?"

    store = new_store(Lying())
    with pytest.raises(InstallError, match=r"slot-a\.image does not read back as it was received"):
        install(store, "1.0.0")
    record = store.record()
    assert record.slots[0].state is SlotState.FAILED
    assert record.slots[0].failure is record.last_failure is Failure.IMAGE_DAMAGED
    assert digest_of("1.0.0") not in store.profile().failed, "the medium is at fault, and it may come again"


def test_only_the_install_that_was_cut_off_is_taken_back():
    store = new_store()
    header = header_of("1.0.0")
    install(store, "1.0.0")
    store.take_back(header, "y.part")
    assert "slot-a.image" in store._disk.names(), "a whole one stays"
    store._append(store.record().with_slot(0, store.record().slots[0].but(state=SlotState.WRITING)))
    store.take_back(header_of("2.0.0"), "y.part")
    assert "y.part" not in store._disk.names()
    store.take_back(header, "y.part")
    assert store._disk.read("y.part") == image_of("1.0.0")
    store._disk._lose_power()
    assert "slot-a.image" not in store._disk.names()
    store.take_back(header, "z.part")
    assert "z.part" not in store._disk.names()


def test_a_factory_image_that_this_box_can_not_use_is_said():
    store = Store(CutDisk(), HARDWARE, RING)
    with pytest.raises(OperatorError, match="EEPROM image can't be used by this box: its signature is by no trusted"):
        store.write_eeprom(header_of("0.1.0", key=OTHER_KEY), [image_of("0.1.0")])
    with pytest.raises(OperatorError, match="does not match its SHA-256"):
        store.write_eeprom(header_of("0.1.0"), [image_of("0.1.0")[:-1], b"?"])
    image = image_of("0.1.0")
    store.write_eeprom(header_of("0.1.0"), [image[:100], image[100:150], image[150:]])
    store._disk._lose_power()
    assert store._disk.read("eeprom.image") == image_of("0.1.0")
    assert store.header(Source.EEPROM) == header_of("0.1.0")


# --- what the policy is told -------------------------------------------------------------------------------------


def test_the_policy_is_told_what_is_held_and_what_failed_for_good():
    store = two_confirmed(counter=2)
    profile = store.profile()
    assert (profile.hardware, profile.trust, profile.floor, profile.allows_older) == (HARDWARE, RING, 2, False)
    assert profile.held == ((digest_of("1.0.0"), Version(1, 0, 0)), (digest_of("2.0.0"), Version(2, 0, 0)))
    assert profile.failed == frozenset()
    assert store.profile(allows_older=True).allows_older
    for state, is_held in ((SlotState.STAGED, True), (SlotState.TRIAL, True), (SlotState.WRITING, False)):
        store._append(store.record().with_slot(0, store.record().slots[0].but(state=state)))
        assert (digest_of("1.0.0") in [held for held, _ in store.profile().held]) == is_held
    store._disk.remove("slot-b.header")
    assert store.profile().held == ()


@pytest.mark.parametrize("failure", set(Failure) - {Failure.UNREADABLE, Failure.NONE})
def test_an_image_that_failed_by_itself_is_not_taken_again_all_else_is(failure):
    store = new_store()
    install(store, "1.0.0")
    store._fail(store.record(), 0, failure)
    is_for_good = failure in (Failure.TRIES_USED_UP, Failure.MARKED_BAD)
    assert store.profile().failed == ({digest_of("1.0.0")} if is_for_good else set())


def test_every_failure_has_its_words():
    assert len({describe(failure) for failure in Failure}) == len(Failure)
    assert describe("kexec is not there") == "kexec is not there"
    assert describe(Failure.NONE) == "nothing"


def test_a_record_is_rebuilt_of_whole_images_each_in_its_own_slot():
    store = new_store()
    install(store, "1.0.0", counter=6)
    store._disk.remove("state.bin")
    rebuilt = Store(store._disk, HARDWARE, RING).record()
    assert rebuilt.slots == (SlotRecord(SlotState.TRIAL, TRIES, Failure.NONE, 6, digest_of("1.0.0")), SlotRecord())
    store = two_confirmed(counter=2)
    store._disk.remove("state.bin")
    store._disk.write("slot-b.image", 0, b"damage")
    rebuilt = Store(store._disk, HARDWARE, RING).record()
    assert rebuilt.slots == (SlotRecord(SlotState.CONFIRMED, 0, Failure.NONE, 2, digest_of("1.0.0")), SlotRecord())
    assert (rebuilt.active, rebuilt.floor) == (0, 2)


# --- boot ------------------------------------------------------------------------------------------------------


def test_a_decision_says_what_boots_why_and_what_was_passed_over():
    store = two_confirmed()
    install(store, "3.0.0")
    store._disk.write("slot-a.image", 0, b"damage")
    decision = store.boot()
    assert (decision.source, decision.image_name, decision.reason) == (B, "slot-b.image", "confirmed")
    assert decision.header == header_of("2.0.0")
    assert decision.passed_over == ((A, Failure.IMAGE_DAMAGED),)
    assert decision.notes == ()
    assert store.record().slots[0].failure is Failure.IMAGE_DAMAGED


def test_an_image_is_whole_however_the_disk_gives_it(monkeypatch):
    store = new_store()
    real = store._disk.chunks
    monkeypatch.setattr(
        store._disk, "chunks", lambda name: (raw[at : at + 300] for raw in real(name) for at in range(0, len(raw), 300))
    )
    install(store, "1.0.0")
    assert boot(store).source is A


def test_a_failure_that_can_not_be_recorded_is_found_again():
    store = two_confirmed()
    store._disk.write("slot-b.image", 0, b"damage")
    faulty = with_faults(store, unwritable=["state.bin"])
    for _ in range(2):
        decision = boot(faulty)
        assert (decision.source, decision.passed_over) == (A, ((B, Failure.IMAGE_DAMAGED),))
    assert states(store)[1] is SlotState.CONFIRMED


def test_a_spent_trial_whose_failure_can_not_be_recorded_boots_no_more_all_the_same():
    store = two_confirmed()
    install(store, "3.0.0")
    for _ in range(TRIES):
        boot(store)
    faulty = with_faults(store, unwritable=["state.bin"])
    assert boot(faulty).source is B
    assert states(store)[0] is SlotState.TRIAL
    assert store.retire_spent_trials().slots[0].failure is Failure.TRIES_USED_UP
    assert states(store)[0] is SlotState.FAILED


def test_a_header_that_fails_between_check_and_decision_is_passed_over(monkeypatch):
    store = two_confirmed()
    monkeypatch.setattr(store, "check", lambda candidate: store._disk.remove("slot-b.header") or Failure.NONE)
    decision = boot(store)
    assert (decision.source, decision.passed_over) == (A, ((B, Failure.UNREADABLE),))


# --- counting, confirming, giving up -------------------------------------------------------------------------------


def test_a_loader_s_count_goes_down_never_up_and_only_for_a_trial():
    store = two_confirmed()
    install(store, "3.0.0")
    for told, holds in ((TRIES, TRIES), (1, 1), (2, 1), (0, 0)):
        store.set_tries(0, told)
        assert store.record().slots[0].tries_left == holds
    seq = store.record().seq
    store.set_tries(1, 0)
    store.set_tries(1, -1)
    store.set_tries(0, 0)
    assert store.record().seq == seq


def test_who_is_on_trial_is_told():
    store = two_confirmed()
    assert store.on_trial() is None
    install(store, "3.0.0")
    assert store.on_trial() is A
    boot(store)
    assert store.confirm() is A
    install(store, "4.0.0")
    assert store.on_trial() is B


def test_what_is_confirmed_already_is_not_confirmed_again_in_either_slot():
    store = new_store()
    for version, source in (("1.0.0", A), ("2.0.0", B)):
        install(store, version)
        boot(store)
        assert store.confirm() is source
        seq = store.record().seq
        assert store.confirm() is None
        assert store.record().seq == seq


def test_a_confirmation_is_marked_in_the_order_of_confirmations():
    store = two_confirmed()
    marks, record = Marks(store._disk), store.record()
    seqs = [marks.seq(source, header_of(version)) for source, version in ((A, "1.0.0"), (B, "2.0.0"))]
    assert seqs[0] < seqs[1] <= record.seq
    for name in ("slot-a.confirmed", "slot-b.confirmed"):
        store._disk.remove(name)
    store.heal_marks()
    healed = [marks.seq(source, header_of(version)) for source, version in ((A, "1.0.0"), (B, "2.0.0"))]
    assert healed == [record.seq - 1, record.seq], "the active one is the later one"


def test_only_a_confirmed_slot_with_its_own_header_is_marked():
    store = two_confirmed()
    for name in ("slot-a.confirmed", "slot-b.confirmed"):
        store._disk.remove(name)
    store._disk.write("slot-b.header", 0, header_of("5.0.0").raw)
    store._append(store.record().with_slot(0, store.record().slots[0].but(state=SlotState.STAGED)))
    store.heal_marks()
    store.with_access(Access.LOOK).heal_marks()
    assert not [name for name in store._disk.names() if name.endswith(".confirmed")]
    store._disk.write("slot-b.header", 0, header_of("2.0.0").raw)
    store.with_access(Access.HELD).heal_marks()
    assert not [name for name in store._disk.names() if name.endswith(".confirmed")]
    with_faults(store, unwritable=["slot-b.confirmed"]).heal_marks()
    store.heal_marks()
    assert [name for name in store._disk.names() if name.endswith(".confirmed")] == ["slot-b.confirmed"]


def test_a_halted_trial_is_given_up_by_its_digest_and_nothing_else_is():
    store = two_confirmed()
    assert store.halt(hashlib.sha256(image_of("2.0.0")).digest()) is None, "what is confirmed stays"
    install(store, "3.0.0")
    assert store.halt(hashlib.sha256(image_of("4.0.0")).digest()) is None
    assert states(store) == [SlotState.TRIAL, SlotState.CONFIRMED]
    assert store.halt(hashlib.sha256(image_of("3.0.0")).digest()) is A
    assert (states(store)[0], store.record().slots[0].failure) == (SlotState.FAILED, Failure.HALTED)
    assert store.halt(digest_of("3.0.0")) is None


def test_what_is_no_image_can_not_be_marked_bad_and_what_is_forgotten_is_gone_for_good():
    store = new_store()
    with pytest.raises(OperatorError, match="slot-a is empty; there is no image in it that could boot"):
        store.mark_bad(A)
    install(store, "1.0.0")
    store.mark_bad(A)
    assert store.record().last_failure is Failure.MARKED_BAD
    store.forget(A)
    assert store.record().slots[0] == SlotRecord()
    store._disk._lose_power()
    assert [name for name in store._disk.names() if name.startswith("slot")] == []


def test_forgetting_a_slot_that_was_confirmed_before_takes_its_mark():
    store = two_confirmed()
    store.forget(A)
    assert [name for name in store._disk.names() if name.startswith("slot-a")] == []
    store._disk.remove("state.bin")
    assert boot(Store(store._disk, HARDWARE, RING)).source is B


def test_who_may_only_look_or_does_not_hold_the_store_records_nothing():
    store = two_confirmed()
    store._disk.write("slot-b.image", 0, b"damage")
    install(store, "3.0.0")
    before = store._disk.operations
    for access in (Access.LOOK, Access.HELD):
        other = store.with_access(access)
        assert other._fail(other.record(), 1, Failure.MARKED_BAD) == store.record()
        other.boot()
    assert store._disk.operations == before
