"""From the record's choice to a running image, over any backend, and back: reconcile, boot, confirm, forget.

The order makes a power cut harmless: an image is placed where no loader points, its try is recorded, the loader is
armed, and then it starts. A confirmation tells the loader first and the record then: cut between the two, the
loader starts the new image, which is verified, and the next reconciliation repeats or takes back the rest.
"""

from carousel.errors import OperatorError, explain_os_error
from carousel.frozen import Frozen
from settop.boot.backend import Backend, LoaderState, SlotImage
from settop.store.choice import Candidate, Source
from settop.store.disk import Disk
from settop.store.slots import BootDecision, Store, describe
from settop.store.staterecord import NO_SLOT, Failure, SlotState, StateRecord

__all__ = ["Prepared", "confirm", "disagreements", "forget_failed", "mark_bad", "prepare", "reconcile"]


class Prepared(Frozen):
    """What boots next: verified, placed, counted and armed; `runs_already` if it is what runs."""

    decision: BootDecision
    image: SlotImage
    runs_already: bool
    notes: tuple[str, ...] = ()


def wanted_default(record: StateRecord) -> Source | None:
    """Return what a loader shall start by itself: the confirmed slot, or the receiver."""
    return Source.of_slot(record.active) if record.active != NO_SLOT else None


def disagreements(record: StateRecord, backend: Backend) -> list[str]:
    """Return in what the loader differs from the record, in words; empty where it agrees or has no say."""
    if not backend.keeps_default:
        return []
    state, found = backend.state(), []
    wanted = wanted_default(record)
    if state.default is not wanted:
        found.append(f"it would start {_name(state.default)}, the record says {_name(wanted)}")
    if state.armed is not None and state.tries_left and not _is_on_trial(record, state.armed):
        found.append(f"it has {_name(state.armed)} armed, which is not on trial")
    return found


def _name(source: Source | None) -> str:
    return source.value if source else "the receiver"


def _is_on_trial(record: StateRecord, source: Source) -> bool:
    return source is Source.EEPROM or record.slots[source.slot].state is SlotState.TRIAL


def _image(store: Store, disk: Disk, source: Source) -> SlotImage | None:
    header = store.header(source)
    return SlotImage(disk, f"{source.value}.image", header) if header else None


def reconcile(store: Store, disk: Disk, backend: Backend) -> list[str]:
    """Bring record and loader in line at every start; return what was done, in words.

    The loader knows better how often it tried, the record knows better all else.
    """
    if not backend.keeps_default:
        return []
    notes = []
    state = backend.state()
    if state.armed is not None and backend.counts:
        image = _image(store, disk, state.armed)
        if image is not None and backend.holds(state.armed, image):
            _take_over_tries(store, state)
        else:
            backend.forget(state.armed)  # it was armed for an image that the slot holds no more
            state = backend.state()
    record = store.retire_spent_trials()
    for problem in disagreements(record, backend):
        notes.append(f"{backend.name}: {problem}")
    if state.armed is not None and not _is_on_trial(record, state.armed):
        backend.forget(state.armed)
    wanted = wanted_default(record)
    if backend.state().default is not wanted:
        backend.commit(wanted)
    return notes


def _reconciled(store: Store, disk: Disk, backend: Backend) -> list[str]:
    """Reconcile; where the medium fails, say so and boot by the record, which is tried again at the next start."""
    try:
        return reconcile(store, disk, backend)
    except OSError as error:
        return [f"{backend.name}: what it would start can't be compared with the record ({explain_os_error(error)})"]


def _take_over_tries(store: Store, state: LoaderState) -> None:
    """A trial whose loader has counted further than the record: the loader's count holds."""
    if state.armed in (Source.SLOT_A, Source.SLOT_B):
        store.set_tries(state.armed.slot, state.tries_left)


def prepare(store: Store, disk: Disk, backend: Backend) -> Prepared:
    """Verify, place, count and arm what the record says, so that `backend.start` starts it.

    What can't be placed or armed is passed over, and keeps its tries. Raises `OperatorError` if nothing is left, not
    even the EEPROM image.
    """
    notes = _reconciled(store, disk, backend)
    passed_over: list[tuple[Source, Failure | str]] = []
    for candidate in store.candidates():
        source = candidate.source
        failure = store.check(candidate)
        if failure is not Failure.NONE:
            passed_over.append((source, failure))
            continue
        decision = store.decision(candidate, tuple(passed_over))
        if decision is None:
            passed_over.append((source, Failure.UNREADABLE))
            continue
        image = SlotImage(disk, decision.image_name, decision.header)
        try:
            if backend.booted() is source and backend.holds(source, image):
                return Prepared(decision, image, True, tuple(notes))
            backend.place(source, image)
            tries_left = store.record().slots[source.slot].tries_left if candidate.on_trial else 1
            if not store.count_try(candidate):
                passed_over.append((source, Failure.UNRECORDABLE))
                continue
            _arm(store, backend, candidate, image, tries_left)
        except (OperatorError, OSError) as error:
            passed_over.append((source, explain_os_error(error) if isinstance(error, OSError) else str(error)))
            continue
        return Prepared(decision, image, False, tuple(notes))
    reasons = "; ".join(f"{source.value}: {describe(failure)}" for source, failure in passed_over)
    raise OperatorError(f"nothing here can be booted, not even the EEPROM image ({reasons})")


def _arm(store: Store, backend: Backend, candidate: Candidate, image: SlotImage, tries_left: int) -> None:
    """A confirmed slot is the loader's default already, or becomes it; all else is armed."""
    wanted = wanted_default(store.record())
    if backend.keeps_default and candidate.source is wanted:
        if backend.state().default is not wanted:
            backend.commit(wanted)
    else:
        backend.arm(candidate.source, image, tries_left)


def confirm(store: Store, disk: Disk, backend: Backend) -> Source | None:
    """Confirm the image on trial that runs: the loader first, then the record; None if it is confirmed already.

    Raises `OperatorError` if nothing is on trial, or what runs is not it.
    """
    reconcile(store, disk, backend)
    source, running = store.on_trial(), backend.booted()
    if source is None:
        return store.confirm()
    if running is not None and running is not source:
        raise OperatorError(f"{running.value} is running, but {source.value} is on trial; boot it with `settop boot`")
    image = _image(store, disk, source)
    if running is not None and (image is None or not backend.holds(source, image)):
        raise OperatorError(f"an older image of {source.value} is running than is on trial; boot it with `settop boot`")
    store.check_confirmable()
    backend.commit(source)
    return store.confirm()


def mark_bad(store: Store, disk: Disk, backend: Backend | None, source: Source) -> None:
    """Never boot this slot's image again, and take no such image any more: the record first, then the loader."""
    store.mark_bad(source)
    if backend is not None:
        reconcile(store, disk, backend)
        forget_failed(store, backend)


def forget_failed(store: Store, backend: Backend) -> None:
    """Let the loader forget what the record calls failed, and go to what it calls confirmed."""
    record = store.record()
    for index, slot in enumerate(record.slots):
        if slot.state is SlotState.FAILED:
            backend.forget(Source.of_slot(index))
    if backend.keeps_default and backend.state().default is not wanted_default(record):
        backend.commit(wanted_default(record))
