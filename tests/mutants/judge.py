"""One process that has run the room's tests once, and forks for each mutant: what a mutant costs is its tests alone.

    python -m tests.mutants.judge ROOM TODO VERDICTS BUDGET_S MARKERS

It stands in the folder with the mutants. Each is tried by the tests that come through its function, the quickest first,
until one fails. TODO has a mutant a line, VERDICTS gets one JSON object a line.
"""

import functools
import gc
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
from mutmut.mutation import trampoline
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

MEMORY_BYTES = 8 << 30
KILLED, SURVIVED = 1, 0


class Judge:
    """A pytest plugin in the place of pytest's loop over the tests."""

    def __init__(self, room: str, mutants: list[str], verdicts: Path, budget_s: float) -> None:
        self._package = room.replace("/", ".")
        self._mutants = mutants
        self._verdicts = verdicts
        self._budget_s = budget_s
        self._tests: dict[str, list[int]] = defaultdict(list)
        self._duration_s: list[float] = []
        self._failed = ""
        self._noticed: dict[str, dict[int, None]] = defaultdict(dict)
        """By function the tests that noticed a mutant of it, the latest last: they may notice the next one, too."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed = report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = session.items
        self._folder = session.config._tmp_path_factory.getbasetemp()
        trampoline.set_mutant_under_test("stats")
        if self._is_cold():
            self._learn_in_a_child()
        else:
            self._learn()
        self._forget_results()
        verdict, number = self._judge("", list(range(len(self._items))))
        if number is not None:
            raise pytest.UsageError(f"without a mutant, {self._items[number].nodeid} ends in: {verdict}")
        with self._verdicts.open("a", buffering=1) as out:
            for mutant in self._mutants:
                out.write(json.dumps(self._verdict_on(mutant)) + "\n")
        return True

    def _verdict_on(self, mutant: str) -> dict[str, object]:
        start = time.perf_counter()
        function = mangled_name_from_mutant_name(mutant)
        noticed = self._noticed[function]
        tests = [*reversed(noticed), *(test for test in self._tests[function] if test not in noticed)]
        verdict, number = self._judge(mutant, tests) if tests else ("no test", None)
        if number is not None:
            noticed.pop(number, None)
            noticed[number] = None
        test = "" if number is None else self._items[number].nodeid
        return {"mutant": mutant, "verdict": verdict, "test": test, "s": round(time.perf_counter() - start, 3)}

    def _is_cold(self) -> bool:
        """Whether what the tests keep for each other (packed releases) comes of the very code that is mutated."""
        return not self._package.startswith("settop")

    def _learn(self) -> None:
        """Run each test once: how long it takes, and which functions it comes through."""
        for number, (item, following) in enumerate(zip(self._items, [*self._items[1:], self._items[0]], strict=True)):
            state()._stats.clear()
            start = time.perf_counter()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._duration_s.append(time.perf_counter() - start)
            for function in state()._stats:
                self._tests[function].append(number)
        if self._failed:
            raise pytest.UsageError(f"{self._failed} fails without a mutant")
        for tests in self._tests.values():
            tests.sort(key=self._duration_s.__getitem__)

    def _learn_in_a_child(self) -> None:
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            self._learn()
            with os.fdopen(write, "w") as pipe:
                json.dump([self._tests, self._duration_s], pipe)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            tests, self._duration_s = json.load(pipe)
        self._tests = defaultdict(list, tests)
        os.waitpid(child, 0)

    def _forget_results(self) -> None:
        """Results that the room's functions keep would hide what a mutant returns."""
        for each in gc.get_objects():
            if isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).startswith(self._package):
                each.cache_clear()

    def _judge(self, mutant: str, tests: list[int]) -> tuple[str, int | None]:
        """Let these tests look at a mutant; return what came of it, and the test that noticed."""
        kept = set(self._folder.iterdir())
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.close(read)
                os._exit(self._try(mutant, tests, write))
            finally:
                os._exit(KILLED)
        os.close(write)
        _, status = os.waitpid(child, 0)
        with os.fdopen(read, "rb") as pipe:
            ran = pipe.read().split()
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what a test started and its mutant left behind
        for path in set(self._folder.iterdir()) - kept:
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path, ignore_errors=True)
        test = int(ran[-1]) if ran else None
        code = os.waitstatus_to_exitcode(status)
        if code in (-signal.SIGALRM, -signal.SIGPROF):
            return "timeout", test
        return ("survived", None) if code == SURVIVED else ("killed", test)

    def _try(self, mutant: str, tests: list[int], progress: int) -> int:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        trampoline.set_mutant_under_test(mutant)
        trampoline.get_mutant_under_test = lambda: mutant
        spent_s = 0.0
        for test, following in zip(tests, [*tests[1:], None], strict=True):
            expected_s = self._duration_s[test]
            spent_s += expected_s
            if spent_s > self._budget_s:
                break
            os.write(progress, b"%d " % test)
            signal.setitimer(signal.ITIMER_PROF, 2 + 10 * expected_s)
            signal.setitimer(signal.ITIMER_REAL, 30 + 30 * expected_s)
            item = self._items[test]
            item.config.hook.pytest_runtest_protocol(
                item=item, nextitem=None if following is None else self._items[following]
            )
            if self._failed:
                return KILLED
        return SURVIVED


def main() -> None:
    room, todo, verdicts, budget_s, markers = sys.argv[1:]
    plugin = Judge(room, Path(todo).read_text().split(), Path(verdicts), float(budget_s))
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir=.", "--tb=short"]
    options += ["--hypothesis-seed=0", "--hypothesis-profile=mutants", "-m", markers]
    sys.exit(int(pytest.main([*options, f"tests/{room}"], plugins=[plugin])))


if __name__ == "__main__":
    main()
