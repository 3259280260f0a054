"""What `settop run` does about its receiving child."""

import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from settop.commands import running
from settop.options import Outcome, ReceiveOptions


class SlowToImport:
    """A session module whose import takes `import_s`, and a reception that takes all its time."""

    def __init__(self, import_s: float) -> None:
        self._import_s = import_s

    @property
    def receive_and_install(self):
        time.sleep(self._import_s)

        def receive(box, options, reporter, clock, more_time):
            time.sleep(options.timeout_s)
            return Outcome.VERIFIED, None

        return receive


class Receptions:
    """A session module whose receptions end as told, one after the other; each is a child of its own."""

    def __init__(self, endings, log: Path) -> None:
        self._endings, self._log = endings, log

    def receive_and_install(self, box, options, reporter, clock, more_time):
        turn = len(self._log.read_text().split())
        with self._log.open("a") as log:
            log.write(f"{turn}\n")
        ending = self._endings[turn]
        if isinstance(ending, BaseException):
            raise ending
        if ending is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return ending, None


def listen_on(tmp_path: Path, monkeypatch, endings):
    """Listen on till an image is installed; return how many receptions there were, the pauses, and what was said."""
    log, pauses, said = tmp_path / "log", [], []
    log.touch()
    monkeypatch.setitem(sys.modules, "settop.session", Receptions(endings, log))
    monkeypatch.setattr(running.time, "sleep", pauses.append)
    reporter = SimpleNamespace(tell=lambda event, **fields: said.append(fields["text"]), close=lambda: None)
    options = ReceiveOptions(Endpoint.parse("239.255.77.1:5077"), "lo", 1, timeout_s=5.0)
    locks = iter(range(100))

    def locked():
        if next(locks) == 0:
            raise OperatorError("another command holds the store")
        return nullcontext(os.open(log, os.O_RDONLY))

    running._listen_on(SimpleNamespace(locked=locked), options, reporter)
    return len(log.read_text().split()), pauses, said


def test_no_failure_ends_a_box_that_keeps_listening(tmp_path: Path, monkeypatch):
    endings = [OSError("the network is gone"), ValueError("a bug"), None, Outcome.NOTHING, Outcome.VERIFIED]
    receptions, pauses, said = listen_on(tmp_path, monkeypatch, endings)
    assert receptions == len(endings)
    assert said == [
        "receiving failed: another command holds the store",
        "receiving failed: it crashed",
        "receiving failed: it died of SIGKILL",
    ], "the first of the children says its own, in its own process"
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def test_who_listens_for_days_pauses_a_minute_at_most(tmp_path: Path, monkeypatch):
    receptions, pauses, _ = listen_on(tmp_path, monkeypatch, [*[Outcome.NOTHING] * 9, Outcome.UP_TO_DATE])
    assert receptions == 10
    assert max(pauses) == pauses[-1] == 60.0


@pytest.mark.slow
def test_a_slow_start_of_the_child_is_not_taken_off_its_deadline(tmp_path: Path, monkeypatch):
    """On small boards imports alone take seconds: whoever waits must not give up before the box has had its time."""
    monkeypatch.setitem(sys.modules, "settop.session", SlowToImport(2.0))
    said = []
    reporter = SimpleNamespace(tell=lambda event, **fields: said.append((event, fields)), close=lambda: None)
    options = ReceiveOptions(Endpoint.parse("239.255.77.1:5077"), "lo", 1, timeout_s=2.0)
    with (tmp_path / "lock").open("w") as lock:
        box = SimpleNamespace(locked=lambda: nullcontext(lock.fileno()))
        assert running._receive_beside(box, options, reporter) is Outcome.VERIFIED, said
