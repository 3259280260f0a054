"""A reporter for the length of a command; with --metrics, one that keeps node-exporter's text file, too."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from settop.report import Reporter, box_reporter

__all__ = ["MetricsFile", "reporting"]


@contextmanager
def reporting(as_json: bool, store: Path, metrics: Path | None = None) -> Iterator[Reporter]:
    """Give a reporter for the length of a command."""
    reporter = box_reporter(as_json, store.name)
    try:
        yield MetricsFile(reporter, metrics) if metrics else reporter
    finally:
        reporter.close()


class MetricsFile:
    """Tells another reporter, and keeps gauges in a file, replaced whole; a file that can't be written is said once."""

    def __init__(self, reporter: Reporter, path: Path) -> None:
        self._reporter = reporter
        self._path = path
        self._is_said = False

    def tell(self, event: str, **fields: Any) -> None:
        """Report one event."""
        self._reporter.tell(event, **fields)
        try:
            self._change(event, fields)
        except OSError as error:
            if not self._is_said:
                self._is_said = True
                self._reporter.tell("note", text=f"--metrics {self._path} can't be written: {error.strerror}")

    def _change(self, event: str, fields: dict[str, Any]) -> None:
        from settop.metrics import after, parse, render  # noqa: PLC0415  only where they are kept

        before = ""
        with suppress(FileNotFoundError, UnicodeDecodeError):
            before = self._path.read_text()
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            unfinished.write_text(render(after(parse(before), event, fields, round(time.time(), 3))))
            unfinished.chmod(0o644)  # node-exporter is another user
            unfinished.replace(self._path)
        finally:
            unfinished.unlink(missing_ok=True)

    def close(self) -> None:
        """Put the terminal right."""
        self._reporter.close()
