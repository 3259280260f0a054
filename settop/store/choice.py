"""What to boot: a pure function of the state record (design: boot.md, "Boot")."""

from enum import Enum

from carousel.frozen import Frozen
from settop.store.staterecord import NO_SLOT, TRIES, Failure, SlotRecord, SlotState, StateRecord

__all__ = [
    "FREE_SLOT_ORDER",
    "Candidate",
    "Source",
    "boot_candidates",
    "confirmed",
    "failed",
    "forgotten",
    "free_slot",
    "on_trial",
    "staged",
    "tried",
    "writing",
]

FREE_SLOT_ORDER = (
    SlotState.TRIAL,
    SlotState.STAGED,
    SlotState.WRITING,
    SlotState.EMPTY,
    SlotState.FAILED,
    SlotState.CONFIRMED,
)
"""Which slot an install takes first; never the active one."""


class Source(Enum):
    """Where an image can come from; the value is what people read, `slot` the record's index."""

    SLOT_A = "slot-a"
    SLOT_B = "slot-b"
    EEPROM = "eeprom"

    @property
    def slot(self) -> int:
        """The index in the state record; -1 for the EEPROM."""
        return {"slot-a": 0, "slot-b": 1}.get(self.value, -1)

    @classmethod
    def of_slot(cls, index: int) -> "Source":
        """Return the source of a slot index."""
        return (cls.SLOT_A, cls.SLOT_B)[index]


class Candidate(Frozen):
    """An image that may boot, and why."""

    source: Source
    reason: str
    on_trial: bool = False


def boot_candidates(record: StateRecord) -> list[Candidate]:
    """Return what to try, in order: the trial, the confirmed, the previously confirmed slot, the EEPROM."""
    candidates = []
    for index, slot in enumerate(record.slots):
        if slot.state is SlotState.TRIAL and slot.tries_left > 0:
            reason = f"on trial, {slot.tries_left} of {TRIES} tries left"
            candidates.append(Candidate(Source.of_slot(index), reason, on_trial=True))
    if record.active != NO_SLOT and record.slots[record.active].state is SlotState.CONFIRMED:
        candidates.append(Candidate(Source.of_slot(record.active), "confirmed"))
    for index, slot in enumerate(record.slots):
        if slot.state is SlotState.CONFIRMED and index != record.active:
            candidates.append(Candidate(Source.of_slot(index), "confirmed before"))
    candidates.append(Candidate(Source.EEPROM, "no slot holds an image to boot"))
    return candidates


def free_slot(record: StateRecord) -> int:
    """Return the slot to install into: never the active confirmed one; an unconfirmed trial is replaced."""
    slots = [index for index in (0, 1) if index != record.active]
    return min(slots, key=lambda index: FREE_SLOT_ORDER.index(record.slots[index].state))


def writing(record: StateRecord, index: int, digest: bytes, security_counter: int) -> StateRecord:
    """A slot's content is being replaced: from now on it is not bootable, and an earlier failure is forgotten."""
    slot = SlotRecord(SlotState.WRITING, security_counter=security_counter, digest=digest)
    return record.with_slot(index, slot)


def staged(record: StateRecord, index: int) -> StateRecord:
    """A slot's content is whole and checked, its header written."""
    return record.with_slot(index, record.slots[index].but(state=SlotState.STAGED))


def on_trial(record: StateRecord, index: int) -> StateRecord:
    """A staged slot gets its tries."""
    return record.with_slot(index, record.slots[index].but(state=SlotState.TRIAL, tries_left=TRIES))


def tried(record: StateRecord, index: int, tries: int = 1) -> StateRecord:
    """A try is used up (or more: a loader that counts by itself); to be recorded before the image starts."""
    slot = record.slots[index]
    return record.with_slot(index, slot.but(tries_left=slot.tries_left - tries))


def confirmed(record: StateRecord, index: int) -> StateRecord:
    """An image works: it is the one to boot, and the floor rises to its counter (not earlier: that bricks)."""
    slot = record.slots[index].but(state=SlotState.CONFIRMED, tries_left=0)
    floor = max(record.floor, slot.security_counter)
    return record.with_slot(index, slot).but(active=index, floor=floor)


def forgotten(record: StateRecord, index: int) -> StateRecord:
    """A slot is as if nothing had ever been installed into it; an image that failed there may come again."""
    return record.with_slot(index, SlotRecord())


def failed(record: StateRecord, index: int, failure: Failure) -> StateRecord:
    """A slot is not to be booted any more."""
    slot = record.slots[index].but(state=SlotState.FAILED, tries_left=0, failure=failure)
    active = record.active
    if active == index:
        other = record.slots[1 - index].state
        active = 1 - index if other is SlotState.CONFIRMED else NO_SLOT
    return record.with_slot(index, slot).but(active=active, last_failure=failure)
