"""How `settop flash` tells what it does: the words for its events, and a bar on a terminal."""

from collections.abc import Mapping
from typing import Any

from construct import Container

from carousel.console.quantities import format_size_bytes
from carousel.console.reporter import Language, bar, make_reporter
from carousel.errors import FormatError
from carousel.printable import printable
from carousel.release.header import SignedHeader
from settop.flasher.events import BoardState, Event, Sent
from settop.flasher.flasher import hardware_of
from settop.flasher.frames import Place
from settop.store.choice import boot_candidates
from settop.store.slots import describe
from settop.store.staterecord import Failure, SlotState, StateRecord

__all__ = ["BoardReporter", "place_name", "state_of"]

WORDS = {
    "connecting": "waiting for the board's loader; reset the board if it runs already",
    "connected": "connected: hardware {hardware}, stub {stub}",
    "baud": "{baud} baud",
    "resetting": "no answer: pulling {line} to reset the board",
    "already_there": "{held} already there, {left} to send",
    "begun": "writing {size_bytes:,} bytes to {place}",
    "resuming": "{reason}: connecting again, and going on from what the flash holds",
    "stalled": "nothing has moved for {silent_s} s: check the cable; waiting on",
    "held": "{place} holds {version} already: nothing to write",
    "flashed": "{place} holds {version}: {size_bytes:,} bytes in {elapsed_s:.1f} s, {speed}/s; {skipped}"
    "SHA-256 read back {sha256}",
    "note": "{text}",
    "banner": "the board says:\n{text}",
}


def place_name(place: int) -> str:
    """Return `slot-a` and so on."""
    return Place(place).name.lower().replace("_", "-")


def state_of(board: Container, places: dict[Place, tuple[int, bytes]]) -> dict[str, Any]:
    """Put a board's state into plain data, as `settop status --json` does."""
    record = StateRecord.parse(bytes(board.record))
    sources = []
    for place, (failure, raw) in places.items():
        entry: dict[str, Any] = {"source": place_name(place), "state": "factory"}
        if place is not Place.EEPROM:
            slot = record.slots[place] if record else None
            entry["state"] = (slot.state if slot else SlotState.EMPTY).name.lower()
            if slot and slot.state is SlotState.TRIAL:
                entry["tries_left"] = slot.tries_left
            if slot and slot.state is SlotState.FAILED:
                entry["failure"] = describe(slot.failure)
            entry["active"] = bool(record and record.active == place)
        entry["verifies"] = failure == Failure.NONE
        if failure != Failure.NONE:
            entry["problem"] = describe(Failure(failure))
        try:
            header = SignedHeader.parse(raw)
            entry |= {"name": header.name, "version": str(header.version), "image_size": header.image_size}
            entry |= {"sha256": header.image_sha256.hex(), "security_counter": header.security_counter}
        except FormatError:
            pass
        sources.append(entry)
    whole = [source["source"] for source in sources if source["verifies"]]
    next_boot = boot_candidates(record)[0].source.value if record else next(iter(whole), "nothing")
    return {
        "hardware": str(hardware_of(board)),
        "stub": board.stub_version,
        "seq": record.seq if record else None,
        "floor": record.floor if record else 0,
        "key_policy": bytes(board.public_key).hex() if any(board.public_key) else None,
        "next_boot": next_boot,
        "sources": sources,
    }


def fields_of(event: Event) -> dict[str, Any]:
    """Return the fields as JSON has them, in order."""
    told: dict[str, Any] = {}
    for name, value in event.fields().items():
        match value:
            case Place() as place:
                told[name] = place_name(place)
            case Sent() as sent:
                told |= sent.fields()
            case found:
                told[name] = found
    return told


class BoardReporter:
    """Takes the flasher's events; the state of a board is a table of its own."""

    def __init__(self, label: str, as_json: bool, is_terminal: bool | None = None) -> None:
        self._reporter = make_reporter(as_json, label, Language(_say, _show, _Tenths()), is_terminal)
        self._as_json = as_json

    def tell(self, event: Event) -> None:
        """Report one event."""
        if isinstance(event, BoardState):
            state = state_of(event.board, event.places)
            if self._as_json:
                self._reporter.tell(event.event, **state)
            else:
                print_state(state)
            return
        self._reporter.tell(event.event, **fields_of(event))

    def close(self) -> None:
        """Put the terminal right."""
        self._reporter.close()


def _say(event: str, fields: Mapping[str, Any]) -> str | None:
    if event == "flashed":
        held = fields["held_bytes"]
        skipped = f"{held:,} bytes were there already; " if held else ""
        speed = format_size_bytes(fields["bytes_per_s"])
        fields = {**fields, "speed": speed, "skipped": skipped, "sha256": fields["sha256"][:16] + "…"}
    elif event == "already_there":
        fields = {side: format_size_bytes(fields[f"{side}_bytes"]) for side in ("held", "left")}
    elif event == "resetting":
        fields = {"line": fields["line"].upper()}
    elif event == "banner" and not fields["text"]:
        return None
    words = WORDS.get(event)
    return words.format(**fields) if words else None


def _speed(fields: Mapping[str, Any]) -> str:
    """Say how fast it is and how long it takes yet, once anything has moved."""
    rate_bytes_per_s = fields["rate_bytes_per_s"]
    if rate_bytes_per_s < 1:
        return "0 B/s"
    left_s = (fields["total_bytes"] - fields["done_bytes"]) / rate_bytes_per_s
    return f"{format_size_bytes(rate_bytes_per_s)}/s, {left_s:.0f} s left"


def _show(event: str, fields: Mapping[str, Any]) -> str | None:
    return f"{bar(fields['done_bytes'] / fields['total_bytes'])}  {_speed(fields)}" if event == "progress" else None


class _Tenths:
    """Says each tenth once, where there is no terminal."""

    def __init__(self) -> None:
        self._tenth = -1

    def __call__(self, event: str, fields: Mapping[str, Any]) -> str | None:
        if event != "progress":
            return None
        tenth = 10 * fields["done_bytes"] // fields["total_bytes"]
        if tenth == self._tenth:
            return None
        self._tenth = tenth
        return f"{10 * tenth:3d} %, {_speed(fields)}"


def print_state(state: dict[str, Any]) -> None:
    """Show a board's state in lines."""
    key = "takes images of any key" if state["key_policy"] is None else f"trusts key {state['key_policy'][:16]}…"
    lines = [f"hardware {state['hardware']}, stub {state['stub']}, security floor {state['floor']}, {key}"]
    for entry in state["sources"]:
        words = entry["state"] + (f", {entry['tries_left']} tries left" if "tries_left" in entry else "")
        words += f": {entry['failure']}" if "failure" in entry else ""
        words += ", active" if entry.get("active") else ""
        words += ", verifies" if entry["verifies"] else f", does not verify: {entry['problem']}"
        lines.append(f"{entry['source']:7} {words}")
        if "version" in entry:
            lines.append(f"        {entry['name']} {entry['version']}, {entry['image_size']:,} bytes")
    lines.append(f"next boot: {state['next_boot']}")
    print("\n".join(map(printable, lines)), flush=True)
