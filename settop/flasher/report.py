"""How `settop flash` tells what it does: the words for its events, and a bar on a terminal."""

from typing import TYPE_CHECKING, Any

from construct import Container

from carousel.console.quantities import format_size_bytes
from carousel.errors import FormatError
from carousel.release.header import SignedHeader
from settop.flasher.flasher import Event, hardware_of
from settop.flasher.frames import Place
from settop.report import JsonReporter, PlainReporter
from settop.store.choice import boot_candidates
from settop.store.slots import describe
from settop.store.staterecord import Failure, SlotState, StateRecord

if TYPE_CHECKING:
    from rich.progress import TaskID

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


class BoardReporter:
    """Takes the flasher's events: JSON lines, a progress bar, or plain lines."""

    def __init__(self, label: str, as_json: bool, is_terminal: bool) -> None:
        self._json = JsonReporter() if as_json else None
        self._plain = PlainReporter(label)
        self._label = label
        self._bar = _Bar() if is_terminal and not as_json else None
        self._tenth = -1

    def tell(self, event: Event) -> None:
        """Report one event."""
        fields = {name: place_name(value) if name == "place" else value for name, value in event.fields.items()}
        if event.name == "state":
            fields = state_of(**event.fields)
        if self._json is not None:
            self._json.tell(event.name, **fields)
        elif event.name == "state":
            print_state(fields)
        elif event.name == "progress":
            self._progress(fields)
        elif event.name != "banner" or fields["text"]:
            self._say(_in_words(event.name, fields), is_end=event.name in ("flashed", "resuming"))

    def _progress(self, fields: dict[str, Any]) -> None:
        if self._bar is not None:
            self._bar.show(fields)
            return
        tenth = 10 * fields["done_bytes"] // fields["total_bytes"]
        if tenth != self._tenth:
            self._tenth = tenth
            left_s = (fields["total_bytes"] - fields["done_bytes"]) / max(1.0, fields["rate_bytes_per_s"])
            speed = format_size_bytes(fields["rate_bytes_per_s"])
            self._say(f"{10 * tenth:3d} %, {speed}/s, {left_s:.0f} s left", is_end=False)

    def _say(self, line: str, is_end: bool) -> None:
        if self._bar is not None:
            self._bar.say(self._label, line, is_end)
        else:
            print(f"{self._label}: {line}", flush=True)

    def close(self) -> None:
        """Put the terminal right."""
        if self._bar is not None:
            self._bar.stop()


def _in_words(event: str, fields: dict[str, Any]) -> str:
    if event == "flashed":
        held = fields["held_bytes"]
        fields = fields | {"speed": format_size_bytes(fields["bytes_per_s"])}
        fields["skipped"] = f"{held:,} bytes were there already; " if held else ""
        fields["sha256"] = fields["sha256"][:16] + "…"
    elif event == "already_there":
        fields = {side: format_size_bytes(fields[f"{side}_bytes"]) for side in ("held", "left")}
    elif event == "resetting":
        fields = {"line": fields["line"].upper()}
    return WORDS[event].format(**fields)


class _Bar:
    """A progress bar that is there while bytes move."""

    def __init__(self) -> None:
        from rich.progress import (  # noqa: PLC0415 - see settop/report.py
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.percentage:>5.1f}%"), BarColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        )
        self._task: TaskID | None = None

    def show(self, fields: dict[str, Any]) -> None:
        """Show how far it is."""
        if self._task is None:
            self._task = self._progress.add_task("", total=fields["total_bytes"], completed=fields["done_bytes"])
            self._progress.start()
        self._progress.update(self._task, completed=fields["done_bytes"])

    def say(self, label: str, line: str, is_end: bool) -> None:
        """Print a line above the bar."""
        if is_end:
            self.stop()
        from rich.text import Text  # noqa: PLC0415 - no markup: what a board says may hold brackets

        self._progress.console.print(Text.assemble((label, "bold"), " ", line))

    def stop(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.stop()
            self._progress.remove_task(self._task)
            self._task = None


def print_state(state: dict[str, Any]) -> None:
    """Show a board's state as a table."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    key = "takes images of any key" if state["key_policy"] is None else f"trusts key {state['key_policy'][:16]}…"
    title = f"hardware {state['hardware']}, stub {state['stub']}, security floor {state['floor']}, {key}"
    table = Table("", "state", "image", "bytes", "verifies", title=title, title_justify="left")
    for entry in state["sources"]:
        words = entry["state"] + (f", {entry['tries_left']} tries left" if "tries_left" in entry else "")
        words += f": {entry['failure']}" if "failure" in entry else ""
        words += ", active" if entry.get("active") else ""
        image = f"{entry['name']} {entry['version']}" if "version" in entry else ""
        size = f"{entry['image_size']:,}" if "image_size" in entry else ""
        table.add_row(entry["source"], words, image, size, "yes" if entry["verifies"] else f"no: {entry['problem']}")
    console = Console(markup=False)  # names are anybody's
    console.print(table)
    console.print(f"next boot: {state['next_boot']}", highlight=False)
