"""kill -9 of the service, or of a carousel, at random moments under load: what was acknowledged is there.

`make soak-serve` does it 200 times; the suite does a few. The seed is printed first, and BOOTCAST_SEED sets it.
"""

import os
import random
import signal
import threading
import time
from contextlib import suppress

import httpx2 as httpx
import pytest

from headend.registry.store import RegistryStore
from tests.e2e.service import Service, is_alive, until

KILLS = int(os.environ.get("BOOTCAST_KILLS", "6"))
SEED = int(os.environ.get("BOOTCAST_SEED", "17"))
ANY = {"If-Match": "*"}
PATIENCE_S = 10.0


class Operator(threading.Thread):
    """Decides as fast as answers come, and remembers what was acknowledged; what was only asked for may be either."""

    def __init__(self, service: Service, name: str, number: int, rate_bps: float) -> None:
        super().__init__(daemon=True)
        self.name_, self.number = name, number
        self.acknowledged_bps, self.asked_bps = rate_bps, rate_bps
        self.count = 0
        self.problems: list[str] = []
        self._service, self._ends = service, threading.Event()
        self._url, self._headers = service.url, {"Authorization": f"Bearer {service.token}"} | ANY

    def run(self) -> None:
        """Change one carousel's rate for ever."""
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=30, trust_env=False) as client:
            while not self._ends.is_set():
                self.asked_bps = 1e6 + (self.asked_bps - 1e6 + 1000) % 1e6
                try:
                    answer = client.patch(f"/api/carousels/{self.name_}", json={"rate_bps": self.asked_bps})
                except httpx.HTTPError:
                    return
                if answer.status_code != 200:
                    self.problems.append(answer.text)
                    return
                self.acknowledged_bps = self.asked_bps
                self.count += 1

    def end(self) -> None:
        """Stop deciding."""
        self._ends.set()
        self.join(timeout=60)


def load(operators: list[Operator], changes: int) -> None:
    """Wait for so many changes, or until the machine has no more time for them."""
    ends_s = time.monotonic() + PATIENCE_S
    while sum(each.count for each in operators) < changes and time.monotonic() < ends_s:
        time.sleep(0.001)


def verified(service: Service, operators: list[Operator]) -> int:
    """Check the registry of a service that is dead: the chain, and every acknowledged change. Return its entries."""
    store = RegistryStore(service.data / "registry.sqlite", time.time)
    try:
        verdict = store.verify()
        assert verdict.problem == ""
        for operator in operators:
            found = store.state.carousel(operator.name_).rate_bps
            assert found in (operator.acknowledged_bps, operator.asked_bps), operator.name_
        return verdict.entries
    finally:
        store.close()


@pytest.mark.processes
@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path):
    print(f"seed {SEED}, {KILLS} kills")
    draw = random.Random(SEED)
    service = Service(tmp_path).start()
    release = service.upload(service.pack("img", 60_000))
    names = ["one", "two"]
    for name in names:
        service.create(name, 1e6)
        service.put(name, release)
    entries, decided, rates = 0, 0, dict.fromkeys(names, 1e6)
    for kill in range(KILLS):
        operators = [Operator(service, name, number, rates[name]) for number, name in enumerate(names)]
        for operator in operators:
            operator.start()
        load(operators, draw.randint(0, 30))
        time.sleep(draw.uniform(0.0, 0.05))
        pids = service.pids()
        if pids and draw.random() < 0.3:
            with suppress(ProcessLookupError):
                os.kill(draw.choice(pids), signal.SIGKILL)
            time.sleep(draw.uniform(0.0, 0.2))
        service.kill()
        for operator in operators:
            operator.end()
            assert operator.problems == []
            decided += operator.count
        until(lambda pids=pids: not any(is_alive(pid) for pid in pids), "the end of all processes")
        found = verified(service, operators)
        assert found >= entries + sum(operator.count for operator in operators)
        entries = found
        if kill % 20 == 19:
            print(f"{kill + 1} kills, {decided} acknowledged changes", flush=True)
        service.start()
        rates = {name: service.carousel(name)["decided"]["rate_bps"] for name in names}
    for name in names:
        assert service.on_air(name)["places"][0]["id"] == release
    assert service.client.get("/api/audit/verify").json()["is_sound"]
    assert service.stop() == 0
    print(f"{decided} acknowledged changes, {entries} entries in the log")
    assert decided > 0
