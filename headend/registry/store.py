"""The registry on disk: SQLite, where a change and its line in the audit log are one transaction, or neither."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import msgspec

from carousel.errors import OperatorError
from headend.registry.chain import START, Link, Verdict, line_of, next_hash, verify
from headend.registry.model import BODIES, Kind, Record, StaleError, State, Update

__all__ = ["LAYOUT", "RegistryDamagedError", "RegistryFullError", "RegistryStore"]

LAYOUT = 1
"""The layout of the tables. A newer one is refused, an older one is brought here."""
SCHEMA = """
CREATE TABLE thing (kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL,
                    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE audit (number INTEGER PRIMARY KEY, line TEXT NOT NULL, hash BLOB NOT NULL);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER audit_is_never_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""
BUSY_S = 5.0


class RegistryDamagedError(OperatorError):
    """The file is no registry, or not whole."""


class RegistryFullError(OperatorError):
    """The disk takes no more; nothing was changed."""


class RegistryStore:
    """The registry of a data folder. `state` is what is decided; `commit` makes the next, durable when it returns."""

    def __init__(self, path: Path, unix: Callable[[], float]) -> None:
        """Open or make it; `RegistryDamagedError`, or `OperatorError` where a newer program wrote it."""
        self._path, self._unix, self._lock = path, unix, RLock()
        try:
            self._database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._prepare()
            self.state, self.head = self._load()
        except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError) as error:
            raise RegistryDamagedError(
                f"{path} is damaged ({error}): put a backup of it there; until then nothing can be changed"
            ) from None

    def _prepare(self) -> None:
        layout = self._database.execute("PRAGMA user_version").fetchone()[0]
        if layout > LAYOUT:
            raise OperatorError(
                f"{self._path} was written by a newer version (layout {layout}, this one knows {LAYOUT}): install that"
            )
        if self._database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its pages don't fit together")
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        if layout == 0:
            self._database.executescript(f"BEGIN IMMEDIATE;{SCHEMA}PRAGMA user_version={LAYOUT};COMMIT;")

    def _load(self) -> tuple[State, Link]:
        things = {}
        for kind_text, key, revision, body in self._database.execute("SELECT kind, key, revision, body FROM thing"):
            kind = Kind(kind_text)
            things[kind, key] = Record(msgspec.json.decode(body, type=BODIES[kind]), revision)
        last = self._database.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        return State(things), Link(*last) if last else START

    def commit(
        self,
        who: str,
        decide: Callable[[State], Update],
        is_current: Callable[[int], bool] | None = None,
    ) -> Record | None:
        """Decide on the state as it is now and write it down: durable on return. Return the thing, None if it is gone.

        `is_current` judges the revision of the thing as it was (0: there was none); `StaleError` if it says no.
        """
        with self._lock:
            update = decide(self.state)
            name = update.kind, update.key
            before = self.state.things.get(name)
            if is_current is not None and not is_current(before.revision if before else 0):
                raise StaleError(
                    f"somebody else changed {update.kind.value} {update.key!r} meanwhile: look at it again"
                )
            body = None if update.body is None else msgspec.to_builtins(update.body)
            line = line_of(
                {
                    "unix_s": round(self._unix(), 3),
                    "who": who,
                    "action": update.action,
                    "kind": update.kind.value,
                    "key": update.key,
                    "detail": update.detail,
                    "body": body,
                }
            )
            head = next_hash(self.head, line)
            self._write(update, body, line, head)
            things = dict(self.state.things)
            things.pop(name, None)
            record = None if update.body is None else Record(update.body, head.number)
            if record is not None:
                things[name] = record
            self.state, self.head = State(things), head
            return record

    def _write(self, update: Update, body: Any, line: str, head: Link) -> None:
        with self._transaction() as database:
            name = update.kind.value, update.key
            if body is None:
                database.execute("DELETE FROM thing WHERE kind = ? AND key = ?", name)
            else:
                row = (*name, head.number, json.dumps(body))
                database.execute("INSERT OR REPLACE INTO thing VALUES (?, ?, ?, ?)", row)
            database.execute("INSERT INTO audit VALUES (?, ?, ?)", (head.number, line, head.hash))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                raise RegistryFullError(
                    "the disk takes no more: nothing was changed; make room and try again"
                ) from None
            raise RegistryDamagedError(f"{self._path}: {error}; nothing was changed") from None

    def entries(self, before: int | None = None, limit: int = 100) -> list[tuple[int, dict[str, Any], str]]:
        """Return audit entries as (number, fields, hash), the newest first; those before a number, if one is given."""
        query = "SELECT number, line, hash FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?"
        with self._lock:
            rows = self._database.execute(query, (before or 1 << 62, limit)).fetchall()
        return [(number, json.loads(line), stored.hex()) for number, line, stored in rows]

    def verify(self) -> Verdict:
        """Check the whole chain against what the registry holds."""
        with self._lock:
            rows = self._database.execute("SELECT number, line, hash FROM audit ORDER BY number")
            things = self._database.execute("SELECT kind, key, body FROM thing").fetchall()
            return verify(rows, {(kind, key): json.loads(body) for kind, key, body in things})

    def close(self) -> None:
        """Close it."""
        self._database.close()
