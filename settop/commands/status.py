"""Show what a box holds."""

import json
from typing import TYPE_CHECKING, Any

from settop.boot.backend import Backend
from settop.boot.flow import disagreements
from settop.boot.table import BackendOptions
from settop.commands.booting import backend_of
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from settop.store.slots import describe
from settop.store.staterecord import SlotState, StateRecord

if TYPE_CHECKING:
    from carousel.bulletin import Stage
    from settop.rollout.board import Board

__all__ = ["lines_of", "status"]


def status(options: BackendOptions, backend_name: str | None, as_json: bool) -> int:
    """Show what the box holds; with a backend, what the loader thinks and whether it agrees."""
    store = options.folder
    box = BoxFolder(store)
    record = box.store.record()
    sources = [_entry(box, record, source) for source in (Source.SLOT_A, Source.SLOT_B, Source.EEPROM)]
    whole = {"hardware": str(box.hardware), "floor": record.floor, "seq": record.seq, "sources": sources}
    if box.identity.bulletin_trust.keys:
        whole["bulletins"] = _bulletins(box)
    backend = backend_of(backend_name, options)
    if backend is not None:
        whole |= {"loader": _loader(record, backend)}
    print(json.dumps(whole) if as_json else "\n".join(lines_of(str(store), whole)))
    return 0


def _loader(record: StateRecord, backend: Backend) -> dict[str, Any]:
    running = backend.booted()
    problems = disagreements(record, backend)
    entry = {"backend": backend.name, "says": backend.state().raw, "running": running.value if running else None}
    return entry | {"agrees": not problems, "disagreements": problems}


def _bulletins(box: BoxFolder) -> list[dict[str, Any]]:
    """Return what each trusted key has decided, as far as this box has heard it."""
    from settop.decided import board_of  # noqa: PLC0415  a box that obeys no bulletins does not wait for it

    board = board_of(box)
    assert board is not None
    found: list[dict[str, Any]] = []
    for key_id in box.identity.bulletin_trust.keys:
        stages = [_stage(board, stage) for stage in board.stages_of(key_id)]
        found.append({"key_id": key_id.hex(), "epoch": board.epochs.get(key_id), "releases": stages})
    return found


def _stage(board: "Board", stage: "Stage") -> dict[str, Any]:
    verdict = board.verdict(stage.release, 0.0)
    entry = {"release": str(stage.release), "percent": round(stage.share * 100, 4), "halted": stage.is_halted}
    return entry | {"for_this_box": not verdict.withholds, "why": verdict.why}


def _entry(box: BoxFolder, record: StateRecord, source: Source) -> dict[str, Any]:
    entry: dict[str, Any] = {"source": source.value, "state": "factory"}
    if source is not Source.EEPROM:
        slot = record.slots[source.slot]
        entry |= {"state": slot.state.name.lower(), "active": record.active == source.slot}
        if slot.state is SlotState.TRIAL:
            entry["tries_left"] = slot.tries_left
        if slot.state is SlotState.FAILED:
            entry["failure"] = describe(slot.failure)
    header = box.store.header(source)
    if header is not None:
        entry |= {"name": header.name, "version": str(header.version), "image_size": header.image_size}
        entry |= {"sha256": header.image_sha256.hex(), "security_counter": header.security_counter}
    return entry


def lines_of(store: str, whole: dict[str, Any]) -> list[str]:
    """Say it in lines that fit 60 columns but for what is long itself: a SHA-256 can be copied whole."""
    lines = [f"{store}: hardware {whole['hardware']}, security floor {whole['floor']}"]
    for entry in whole["sources"]:
        state = entry["state"]
        if "tries_left" in entry:
            state += f", {entry['tries_left']} tries left"
        if "failure" in entry:
            state += f": {entry['failure']}"
        if entry.get("active"):
            state += ", active"
        lines.append(f"{entry['source']:7} {state}")
        if "version" in entry:
            lines.append(f"        {entry['name']} {entry['version']}, {entry['image_size']:,} bytes")
            lines.append(f"        SHA-256 {entry['sha256']}")
    for bulletins in whole.get("bulletins", ()):
        epoch = "nothing heard yet" if bulletins["epoch"] is None else f"epoch {bulletins['epoch']}"
        lines.append(f"rollout key {bulletins['key_id']}: {epoch}")
        for entry in bulletins["releases"]:
            said = entry["why"] or f"at {entry['percent']:g} %, this box is among them"
            lines += [f"        release {entry['release']}", f"        {said}"]
    if loader := whole.get("loader"):
        lines.append(f"loader  {loader['says']}")
        lines.append(f"        running: {loader['running'] or 'the receiver, or not known'}")
        lines += [f"        but {problem}; `settop boot` mends it" for problem in loader["disagreements"]]
        lines += ["        it agrees with the record"] if loader["agrees"] else []
    return lines
