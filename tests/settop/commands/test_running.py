"""What `settop run` does about its receiving child."""

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from carousel.console.endpoint import Endpoint
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
