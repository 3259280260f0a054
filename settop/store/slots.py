"""The slots of a box, the EEPROM image and the state record, power-cut-proof.

    state.bin                     two erase sectors of state records
    slot-a.image, slot-a.header   the same for slot-b and eeprom: the image as it was packed, its signed header
    XXXXXXXXXXXXXXXX.part         symbols of a release on their way in

Why a power cut can't hurt: each step is one appended record, or bytes in a slot that no record calls bootable.
The confirmed slot and the EEPROM are never written in the same transaction.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from carousel.errors import BootcastError, FormatError, OperatorError
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing
from settop.stitch.policy import DIGEST_PREFIX_BYTES, BoxProfile
from settop.store import choice
from settop.store.choice import Candidate, Source
from settop.store.disk import Disk
from settop.store.staterecord import (
    SECTORS,
    TRIES,
    Erase,
    Failure,
    SlotState,
    StateRecord,
    newest_record,
    plan_append,
)

__all__ = ["SECTOR_BYTES", "BootDecision", "InstallError", "Store", "describe"]

SECTOR_BYTES = 4096
_STATE = "state.bin"


class InstallError(BootcastError):
    """An image that was verified block by block does not read back right: the medium is at fault."""


@dataclass(frozen=True)
class BootDecision:
    """What boots, why, and what was passed over on the way: (source, failure, or why it can't be started here)."""

    source: Source
    header: SignedHeader
    image_name: str
    reason: str
    passed_over: tuple[tuple[Source, Failure | str], ...]


class Store:
    """The persistent state of one box."""

    def __init__(self, disk: Disk, hardware: Hardware, trust: TrustRing) -> None:
        self._disk = disk
        self._hardware = hardware
        self._trust = trust

    # --- the state record -------------------------------------------------------------------------------

    def _flash(self) -> bytes:
        content = self._disk.read(_STATE) or b""
        return content.ljust(SECTORS * SECTOR_BYTES, b"\xff")[: SECTORS * SECTOR_BYTES]

    def record(self) -> StateRecord:
        """Return the newest record; without one, what the slots' headers say (design: boot.md, "Boot")."""
        return newest_record(self._flash()) or self._record_from_slots()

    def _record_from_slots(self) -> StateRecord:
        """Rebuild a record where none is left: whole images count as confirmed, the newest version as active."""
        record = StateRecord()
        found: list[tuple[SignedHeader, int]] = []
        for index in (0, 1):
            header = self.header(Source.of_slot(index))
            if header is None or self._inspect(Source.of_slot(index), floor=0) is not Failure.NONE:
                continue
            digest = header.image_sha256[:DIGEST_PREFIX_BYTES]
            record = choice.writing(record, index, digest, header.security_counter)
            record = choice.confirmed(record, index)
            found.append((header, index))
        if found:
            newest = max(found, key=lambda item: item[0].version)
            record = choice.confirmed(record, newest[1])
        return record

    def _reserve(self) -> None:
        """Give both sectors their bytes on the medium before they are needed: a full disk must not end appends."""
        size_bytes = len(self._disk.read(_STATE) or b"")
        if size_bytes < SECTORS * SECTOR_BYTES:
            self._disk.write(_STATE, size_bytes, b"\xff" * (SECTORS * SECTOR_BYTES - size_bytes))
            self._disk.sync(_STATE)

    def _append(self, record: StateRecord) -> StateRecord:
        with suppress(OSError):  # no room now: what there is may do, and the next append asks again
            self._reserve()
        for operation in plan_append(self._flash(), record):
            if isinstance(operation, Erase):
                self._disk.write(_STATE, operation.sector * SECTOR_BYTES, b"\xff" * SECTOR_BYTES)
            else:
                self._disk.write(_STATE, operation.offset, operation.data)
            self._disk.sync(_STATE)
        return self.record()

    def format(self) -> None:
        """Write the first record of a new box."""
        self._append(StateRecord())
        self._disk.sync_names()

    # --- slots ------------------------------------------------------------------------------------------

    def header(self, source: Source) -> SignedHeader | None:
        """Return a slot's header, or None where there is none or a damaged one."""
        raw = self._disk.read(f"{source.value}.header")
        try:
            return SignedHeader.parse(raw) if raw is not None else None
        except FormatError:
            return None

    def profile(self) -> BoxProfile:
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
        return BoxProfile(self._hardware, self._trust, record.floor, tuple(held), failed)

    def _inspect(self, source: Source, floor: int) -> Failure:
        """Check an image as at every boot: header, signature, hardware, counter, SHA-256."""
        header = self.header(source)
        if header is None:
            return Failure.HEADER_DAMAGED
        if not self._trust.believes(header):
            return Failure.SIGNATURE
        if not self._hardware.accepts(header.hardware):
            return Failure.HARDWARE
        if header.security_counter < floor:
            return Failure.SECURITY_COUNTER
        size, digest = self._measure(f"{source.value}.image")
        good = (size, digest) == (header.image_size, header.image_sha256)
        return Failure.NONE if good else Failure.IMAGE_DAMAGED

    def _measure(self, name: str) -> tuple[int, bytes]:
        size, sha256 = 0, hashlib.sha256()
        for chunk in self._disk.chunks(name):
            size += len(chunk)
            sha256.update(chunk)
        return size, sha256.digest()

    # --- install ----------------------------------------------------------------------------------------

    def install(self, header: SignedHeader, part_name: str) -> Source:
        """Move a verified image from its part file into the free slot, on trial; return the slot.

        Raises `InstallError` if it does not read back right; the slot is then empty, all else as it was.
        """
        record = self.record()
        index = choice.free_slot(record)
        source = Source.of_slot(index)
        image, slot_header = f"{source.value}.image", f"{source.value}.header"
        digest = header.image_sha256[:DIGEST_PREFIX_BYTES]
        record = self._append(choice.writing(record, index, digest, header.security_counter))
        self._disk.remove(slot_header)
        self._disk.sync_names()
        self._disk.truncate(part_name, header.image_size)
        self._disk.sync(part_name)
        self._disk.rename(part_name, image)
        self._disk.sync_names()
        if self._measure(image) != (header.image_size, header.image_sha256):
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
        passed_over: list[tuple[Source, Failure | str]] = []
        for candidate in self.candidates():
            failure = self._try(candidate)
            if failure is Failure.NONE:
                return self.decision(candidate, tuple(passed_over))
            passed_over.append((candidate.source, failure))
        reasons = "; ".join(f"{source.value}: {describe(failure)}" for source, failure in passed_over)
        raise OperatorError(f"nothing here can be booted, not even the EEPROM image ({reasons}); run `settop init`")

    def decision(self, candidate: Candidate, passed_over: tuple[tuple[Source, Failure | str], ...]) -> BootDecision:
        """Return the decision for a candidate that was checked."""
        header = self.header(candidate.source)
        assert header is not None
        image = f"{candidate.source.value}.image"
        return BootDecision(candidate.source, header, image, candidate.reason, passed_over)

    def _try(self, candidate: Candidate) -> Failure:
        """Count a trial, verify the image, record a failure."""
        return self.check(candidate) if self.count_try(candidate) else Failure.UNRECORDABLE

    def candidates(self) -> list[Candidate]:
        """Return what to try, in order, when trials without tries left have failed."""
        return choice.boot_candidates(self.retire_spent_trials())

    def count_try(self, candidate: Candidate) -> bool:
        """Record that a trial is about to start; False if the store can't be written, so that it must not."""
        if candidate.on_trial:
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
        if failure is not Failure.NONE and not is_eeprom:
            with suppress(OSError):  # found again at the next boot
                self._append(choice.failed(record, candidate.source.slot, failure))
        return failure

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
                    record = self._append(choice.failed(record, index, Failure.TRIES_USED_UP))
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
        self._append(choice.failed(record, source.slot, Failure.MARKED_BAD))

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
            return source
        if record.active in (0, 1):
            return None
        raise OperatorError("no slot is on trial, so there is nothing to confirm; run `settop receive` first")

    def halt(self, digest: bytes) -> Source | None:
        """Give up an image on trial, named by its SHA-256's begin, as its roll-out was halted; None if none is."""
        record = self.record()
        for index, slot in enumerate(record.slots):
            if slot.state is SlotState.TRIAL and slot.digest == digest[:DIGEST_PREFIX_BYTES]:
                self._append(choice.failed(record, index, Failure.HALTED))
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
    }[failure]
