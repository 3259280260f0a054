"""Decisions in a file, which a carousel rereads and others replace: whole or not at all.

rollout.json             the decisions (headend/rollout/decisions.py)
rollout.json.CHAIN       a gate's hash chain: the value of tick 0 first; only its owner may read it
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from carousel.console.files import read_small_file
from carousel.errors import OperatorError
from carousel.gate import MOST_TICKS, VALUE_BYTES, chain_id_of, hashed
from headend.rollout.decisions import Decisions, GatePlan, format_decisions, parse_decisions

__all__ = ["RolloutFile"]

MAX_FILE_BYTES = 1 << 20

Stamp = tuple[int, int, int]


class RolloutFile:
    """Reads decisions, notices when they were replaced, and replaces them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: Stamp | None = None
        self._values: dict[bytes, bytes] = {}
        """The chain of the gate as it was loaded, by its id."""

    def has_changed(self) -> bool:
        """Say whether the file was replaced since `load`; one that is missing at the moment counts as unchanged."""
        try:
            return self._stamp_now() != self._stamp
        except OSError:
            return False

    def _stamp_now(self) -> Stamp:
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def load(self) -> Decisions:
        """Read it; `OperatorError` or `OSError` where that can't be."""
        self._stamp = self._stamp_now()
        try:
            decisions = parse_decisions(read_small_file(self.path, MAX_FILE_BYTES))
        except OperatorError as error:
            raise OperatorError(f"{self.path}: {error}") from None
        if decisions.gate.ticks and decisions.gate.chain not in self._values:
            self._values = {decisions.gate.chain: self._read_chain(decisions.gate)}
        return decisions

    def _read_chain(self, gate: GatePlan) -> bytes:
        path = self._chain_path(gate.chain)
        values = read_small_file(path, (MOST_TICKS + 1) * VALUE_BYTES)
        if len(values) != (gate.ticks + 1) * VALUE_BYTES or chain_id_of(values[:VALUE_BYTES]) != gate.chain:
            raise OperatorError(f"{path} is not the chain that {self.path.name} names; begin another one")
        return values

    def value_of(self, gate: GatePlan, tick: int) -> bytes:
        """Return the value of a tick of the gate's chain, of those that were loaded."""
        return self._values[gate.chain][tick * VALUE_BYTES : (tick + 1) * VALUE_BYTES]

    def _chain_path(self, chain: bytes) -> Path:
        return self.path.with_name(f"{self.path.name}.{chain.hex()}")

    # --- changes ----------------------------------------------------------------------------------------

    def change(self, decide: Callable[[Decisions], Decisions]) -> Decisions:
        """Replace the decisions by what follows from them; others who would do so at the same time wait."""
        with self._locked():
            before = self.load() if self.path.exists() else Decisions()
            after = decide(before)
            if after is not before:
                _replace(self.path, format_decisions(after).encode())
            if after.gate.chain != before.gate.chain and before.gate.ticks:
                self._chain_path(before.gate.chain).unlink(missing_ok=True)
        return after

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flock(descriptor, LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def new_chain(self, secret: bytes, ticks: int) -> bytes:
        """Write the chain that ends in a secret; return its id."""
        values = [secret]
        for _ in range(ticks):
            values.append(hashed(values[-1], 1))
        values.reverse()
        chain = chain_id_of(values[0])
        _replace(self._chain_path(chain), b"".join(values))
        return chain


def _replace(path: Path, content: bytes) -> None:
    """Bring content to the medium under a name that has it whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
