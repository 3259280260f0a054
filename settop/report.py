"""How a box tells what it does: JSON lines, a progress bar, or plain lines. One event, one name, some fields."""

import importlib.util
import json
import sys
from typing import TYPE_CHECKING, Any, Protocol

from carousel.console.quantities import format_rate_bps

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["JsonReporter", "PlainReporter", "Reporter", "TerminalReporter", "make_reporter"]

Fields = dict[str, Any]


class Reporter(Protocol):
    """Takes events by name."""

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""

    def close(self) -> None:
        """Put the terminal right."""


class JsonReporter:
    """One JSON object a line, `event` first."""

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        print(json.dumps({"event": event, **fields}), flush=True)

    def close(self) -> None:
        """Do nothing."""


def in_words(event: str, fields: Fields) -> str | None:
    """Say an event in a line; None for what only machines want to know."""
    words = {
        "listening": "listening to {group} on {interface}",
        "image_found": "found {name} {version}, {image_size:,} bytes{resumed_words}",
        "suspicious": "a block does not match its digest: checking every symbol from now on",
        "image_verified": (
            "verified in {elapsed_s:.2f} s: {received_symbols:,} symbols heard for {needed_symbols:,} needed"
        ),
        "installed": "installed {version} into {slot}, on trial",
        "up_to_date": "up to date: {version} is what this box has",
        "refused": "refused {version}: {reason}",
        "nothing": "nothing acceptable was heard in {timeout_s:g} s",
        "note": "{text}",
        "boot": "booting {version} from {source}: {reason}",
        "passed_over": "passed over {source}: {reason}",
        "runs_already": "{version} from {source} runs already: {reason}",
        "confirmed": "confirmed {source}",
        "marked_bad": "marked {source} bad: it does not boot any more",
    }.get(event)
    if words is None:
        return None
    resumed = ", going on from what an earlier run left" if fields.get("resumed") else ""
    return words.format(**fields, resumed_words=resumed)


class PlainReporter:
    """Lines of text, for logs."""

    def __init__(self, label: str) -> None:
        self._label = label

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        line = in_words(event, fields)
        if line is not None:
            print(f"{self._label}: {line}", flush=True)

    def close(self) -> None:
        """Do nothing."""


class TerminalReporter:
    """Lines of text above a progress bar."""

    def __init__(self, label: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - 6 MB that a box without a terminal need not have
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._label = label
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>5.1f}%  {task.fields[detail]}"),
            TimeRemainingColumn(compact=True),
            console=Console(),
        )
        self._task: TaskID | None = None

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        if event == "progress":
            self._show(fields)
            return
        if event in ("image_verified", "nothing") and self._task is not None:
            self._progress.update(self._task, completed=fields.get("needed_symbols"), detail="")
            self._progress.stop()
            self._task = None
        line = in_words(event, fields)
        if line is not None:
            from rich.text import Text  # noqa: PLC0415 - no markup: names and reasons may hold brackets

            self._progress.console.print(Text.assemble((self._label, "bold"), " ", line))

    def _show(self, fields: Fields) -> None:
        if self._task is None:
            self._task = self._progress.add_task(self._label, total=fields["needed_symbols"], detail="")
            self._progress.start()
        detail = (
            f"blocks {fields['blocks_done']}/{fields['blocks']}  {format_rate_bps(fields['rate_bps'])}  "
            f"loss {fields['loss']:.1%}"
        )
        self._progress.update(self._task, completed=fields["useful_symbols"], detail=detail)

    def close(self) -> None:
        """Put the terminal right."""
        self._progress.stop()


def make_reporter(as_json: bool, label: str) -> Reporter:
    """Choose by what is at the other end."""
    if as_json:
        return JsonReporter()
    has_toolkit = importlib.util.find_spec("rich") is not None  # a board's console is a terminal without it
    return TerminalReporter(label) if sys.stdout.isatty() and has_toolkit else PlainReporter(label)
