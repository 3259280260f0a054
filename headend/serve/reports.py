"""Where boxes' reports come in: counted as they come, kept on disk, and known again after a restart."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from carousel.console.command import in_a_sentence
from carousel.errors import BootcastError, FormatError, UsageError
from carousel.report import Report
from headend.casting import Clocks
from headend.link.mailbox import Mailbox, parse_address
from headend.pack.keys import read_secret, write_secret
from headend.registry.samplebook import SampleBook
from headend.rollout.decisions import Decisions
from headend.rollout.samples import Samples

__all__ = ["ReportDesk"]

AT_ONCE = 256
"""So many reports are taken before whoever else asks has a turn: a flood of them must not keep people waiting."""


class ReportDesk:
    """The mailbox, what it counts, and when we were last there to hear."""

    def __init__(self, folder: Path, address: str, clocks: Clocks, tell: Callable[..., None]) -> None:
        """Count as of the book in `folder`; nobody listens at an empty address."""
        self.address = parse_address(address) if address else None
        self._clocks, self._tell = clocks, tell
        self._alive = folder / "alive"
        self._mailbox: Mailbox | None = None
        self._trouble = ""
        self.silent_unix_s = self._last_alive_unix_s()
        """Until when a service was here before this one."""
        self._book = SampleBook(folder / "samples.sqlite", clocks.unix)
        secret = folder / "reports.secret"
        if self.address and not secret.exists():
            write_secret(secret.with_suffix(""))
        self.samples = Samples(read_secret(secret) if self.address else b"", self._book)
        self.malformed = 0
        if self._book.was_damaged:
            tell("trouble", reason="samples.sqlite was damaged: reports are counted anew")

    def _last_alive_unix_s(self) -> float:
        unix_s = self._clocks.unix()
        try:
            return min(unix_s, self._alive.stat().st_mtime)
        except OSError:
            return unix_s

    def restore(self, decided: Decisions) -> None:
        """Know again what counted before, of releases that rules are about."""
        ruled = {release: each.rule.confirm_within_s for release, each in decided.releases.items() if each.rule}
        doubtful = self._book.restore(self.samples, ruled, self._clocks.now(), self.silent_unix_s)
        if doubtful:
            text = f"{doubtful} trials could not be followed while no service was here, and count for nothing"
            self._tell("note", text=text)

    def tend(self) -> None:
        """Listen, if that could not be done yet; keep what came; note that we are here."""
        try:
            if self.address and self._mailbox is None:
                self._mailbox = Mailbox(*self.address)
                asyncio.get_running_loop().add_reader(self._mailbox.fileno(), self.take_in)
            self._book.flush()
        except (BootcastError, OSError) as error:
            self._hinder(in_a_sentence(error))
        else:
            self._trouble = ""
        with suppress(OSError):  # a full disk
            unix_s = self._clocks.unix()
            os.close(os.open(self._alive, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            os.utime(self._alive, (unix_s, unix_s))

    def _hinder(self, reason: str) -> None:
        if reason != self._trouble:
            self._trouble = reason
            self._tell("trouble", reason=reason)

    def take_in(self) -> None:
        """Count what waits."""
        assert self._mailbox is not None
        for raw in self._mailbox.letters(AT_ONCE):
            try:
                self.samples.take(Report.parse(raw), self._clocks.now())
            except FormatError:
                self.malformed += 1
        with suppress(OSError):  # `tend` tries again, and says so
            self._book.flush()

    def check_listening(self) -> None:
        """`UsageError` unless reports can come in."""
        if self.address is None:
            raise UsageError(
                "this service takes no reports, so no stage could be judged by them: set `reports` in its "
                "configuration, or let stages go by time alone (--success time)"
            )

    def close(self) -> None:
        """Take nothing more."""
        if self._mailbox is not None:
            asyncio.get_running_loop().remove_reader(self._mailbox.fileno())
            self._mailbox.close()
        with suppress(OSError):
            self._book.flush()
        self._book.close()
