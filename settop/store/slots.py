"""The slots of a box, the EEPROM image and the state record, power-cut-proof.

    state.bin                     two erase sectors of state records
    slot-a.image, slot-a.header   the same for slot-b and eeprom: the image as it was packed, its signed header
    slot-a.confirmed              a mark of confirmation, for the day that state.bin is lost
    XXXXXXXXXXXXXXXX.part         symbols of a release on their way in

Why a power cut can't hurt: each step is one appended record, or bytes in a slot that no record calls bootable.
The confirmed slot and the EEPROM are never written in the same transaction.
"""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum

from carousel.errors import BootcastError, FormatError, OperatorError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing
from settop.stitch.policy import DIGEST_PREFIX_BYTES, BoxProfile
from settop.store import choice
from settop.store.choice import Candidate, Source
from settop.store.disk import Disk
from settop.store.marks import Marks
from settop.store.statelog import SECTOR_BYTES, STATE, StateLog
from settop.store.staterecord import TRIES, Failure, SlotState, StateRecord

__all__ = ["SECTOR_BYTES", "Access", "BootDecision", "InstallError", "Proof", "Store", "describe"]

Proof = Callable[[Iterable[bytes]], bool]
"""Say whether these are an image's bytes, read one after the other."""


class InstallError(BootcastError):
    """An image that was verified block by block does not read back right: the medium is at fault."""


class BootDecision(Frozen):
    """What boots, why, and what was passed over on the way: (source, failure, or why it can't be started here)."""

    source: Source
    header: SignedHeader
    image_name: str
    reason: str
    passed_over: tuple[tuple[Source, Failure | str], ...]
    notes: tuple[str, ...] = ()
    """What else of the store is not as it should be."""


class Access(Enum):
    """What a boot choice may do to the store."""

    FULL = "count tries, record failures"
    LOOK = "record nothing, since nothing will be started: what would boot?"
    HELD = "record nothing, since somebody else holds the store; so no trial may start"


class Store:
    """The persistent state of one box."""

    def __init__(self, disk: Disk, hardware: Hardware, trust: TrustRing, access: Access = Access.FULL) -> None:
        self._disk = disk
        self._hardware = hardware
        self._trust = trust
        self._access = access
        self._log = StateLog(disk)
        self._marks = Marks(disk)
        self._rebuilt: StateRecord | None = None

    def with_access(self, access: Access) -> "Store":
        """Return this store for somebody who may do less."""
        return Store(self._disk, self._hardware, self._trust, access)

    # --- the state record -------------------------------------------------------------------------------

    def record(self) -> StateRecord:
        """Return the newest record; without one, what the slots say (design: boot.md, "Boot")."""
        found = self._log.newest()
        if found is not None:
            return found
        if self._rebuilt is None:
            self._rebuilt = self._record_from_slots()
        return self._rebuilt

    def _record_from_slots(self) -> StateRecord:
        """Rebuild a record where none is left: whole images are confirmed if they bear the mark, else on trial."""
        record = StateRecord()
        confirmations: list[tuple[int, int]] = []
        for index in (0, 1):
            source = Source.of_slot(index)
            header = self.header(source)
            if header is None or self._inspect(source, floor=0) is not Failure.NONE:
                continue
            digest = header.image_sha256[:DIGEST_PREFIX_BYTES]
            record = choice.on_trial(choice.writing(record, index, digest, header.security_counter), index)
            seq = self._marks.seq(source, header)
            if seq is not None:
                confirmations.append((seq, index))
        for _, index in sorted(confirmations):
            record = choice.confirmed(record, index)
        return record

    def _append(self, record: StateRecord) -> StateRecord:
        appended = self._log.append(record)
        self._rebuilt = None
        return appended

    def format(self) -> None:
        """Write the first record of a new box."""
        self._append(StateRecord())
        self._disk.sync_names()

    # --- slots ------------------------------------------------------------------------------------------

    def header(self, source: Source) -> SignedHeader | None:
        """Return a slot's header, or None where there is none, or one that is damaged or can't be read."""
        try:
            raw = self._disk.read(f"{source.value}.header")
            return SignedHeader.parse(raw) if raw is not None else None
        except (FormatError, OSError):
            return None

    def profile(self, allows_older: bool = False) -> BoxProfile:
        """Return what the policy for new images needs to know."""
        record = self.record()
        held = []
        for index, slot in enumerate(record.slots):
            header = self.header(Source.of_slot(index))
            if header is not None and slot.state in (SlotState.CONFIRMED, SlotState.TRIAL, SlotState.STAGED):
                held.append((slot.digest, header.version))
        failed = frozenset(
            slot.digest
            for slot in record.slots
            if slot.state is SlotState.FAILED and slot.failure in (Failure.TRIES_USED_UP, Failure.MARKED_BAD)
        )
        return BoxProfile(self._hardware, self._trust, record.floor, tuple(held), failed, allows_older)

    def _inspect(self, source: Source, floor: int) -> Failure:
        """Check an image as at every boot: header, signature, hardware, counter, SHA-256."""
        try:
            self._disk.read(f"{source.value}.header")
            header = self.header(source)
            if header is None:
                return Failure.HEADER_DAMAGED
            if not self._trust.believes(header):
                return Failure.SIGNATURE
            if not self._hardware.accepts(header.hardware):
                return Failure.HARDWARE
            if header.security_counter < floor:
                return Failure.SECURITY_COUNTER
            good = self._is_right(f"{source.value}.image", header)
        except OSError:
            return Failure.UNREADABLE
        return Failure.NONE if good else Failure.IMAGE_DAMAGED

    def _is_right(self, name: str, header: SignedHeader, holds: Proof | None = None) -> bool:
        """Read an image, and say whether it is the header's."""
        if holds is not None:
            return holds(self._disk.chunks(name))
        size, sha256 = 0, hashlib.sha256()
        for chunk in self._disk.chunks(name):
            size += len(chunk)
            sha256.update(chunk)
        return (size, sha256.digest()) == (header.image_size, header.image_sha256)

    # --- install ----------------------------------------------------------------------------------------

    def install(self, header: SignedHeader, part_name: str, holds: Proof | None = None) -> Source:
        """Move a verified image from its part file into the free slot, on trial; return the slot.

        It is read back: `holds` says whether it is right, or its SHA-256 where there is none. Raises `InstallError`
        if it does not read back right; the slot is then empty, all else as it was.
        """
        record = self.record()
        index = choice.free_slot(record)
        source = Source.of_slot(index)
        image, slot_header = f"{source.value}.image", f"{source.value}.header"
        digest = header.image_sha256[:DIGEST_PREFIX_BYTES]
        self._marks.remove(source)
        record = self._append(choice.writing(record, index, digest, header.security_counter))
        self._disk.remove(slot_header)
        self._disk.sync_names()
        self._disk.truncate(part_name, header.image_size)
        self._disk.sync(part_name)
        self._disk.rename(part_name, image)
        self._disk.sync_names()
        if not self._is_right(image, header, holds):
            self._append(choice.failed(record, index, Failure.IMAGE_DAMAGED))
            raise InstallError(f"{image} does not read back as it was received: check the medium, then try again")
        self._disk.write(slot_header, 0, header.raw)
        self._disk.sync(slot_header)
        self._disk.sync_names()
        record = self._append(choice.staged(record, index))
        self._append(choice.on_trial(record, index))
        return source

    def take_back(self, header: SignedHeader, part_name: str) -> None:
        """If an install of this release was cut off, make its image the part file that it was."""
        record = self.record()
        digest = header.image_sha256[:DIGEST_PREFIX_BYTES]
        for index, slot in enumerate(record.slots):
            image = f"{Source.of_slot(index).value}.image"
            if slot.state is SlotState.WRITING and slot.digest == digest and image in self._disk.names():
                self._disk.rename(image, part_name)
                self._disk.sync_names()
                return

    def write_eeprom(self, header: SignedHeader, image: Iterable[bytes]) -> None:
        """Write the factory image: at `init`, never by an update."""
        offset = 0
        for chunk in image:
            self._disk.write("eeprom.image", offset, chunk)
            offset += len(chunk)
        self._disk.sync("eeprom.image")
        self._disk.write("eeprom.header", 0, header.raw)
        self._disk.sync("eeprom.header")
        self._disk.sync_names()
        failure = self._inspect(Source.EEPROM, floor=0)
        if failure is not Failure.NONE:
            raise OperatorError(f"the EEPROM image can't be used by this box: {describe(failure)}")

    # --- boot and confirm -------------------------------------------------------------------------------

    def boot(self) -> BootDecision:
        """Choose what to boot, verified; record the try before returning, and what failed on the way.

        Raises `OperatorError` if nothing verifies, the EEPROM image included.
        """
        self.heal_marks()
        passed_over: list[tuple[Source, Failure | str]] = []
        for candidate in self.candidates():
            failure = self._try(candidate)
            decision = self.decision(candidate, tuple(passed_over)) if failure is Failure.NONE else None
            if decision is not None:
                return decision
            passed_over.append((candidate.source, failure or Failure.UNREADABLE))
        reasons = "; ".join(f"{source.value}: {describe(failure)}" for source, failure in passed_over)
        raise OperatorError(f"nothing here can be booted, not even the EEPROM image ({reasons}); run `settop init`")

    def decision(
        self, candidate: Candidate, passed_over: tuple[tuple[Source, Failure | str], ...]
    ) -> BootDecision | None:
        """Return the decision for a candidate that was checked; None where the medium does not give it again."""
        header = self.header(candidate.source)
        if header is None:
            return None
        image = f"{candidate.source.value}.image"
        return BootDecision(candidate.source, header, image, candidate.reason, passed_over, self._troubles())

    def _troubles(self) -> tuple[str, ...]:
        """Say what of the state is not as it should be, so that a boot goes by what the slots say."""
        trouble = self._log.trouble()
        if trouble is not None:
            return (f"{STATE} can't be read ({trouble.strerror}), so the slots tell; if it lasts, remove it",)
        return ("there is no state record, so the slots tell",) if self._log.newest() is None else ()

    def _try(self, candidate: Candidate) -> Failure:
        """Count a trial, verify the image, record a failure."""
        return self.check(candidate) if self.count_try(candidate) else Failure.UNRECORDABLE

    def candidates(self) -> list[Candidate]:
        """Return what to try, in order, when trials without tries left have failed."""
        return choice.boot_candidates(self.retire_spent_trials())

    def count_try(self, candidate: Candidate) -> bool:
        """Record that a trial is about to start; False if the store can't be written, so that it must not."""
        if candidate.on_trial and self._access is Access.HELD:
            return False
        if candidate.on_trial and self._access is Access.FULL:
            try:
                self._append(choice.tried(self.record(), candidate.source.slot))
            except OSError:
                return False
        return True

    def check(self, candidate: Candidate) -> Failure:
        """Verify an image as at every boot; record a failure."""
        record = self.record()
        is_eeprom = candidate.source is Source.EEPROM
        failure = self._inspect(candidate.source, floor=0 if is_eeprom else record.floor)
        if failure not in (Failure.NONE, Failure.UNREADABLE) and not is_eeprom:
            with suppress(OSError):  # found again at the next boot
                self._fail(record, candidate.source.slot, failure)
        return failure

    def _fail(self, record: StateRecord, slot: int, failure: Failure) -> StateRecord:
        """Record a failure; the mark of an earlier confirmation goes first."""
        if self._access is not Access.FULL:
            return record
        self._marks.remove(Source.of_slot(slot))
        return self._append(choice.failed(record, slot, failure))

    def heal_marks(self) -> None:
        """Give confirmed slots their marks: those of boxes from before there were any, or after a power cut."""
        record = self.record()
        for index, slot in enumerate(record.slots):
            source = Source.of_slot(index)
            header = self.header(source)
            if slot.state is not SlotState.CONFIRMED or header is None or self._access is not Access.FULL:
                continue
            if header.image_sha256[:DIGEST_PREFIX_BYTES] == slot.digest and self._marks.seq(source, header) is None:
                with suppress(OSError):  # it helps where the record is lost, and is missed nowhere else
                    self._marks.put(source, header, record.seq - (index != record.active))

    def set_tries(self, index: int, tries_left: int) -> None:
        """A loader that counts by itself has counted further than the record."""
        slot = self.record().slots[index]
        if slot.state is SlotState.TRIAL and tries_left < slot.tries_left:
            self._append(choice.tried(self.record(), index, slot.tries_left - tries_left))

    def retire_spent_trials(self) -> StateRecord:
        """Record that a trial without tries left has failed; return the record."""
        record = self.record()
        for index, slot in enumerate(record.slots):
            if slot.state is SlotState.TRIAL and slot.tries_left == 0:
                with suppress(OSError):  # it is no candidate, recorded or not
                    record = self._fail(record, index, Failure.TRIES_USED_UP)
        return record

    def on_trial(self) -> Source | None:
        """Return the slot on trial, if one is."""
        slots = self.record().slots
        return next((Source.of_slot(index) for index in (0, 1) if slots[index].state is SlotState.TRIAL), None)

    def mark_bad(self, source: Source) -> None:
        """Record that a slot's image is no good; `OperatorError` where there is none that could boot."""
        record = self.record()
        if source is Source.EEPROM:
            raise OperatorError("the EEPROM image is what is left when all else fails; it can't be marked bad")
        if record.slots[source.slot].state not in (SlotState.STAGED, SlotState.TRIAL, SlotState.CONFIRMED):
            state = record.slots[source.slot].state.name.lower()
            raise OperatorError(f"{source.value} is {state}; there is no image in it that could boot")
        self._fail(record, source.slot, Failure.MARKED_BAD)

    def forget(self, source: Source) -> None:
        """Empty a slot that does not boot, so that what failed there may be installed once more."""
        record = self.record()
        if source is Source.EEPROM:
            raise OperatorError("the EEPROM image is what is left when all else fails; it can't be forgotten")
        if record.active == source.slot:
            raise OperatorError(f"{source.value} is confirmed and boots; `settop mark-bad` gives it up")
        self._marks.remove(source)
        self._append(choice.forgotten(record, source.slot))
        self._disk.remove(f"{source.value}.header")
        self._disk.remove(f"{source.value}.image")
        self._disk.sync_names()

    def check_confirmable(self) -> None:
        """Raise `OperatorError` if the image on trial has never been started."""
        source = self.on_trial()
        if source is not None and self.record().slots[source.slot].tries_left == TRIES:
            raise OperatorError(f"{source.value} has not been booted yet; run `settop boot` first")

    def confirm(self) -> Source | None:
        """Confirm the image on trial that has been booted; None if what boots is confirmed already."""
        record, source = self.record(), self.on_trial()
        if source is not None:
            self.check_confirmable()
            self._append(choice.confirmed(record, source.slot))
            self.heal_marks()
            return source
        if record.active in (0, 1):
            return None
        raise OperatorError("no slot is on trial, so there is nothing to confirm; run `settop receive` first")

    def halt(self, digest: bytes) -> Source | None:
        """Give up an image on trial, named by its SHA-256's begin, as its roll-out was halted; None if none is."""
        record = self.record()
        for index, slot in enumerate(record.slots):
            if slot.state is SlotState.TRIAL and slot.digest == digest[:DIGEST_PREFIX_BYTES]:
                self._fail(record, index, Failure.HALTED)
                return Source.of_slot(index)
        return None


def describe(failure: Failure | str) -> str:
    """Say a failure in words."""
    if isinstance(failure, str):
        return failure
    return {
        Failure.NONE: "nothing",
        Failure.TRIES_USED_UP: "its tries are used up without a confirmation",
        Failure.HEADER_DAMAGED: "its header is missing or damaged",
        Failure.SIGNATURE: "its signature is by no trusted key",
        Failure.HARDWARE: "it is made for other hardware",
        Failure.SECURITY_COUNTER: "its security counter is below the floor",
        Failure.UNRECORDABLE: "the store can't be written, so its tries can't be counted",
        Failure.MARKED_BAD: "it was marked bad",
        Failure.IMAGE_DAMAGED: "its image does not match its SHA-256",
        Failure.HALTED: "its roll-out was halted while it was on trial",
        Failure.UNREADABLE: "the medium does not give it",
    }[failure]
