"""A head-end without processes, for what is asked of it."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.testclient import TestClient

from headend.casting import Clocks
from headend.serve.app import make_app
from headend.serve.doors import Doors
from headend.serve.headend import Headend
from headend.serve.keeping import CarouselView
from headend.serve.settings import Settings
from tests.conftest import KEY


class FakeKeeper:
    """Takes orders and starts nothing."""

    def __init__(self):
        self.views, self._orders = {}, {}

    @property
    def orders(self):
        return list(self._orders.values())

    def follow(self, order):
        self._orders[order.carousel.name] = order
        self.views.setdefault(order.carousel.name, CarouselView())

    async def drop(self, name):
        self._orders.pop(name)
        self.views.pop(name)

    async def close(self):
        pass


class FakeTime:
    def __init__(self, now_s):
        self.now_s, self.count = now_s, 0

    def now(self):
        return self.now_s

    def random(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


class Office:
    """A head-end, its application, and somebody who asks as `admin` unless told otherwise."""

    def __init__(self, folder, now_s=100.0, **settings):
        self.time, self.told, self.folder = FakeTime(now_s), [], folder
        fields = {"budgets_bps": {"lo": 100e6}, "hosts": ("head.example",), "largest_upload_bytes": 2_000_000}
        fields |= {"has_open_metrics": False, "tls": None, "most_requests": 64}
        clocks = Clocks(self.time.now, lambda: 1e9 + self.time.now_s, lambda _: None)
        tell = lambda event, **fields: self.told.append((event, fields))  # noqa: E731
        self.headend = Headend(folder, Settings(**fields | settings), clocks, self.time.random, tell)
        self.keeper = self.headend.keeper = FakeKeeper()
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "trust" / "lab.pub").write_bytes(pem)
        self.headend.start()
        self.doors = Doors(self.headend, self.time.now, self.time.random)
        app = make_app(self.doors, frozenset({"localhost", *self.headend.settings.hosts}), False)
        self.anyone = TestClient(app, base_url="http://127.0.0.1")
        self.admin = TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {self.token}"})

    @property
    def token(self):
        return (self.folder / "admin.token").read_text().strip()

    def as_role(self, role):
        token = self.admin.post("/api/tokens", json={"name": f"some-{role}", "role": role}).json()["token"]
        return TestClient(self.anyone.app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {token}"})

    def upload(self, release):
        answer = self.admin.post("/api/releases", content=bytes(release.buffer))
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def create(self, name="lab", **more):
        body = {"name": name, "group": "239.255.77.1:5077", "interface": "lo", "rate_bps": 8e6} | more
        return self.admin.post("/api/carousels", json=body)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path / "data")


@pytest.fixture
def make_office(tmp_path):
    return lambda **settings: Office(tmp_path / "data", **settings)
