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
import msgspec
import pytest

from headend.registry.model import CarouselRecord
from headend.registry.store import RegistryStore
from tests.e2e.service import Service, is_alive, until

KILLS = int(os.environ.get("BOOTCAST_KILLS", "6"))
SEED = int(os.environ.get("BOOTCAST_SEED", "17"))
ANY = {"If-Match": "*"}
PATIENCE_S = 10.0


class Rate:
    """What the first operator changes: how fast the carousel is."""

    first, path, verb = 1e6, "/api/carousels/lab", "PATCH"

    @staticmethod
    def following(value: float) -> float:
        return 1e6 + (value - 1e6 + 1000) % 1e6

    @staticmethod
    def wish(value: float) -> dict:
        return {"rate_bps": value}

    @staticmethod
    def found(carousel: CarouselRecord) -> float:
        return carousel.rate_bps


class Weight:
    """What the second one changes: how much its release is wanted."""

    first, verb = 1.0, "PUT"

    def __init__(self, release: str) -> None:
        self.path = f"/api/carousels/lab/releases/{release}"

    @staticmethod
    def following(value: float) -> float:
        return 1.0 + (value - 1.0 + 0.125) % 512

    @staticmethod
    def wish(value: float) -> dict:
        return {"weight": value}

    @staticmethod
    def found(carousel: CarouselRecord) -> float:
        return carousel.airings[0].weight


class Operator(threading.Thread):
    """Decides as fast as answers come, and remembers what was acknowledged; what was only asked for may be either."""

    def __init__(self, service: Service, what: Rate | Weight, value: float) -> None:
        super().__init__(daemon=True)
        self.what = what
        self.acknowledged, self.asked = value, value
        self.count = 0
        self.problems: list[str] = []
        self._service, self._ends = service, threading.Event()
        self._url, self._headers = service.url, {"Authorization": f"Bearer {service.token}"} | ANY

    def run(self) -> None:
        """Change what is this one's, for ever."""
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=30, trust_env=False) as client:
            while not self._ends.is_set():
                self.asked = self.what.following(self.asked)
                try:
                    answer = client.request(self.what.verb, self.what.path, json=self.what.wish(self.asked))
                except httpx.HTTPError:
                    return
                if answer.status_code != 200:
                    self.problems.append(answer.text)
                    return
                self.acknowledged = self.asked
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
            found = operator.what.found(store.state.carousel("lab"))
            assert found in (operator.acknowledged, operator.asked), operator.what.path
        return verdict.entries
    finally:
        store.close()


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.long
def test_nothing_acknowledged_is_lost(tmp_path):
    print(f"seed {SEED}, {KILLS} kills")
    draw = random.Random(SEED)
    service = Service(tmp_path).start()
    release = service.upload(service.pack("img", 60_000))
    service.create("lab", Rate.first)
    service.put("lab", release)
    both: tuple[Rate | Weight, ...] = (Rate(), Weight(release))
    entries, decided, values = 0, 0, [each.first for each in both]
    for kill in range(KILLS):
        operators = [Operator(service, what, value) for what, value in zip(both, values, strict=True)]
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
        lab = msgspec.convert(service.carousel("lab")["decided"], type=CarouselRecord)
        values = [each.found(lab) for each in both]
    assert service.on_air("lab")["places"][0]["id"] == release
    assert service.client.get("/api/audit/verify").json()["is_sound"]
    assert service.stop() == 0
    print(f"{decided} acknowledged changes, {entries} entries in the log")
    assert decided > 0
