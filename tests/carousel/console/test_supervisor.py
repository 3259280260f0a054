import socket

import pytest

from carousel.console.supervisor import beat_interval_s, notify


@pytest.mark.parametrize("kind", ["a path", "an abstract name"])
def test_what_is_told_arrives_where_it_was_asked_for(kind, tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path if kind == "a path" else "\0" + path)
        ear.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", path if kind == "a path" else "@" + path)
        notify("READY=1")
        assert ear.recv(100) == b"READY=1"


def test_nobody_asked_or_nobody_hears_and_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.parametrize(("said", "interval_s"), [("30000000", 10.0), ("", None), ("soon", None), ("0", None)])
def test_the_watchdog_hears_three_times_in_its_patience(said, interval_s, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", said)
    assert beat_interval_s() == interval_s
