"""Make a box's folder; confirm the image that it runs, or mark it bad."""

from pathlib import Path

from carousel.errors import OperatorError, UsageError
from carousel.release.identity import Hardware
from settop.boot import flow
from settop.boot.identity import box_id
from settop.boot.machine import LinuxMachine
from settop.boot.table import BackendOptions
from settop.commands.booting import backend_of, report_if_asked
from settop.commands.reporting import reporting
from settop.store.choice import Source
from settop.store.folder import BoxFolder, RolloutTrust

__all__ = ["confirm", "forget", "init", "mark_bad"]


def init(store: Path, hardware: Hardware, trust: list[Path], eeprom: Path, identity: str, rollout: RolloutTrust) -> int:
    """Make a box's folder, with the factory image in its EEPROM."""
    interfaces = tuple(sorted(path.name for path in Path("/sys/class/net").glob("*") if path.name != "lo"))
    is_asked = identity == "auto" or (rollout.keys and not identity)
    own_id = box_id(LinuxMachine(), interfaces) if is_asked else identity
    if not own_id.isprintable():
        raise UsageError(f"the box's name {own_id!r} holds what can't be printed; take letters and digits")
    box = BoxFolder.init(store, hardware, trust, eeprom, own_id, rollout)
    header = box.store.header(Source.EEPROM)
    assert header is not None
    named = f"box {own_id}, " if own_id else ""
    print(f"{store}: {named}hardware {box.hardware}, {len(trust)} trusted key(s), EEPROM image {header.version}")
    return 0


def confirm(options: BackendOptions, backend_name: str | None, as_json: bool, metrics: Path | None = None) -> int:
    """Confirm the image on trial: it works, and is what boots from now on."""
    box = BoxFolder(options.folder)
    with box.locked(), reporting(as_json, options.folder, metrics) as reporter:
        backend = backend_of(backend_name, options)
        source = flow.confirm(box.store, box.disk, backend) if backend else box.store.confirm()
        active = Source.of_slot(box.store.record().active)
        reporter.tell("confirmed", source=(source or active).value)
        header = box.store.header(source) if source is not None else None
        if header is not None:
            report_if_asked(box, header, reporter, is_confirmed=True)
    return 0


def mark_bad(options: BackendOptions, backend_name: str | None, slot: Source | None, as_json: bool) -> int:
    """Never boot a slot's image again: the slot that is named, else the one on trial, else the one that runs."""
    box = BoxFolder(options.folder)
    with box.locked(), reporting(as_json, options.folder) as reporter:
        backend = backend_of(backend_name, options)
        source = slot or box.store.on_trial() or (backend.booted() if backend else None)
        if source is None:
            raise OperatorError("no slot is on trial; say which one is bad: `settop mark-bad slot-a`, or slot-b")
        flow.mark_bad(box.store, box.disk, backend, source)
        reporter.tell("marked_bad", source=source.value)
    return 0


def forget(store: Path, slot: Source, as_json: bool) -> int:
    """Empty a slot that does not boot, so that what failed there may be installed once more."""
    box = BoxFolder(store)
    with box.locked(), reporting(as_json, store) as reporter:
        box.store.forget(slot)
        reporter.tell("forgotten", source=slot.value)
    return 0
