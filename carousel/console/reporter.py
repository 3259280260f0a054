"""How every command tells what happens: JSON lines for programs, plain lines for logs, a moving line on a terminal.

Who does the work comes first: a report never stops it. A log that is full, closed, or read by nobody loses lines
(`Outlet`), and whatever others wrote is made printable. An event is a name and its fields; a `Language` says them.
"""

import json
import os
import select
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from carousel.frozen import Frozen
from carousel.printable import printable

__all__ = [
    "JsonReporter",
    "Language",
    "Outlet",
    "PlainReporter",
    "Reporter",
    "TerminalReporter",
    "bar",
    "make_reporter",
    "say_nothing",
]

Fields = Mapping[str, Any]
Words = Callable[[str, Fields], str | None]
PATIENCE_MS = 500
"""How long a reader that has stopped is waited for, once."""
BAR_CELLS = 24
_CLEAR = "\r\x1b[2K"


def say_nothing(event: str, fields: Fields) -> str | None:
    """Have no words."""
    del event, fields
    return None


class Language(Frozen):
    """The words of a command's events. `line`: what stays; `status`: what moves on a terminal. None: nothing.

    `log` is said where there is no terminal and `line` has no words: moving things now and then.
    """

    line: Words
    status: Words = say_nothing
    log: Words = say_nothing


class Reporter(Protocol):
    """Takes events by name."""

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event; never raises for what is at the other end."""

    def close(self) -> None:
        """Put the terminal right."""


class Outlet:
    """A descriptor that lines are written to, if it takes them. One that failed is not asked again."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._patience_ms = PATIENCE_MS
        self._is_open = True
        try:
            self._poll.register(descriptor, select.POLLOUT)
        except (OSError, ValueError):
            self._is_open = False

    def write(self, text: str) -> None:
        """Write a line, or lose it. A pipe takes a line of up to 4 KiB whole or not at all, so nothing waits in it."""
        raw = text.encode(errors="backslashreplace")
        while raw and self._is_open:
            try:
                if not self._takes():
                    return
                raw = raw[os.write(self._descriptor, raw[: select.PIPE_BUF]) :]
            except BlockingIOError:
                return
            except OSError:
                self._is_open = False

    def _takes(self) -> bool:
        ready = self._poll.poll(self._patience_ms)
        self._patience_ms = PATIENCE_MS if ready else 0
        return bool(ready)


class JsonReporter:
    """One JSON object a line, `event` first."""

    def __init__(self, outlet: Outlet | None = None) -> None:
        self._outlet = outlet or Outlet()

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        self._outlet.write(json.dumps({"event": event, **fields}) + "\n")

    def close(self) -> None:
        """Do nothing."""


class PlainReporter:
    """Lines of text, for logs."""

    def __init__(self, label: str, language: Language, outlet: Outlet | None = None) -> None:
        self._label = printable(label)
        self._language = language
        self._outlet = outlet or Outlet()

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        words = self._language.line(event, fields) or self._language.log(event, fields)
        for line in (words or "").splitlines():
            self._outlet.write(f"{self._label}: {printable(line)}\n")

    def close(self) -> None:
        """Do nothing."""


class TerminalReporter:
    """Lines of text above one that moves."""

    def __init__(self, label: str, language: Language, outlet: Outlet | None = None) -> None:
        self._label = printable(label)
        self._language = language
        self._outlet = outlet or Outlet()
        self._moving = ""

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        line, moving = self._language.line(event, fields), self._language.status(event, fields)
        if line is None and moving is None:
            return
        shown = "".join(f"\x1b[1m{self._label}\x1b[0m {printable(each)}\n" for each in (line or "").splitlines())
        if moving is not None:
            import shutil  # noqa: PLC0415  and with it three compressors, for terminals alone

            self._moving = printable(moving)[: shutil.get_terminal_size().columns - 1]
        elif event != "note":
            self._moving = ""
        self._outlet.write(f"{_CLEAR}{shown}{self._moving}")

    def close(self) -> None:
        """Put the terminal right."""
        if self._moving:
            self._outlet.write(_CLEAR)
            self._moving = ""


def bar(share: float) -> str:
    """Draw how much is done."""
    full = max(0, min(BAR_CELLS, round(share * BAR_CELLS)))
    return f"{'━' * full}{'╌' * (BAR_CELLS - full)} {share:6.1%}"


def make_reporter(as_json: bool, label: str, language: Language, is_terminal: bool | None = None) -> Reporter:
    """Choose by what is at the other end."""
    if as_json:
        return JsonReporter()
    if is_terminal is None:
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return TerminalReporter(label, language) if is_terminal else PlainReporter(label, language)
