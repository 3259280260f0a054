"""A reporter for the length of a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from settop.report import Reporter, box_reporter

__all__ = ["reporting"]


@contextmanager
def reporting(as_json: bool, store: Path) -> Iterator[Reporter]:
    """Give a reporter for the length of a command."""
    reporter = box_reporter(as_json, store.name)
    try:
        yield reporter
    finally:
        reporter.close()
