"""The registry on disk: nothing acknowledged is lost, nothing in the log can be changed unseen."""

import resource
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import OperatorError
from headend.registry import decisions
from headend.registry.chain import START, line_of, next_hash, verify
from headend.registry.model import CarouselChange, Kind, StaleError, UnknownError
from headend.registry.store import RegistryDamagedError, RegistryFullError, RegistryStore
from tests.headend.registry.test_decisions import carousel


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


def opened(path, unix=lambda: 1e9):
    return RegistryStore(path, unix)


def create(store, name, number):
    wanted = carousel(name, group=f"239.255.77.{number}:5077")
    return store.commit("me", lambda state: decisions.create_carousel(state, wanted, {}))


def test_what_is_committed_is_there_again(path):
    store = opened(path)
    create(store, "one", 1)
    create(store, "two", 2)
    store.commit("you", lambda state: decisions.drop_carousel(state, "one"))
    before = store.state, store.head
    store.close()
    again = opened(path)
    assert (again.state, again.head) == before
    assert [each.name for each in again.state.carousels] == ["two"]
    assert [(number, fields["who"], fields["action"]) for number, fields, _ in again.entries()] == [
        (3, "you", "drop"),
        (2, "me", "create"),
        (1, "me", "create"),
    ]
    assert again.entries(before=3, limit=1)[0][0] == 2
    assert again.verify().problem == ""


def test_a_refusal_changes_nothing(path):
    store = opened(path)
    before = store.state, store.head
    with pytest.raises(UnknownError):
        store.commit("me", lambda state: decisions.drop_carousel(state, "none"))
    assert (store.state, store.head) == before


def test_who_decided_on_an_older_state_is_told(path):
    store = opened(path)
    record = create(store, "one", 1)
    change = lambda state: decisions.change_carousel(state, "one", {}, CarouselChange(rate_bps=1e6), 0.0)  # noqa: E731
    store.commit("me", change, lambda revision: revision == record.revision)
    with pytest.raises(StaleError, match="somebody else changed"):
        store.commit("you", change, lambda revision: revision == record.revision)
    assert store.head.number == 2


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("UPDATE audit SET line = replace(line, 'me', 'xy') WHERE number = 2", "entry 2 was changed"),
        ("DELETE FROM audit WHERE number = 2", "entry 2 is missing"),
        ("UPDATE thing SET body = replace(body, '8000000', '9000000') WHERE key = 'one'", "carousel one is not as"),
        ("DELETE FROM thing WHERE key = 'two'", "carousel two is not as"),
    ],
)
def test_a_forgery_is_seen(path, how, problem):
    store = opened(path)
    for number, name in enumerate(("one", "two", "three"), 1):
        create(store, name, number)
    store.close()
    forger = sqlite3.connect(path)
    forger.executescript(f"DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_cut; {how};")
    forger.close()
    assert problem in opened(path).verify().problem


def test_the_log_is_append_only(path):
    create(opened(path), "one", 1)
    forger = sqlite3.connect(path)
    for how in ("UPDATE audit SET line = ''", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            forger.execute(how)
    forger.close()


def test_a_newer_layout_is_not_touched(path):
    opened(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version=2")
    newer.close()
    with pytest.raises(OperatorError, match="newer version") as caught:
        opened(path)
    assert not isinstance(caught.value, RegistryDamagedError)


@pytest.mark.parametrize("content", [b"no registry at all, but some text", b"SQLite format 3\0" + bytes(4080)])
def test_what_is_no_registry_is_said(path, content):
    path.write_bytes(content)
    with pytest.raises(RegistryDamagedError, match="damaged"):
        opened(path)


def test_a_torn_page_is_seen(path):
    store = opened(path)
    for number in range(1, 30):
        create(store, f"c{number}", number)
    store.close()
    raw = bytearray(path.read_bytes())
    raw[4096:8192] = bytes([0xA5]) * 4096
    path.write_bytes(raw)
    with pytest.raises(RegistryDamagedError):
        opened(path)


def test_a_clock_that_jumps_back_breaks_no_chain(path):
    times = iter((2e9, 1e9, 3e9))
    store = opened(path, lambda: next(times))
    for number in (1, 2, 3):
        create(store, f"c{number}", number)
    assert [fields["unix_s"] for _, fields, _ in store.entries()] == [3e9, 1e9, 2e9]
    assert store.verify().problem == ""


FILL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from headend.registry.store import RegistryFullError, RegistryStore
from headend.registry import decisions
from tests.headend.registry.test_decisions import carousel
path = Path(sys.argv[1])
store = RegistryStore(path, lambda: 1e9)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
done = 0
try:
    for number in range(1, 2000):
        wanted = carousel("lab", group=f"239.255.77.{number % 200 + 1}:5077")
        store.commit("me", lambda state: decisions.create_carousel(state, wanted, {}))
        done += 1
        store.commit("me", lambda state: decisions.drop_carousel(state, "lab"))
        done += 1
except RegistryFullError:
    assert store.head.number == done, (store.head, done)
    print(done)
"""


def test_a_disk_that_takes_no_more_loses_nothing(path):
    """No byte beyond 200 kB can be written: what was acknowledged is there, and the chain is whole."""
    ran = subprocess.run([sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    again = opened(path)
    assert again.head.number == int(ran.stdout)
    assert again.verify().problem == ""


def test_it_recovers_when_there_is_room_again(path, monkeypatch):
    store = opened(path)

    class Full(sqlite3.OperationalError):
        sqlite_errorname = "SQLITE_FULL"

    class Refusing:
        in_transaction = False

        def execute(self, *_):
            raise Full("database or disk is full")

    real, store._database = store._database, Refusing()
    with pytest.raises(RegistryFullError, match="make room"):
        create(store, "one", 1)
    store._database = real
    create(store, "one", 1)
    assert store.head.number == 1


TEXT = st.text(max_size=20)


@given(lines=st.lists(st.tuples(TEXT, st.none() | st.dictionaries(TEXT, st.integers()))))
def test_a_chain_of_anything_verifies_and_no_prefix_of_a_change_does(lines):
    rows, link, things = [], START, {}
    for key, body in lines:
        line = line_of({"kind": "carousel", "key": key, "body": body})
        link = next_hash(link, line)
        rows.append((link.number, line, link.hash))
        things.pop(("carousel", key), None)
        if body is not None:
            things["carousel", key] = body
    assert verify(rows, things).problem == ""
    for index in range(len(rows)):
        number, line, stored = rows[index]
        changed = [*rows[:index], (number, line.replace("{", "{ ", 1), stored), *rows[index + 1 :]]
        assert f"entry {number}" in verify(changed, things).problem


def test_kinds_have_bodies():
    from headend.registry.model import BODIES

    assert set(BODIES) == set(Kind)
