"""Which boxes reported trials, on disk: a service that starts again knows what it had counted.

No part of the registry: nothing here was decided by anybody, and what is lost is only counted anew.
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from carousel.release.identity import ReleaseId
from carousel.report import Report, ReportKind
from headend.rollout.samples import Samples

__all__ = ["SampleBook"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS trial (release BLOB NOT NULL, box TEXT NOT NULL, started_unix_s REAL NOT NULL,
                                  is_confirmed INTEGER NOT NULL, PRIMARY KEY (release, box)) WITHOUT ROWID;
"""
SHORT_S = 10.0
"""So few confirmations are lost in a shorter silence of ours that no trial is in doubt for it."""


class SampleBook:
    """Notes what counts; `flush` brings it to the file."""

    def __init__(self, path: Path, unix: Callable[[], float]) -> None:
        """Open or make it; one that is damaged is begun anew, and `was_damaged`."""
        self._path, self._unix = path, unix
        self._waiting: list[tuple[str, tuple[object, ...]]] = []
        self.was_damaged = False
        try:
            self._database = self._open()
        except sqlite3.DatabaseError:
            self.was_damaged = True
            for left in path.parent.glob(path.name + "*"):
                left.unlink()
            self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        opened = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("PRAGMA synchronous=NORMAL")
        opened.executescript(SCHEMA)
        if opened.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError
        return opened

    def note(self, report: Report) -> None:
        """Keep a report that is news."""
        name = report.release.digest, report.box_id
        if report.kind is ReportKind.STARTING:
            self._waiting.append(("INSERT OR REPLACE INTO trial VALUES (?, ?, ?, 0)", (*name, self._unix())))
        else:
            self._waiting.append(("UPDATE trial SET is_confirmed = 1 WHERE release = ? AND box = ?", name))

    def forget(self, release: ReleaseId) -> None:
        """Keep nothing of a release."""
        self._waiting.append(("DELETE FROM trial WHERE release = ?", (release.digest,)))

    def flush(self) -> None:
        """Write what was noted; `OSError` where the disk does not take it: it is tried again then."""
        if not self._waiting:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for statement, values in self._waiting:
                self._database.execute(statement, values)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise OSError(f"{self._path}: {error}") from None
        self._waiting.clear()

    def restore(
        self, samples: Samples, confirm_within_s: Mapping[ReleaseId, float], now: float, silent_unix_s: float
    ) -> int:
        """Let samples know what counted; return how many trials are in doubt, and not counted.

        `confirm_within_s` has the releases that a rule is about. What was on trial when we fell silent may have been
        confirmed to nobody: after a short silence it has its time all the same, after a long one nothing is known.
        """
        unix_s, doubtful = self._unix(), []
        rows = self._database.execute("SELECT release, box, started_unix_s, is_confirmed FROM trial").fetchall()
        for digest, box, started_unix_s, is_confirmed in rows:
            release = ReleaseId(digest)
            if release not in confirm_within_s:
                doubtful.append((digest, box))
                continue
            had_time = started_unix_s + confirm_within_s[release] > silent_unix_s
            if not is_confirmed and had_time and unix_s - silent_unix_s > SHORT_S:
                doubtful.append((digest, box))
                continue
            samples.restore(release, box, now - max(0.0, unix_s - started_unix_s), bool(is_confirmed))
        self._waiting += [("DELETE FROM trial WHERE release = ? AND box = ?", name) for name in doubtful]
        return sum(ReleaseId(digest) in confirm_within_s for digest, _ in doubtful)

    def close(self) -> None:
        """Close it."""
        self._database.close()
