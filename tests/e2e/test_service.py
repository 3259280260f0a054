"""The service as processes: it survives what kills it, and what it acknowledged is there."""

import os
import re
import signal
import socket
from contextlib import ExitStack, suppress

import numpy as np
import pytest

from carousel.flute.alc import parse_packet, split_payload_id
from carousel.flute.interleave import transmit_places
from headend.cast.pacing import MAX_LAG_S
from headend.cast.wheel import CHUNK_PACKETS
from tests.e2e.lab import HARDWARE, load, prepare, run
from tests.e2e.service import Service, hear, is_alive, listening, until

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path, '[interfaces]\nlo = "100M"\n').start()
    yield made
    if made.process is not None:
        made.stop()


def test_a_box_boots_from_what_was_uploaded(service, tmp_path):
    release = service.upload(service.pack("img"))
    decided = service.create("lab", 40e6)["decided"]
    service.put("lab", release)
    service.on_air("lab")
    factory = service.pack("factory", 2000, "0.1.0")
    init = ["--hardware", HARDWARE, "--trust", tmp_path / "lab.pub", "--eeprom", factory]
    prepare("settop", "init", "--store", tmp_path / "box", *init)
    where = ["--store", tmp_path / "box", "--group", decided["group"], "--interface", "lo", "--timeout", 30]
    done = run("settop", "receive", *where)
    assert done.returncode == 0, done.stderr
    assert service.stop() == 0
    assert hear(decided["group"], 0.5) is None


def image_places(group, release, enough):
    """Hear a group until `enough`; return the places in transmit order of its image packets, process by process."""
    geometry, heard = release.layout.objects[0], {}
    with listening(group) as ear:
        while not enough(heard):
            raw, source = ear.recvfrom(65536)
            packet = parse_packet(raw)
            if packet.toi == release.toi_base:
                sbn, esi = split_payload_id(packet.payload_id, geometry.fec)
                place = int(transmit_places(geometry, np.array([sbn]), np.array([esi]))[0])
                heard.setdefault(source, []).append(place)
    return list(heard.values())


def test_a_killed_carousel_goes_on_at_its_place(service):
    """By the order of packets, not by time: what is sent again is what fits between two notes of the place."""
    path = service.pack("img", 4_000_000)
    release, rate_bps = load(path), 8e6
    group = service.create("lab", rate_bps)["decided"]["group"]
    service.put("lab", service.upload(path))
    before = service.on_air("lab")
    killed = []

    def enough(heard):
        if heard and not killed and max(next(iter(heard.values()))) > 1000:
            killed.append(os.kill(before["pid"], signal.SIGKILL))
        return len(heard) == 2 and len(list(heard.values())[1]) >= 200

    first, second = image_places(group, release, enough)
    noted_s, window = 0.05 + MAX_LAG_S, 3 * CHUNK_PACKETS
    again = noted_s * rate_bps / 8 / release.packet_size + window
    assert max(first) - again - window <= min(second) <= max(first) + window
    after = service.on_air("lab")
    assert (after["starts"], after["pid"] != before["pid"]) == (before["starts"] + 1, True)
    assert any(each["event"] == "carousel_died" and each["code"] == -9 for each in service.told())


def test_a_killed_service_leaves_no_sender_and_comes_back_with_what_was_there(service):
    release = service.upload(service.pack("img"))
    group = service.create("lab")["decided"]["group"]
    service.create("idle")
    service.put("lab", release, weight=2.5)
    service.on_air("lab")
    revision = service.carousel("lab")["revision"]
    pids = service.pids()
    assert len(pids) >= 2
    service.kill()
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of all processes")
    assert hear(group, 0.5) is None
    service.start()
    assert service.on_air("lab")["places"][0]["id"] == release
    shown = service.carousel("lab")
    assert (shown["revision"], shown["decided"]["airings"][0]["weight"]) == (revision, 2.5)
    assert service.client.get("/api/audit/verify").json()["is_sound"]
    assert service.carousel("idle")["on_air"]["places"] == []


def test_two_services_do_not_share_a_folder(service):
    second = run("headend", "serve", "--data", service.data, "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert "in use by another" in second.stderr


def test_releases_come_go_and_share_while_it_turns(service):
    first, second = (service.upload(service.pack(name, size)) for name, size in (("a", 400_000), ("b", 1_600_000)))
    service.create("lab")
    service.put("lab", first)
    pid = service.on_air("lab")["pid"]
    service.put("lab", second)
    places = until(
        lambda: (found := service.carousel("lab")["on_air"]["places"]) and len(found) == 2 and found, "both on the air"
    )
    assert sum(each["share"] for each in places) == pytest.approx(1, abs=0.01)
    assert places[1]["share"] == pytest.approx(2 / 3, abs=0.02)
    path = f"/api/carousels/lab/releases/{first}"
    assert service.client.delete(path, headers={"If-Match": "*"}).status_code == 200
    until(lambda: [each["id"] for each in service.carousel("lab")["on_air"]["places"]] == [second], "one of them")
    assert service.carousel("lab")["on_air"]["pid"] == pid


def test_another_rate_a_pause_and_going_on(service):
    release = service.upload(service.pack("img"))
    group = service.create("lab", 2e6)["decided"]["group"]
    service.put("lab", release)
    service.on_air("lab")
    change = lambda **what: service.client.patch("/api/carousels/lab", json=what, headers={"If-Match": "*"})  # noqa: E731
    assert change(rate_bps=6e6).status_code == 200
    until(lambda: 4e6 < service.carousel("lab")["on_air"]["rate_bps"] < 7e6, "the new rate")
    assert change(is_paused=True).status_code == 200
    until(lambda: hear(group, 0.5) is None, "silence")
    assert change(is_paused=False).status_code == 200
    until(lambda: hear(group) is not None, "packets")


def test_a_lost_interface_is_told_and_keeps_nothing_else_from_sending(service):
    release = service.upload(service.pack("img"))
    service.create("good")
    service.create("lost", interface="nosuch0")
    service.put("good", release)
    service.put("lost", release)
    service.on_air("good")
    until(lambda: "no interface" in service.carousel("lost")["on_air"]["trouble"], "a sentence")


def test_a_damaged_registry_keeps_nothing_off_the_air(service):
    release = service.upload(service.pack("img"))
    group = service.create("lab")["decided"]["group"]
    service.put("lab", release)
    service.on_air("lab")
    service.stop()
    for left in service.data.glob("registry.sqlite*"):
        left.write_bytes(b"a disk full of this" * 1000)
    service.start()
    until(lambda: hear(group) is not None, "packets")
    status = service.client.get("/api/status").json()
    assert "put a backup of it there" in status["damage"]
    assert [each["decided"]["name"] for each in status["carousels"]] == ["lab"]
    assert service.client.post("/api/tokens", json={"name": "eve", "role": "view"}).status_code == 403
    body = {"name": "two", "group": "239.255.77.2:5077", "interface": "lo", "rate_bps": 1e6}
    assert service.client.post("/api/carousels", json=body).status_code == 403
    assert any("put a backup of it there" in each.get("reason", "") for each in service.told())


def test_a_folder_of_a_newer_version_is_refused(service):
    import sqlite3

    service.stop()
    database = sqlite3.connect(service.data / "registry.sqlite")
    database.execute("PRAGMA user_version=99")
    database.close()
    done = run("headend", "serve", "--data", service.data, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "newer version" in done.stderr


def test_ctl_is_the_same_api_from_a_shell(service, tmp_path):
    def ctl(*arguments, **more):
        where = ["--url", service.url, "--token-file", service.data / "admin.token"]
        return run("headend", "ctl", *where, *arguments, **more)

    release = service.pack("img")
    assert "img 1.4.0" in ctl("upload", release).stdout
    created = ctl("create", "lab", "--group", "239.255.77.8:5999", "--interface", "lo", "--rate", "2M")
    assert created.returncode == 0, created.stderr
    assert ctl("put", "lab", "img:1.4.0", "--weight", "2", "--deadline", "60s").returncode == 0
    service.on_air("lab")
    assert "on the air" in ctl("status").stdout
    assert ctl("rate", "lab", "3M").returncode == 0
    refused = ctl("rate", "lab", "300M")
    assert (refused.returncode, "lo bears 100.0 Mb/s" in refused.stderr) == (1, True)
    assert ctl("pause", "lab").returncode == 0
    assert ctl("resume", "lab").returncode == 0
    token = ctl("tokens", "add", "eve").stdout.strip()
    (tmp_path / "eve.token").write_text(token)
    eve = run("headend", "ctl", "--url", service.url, "--token-file", tmp_path / "eve.token", "pause", "lab")
    assert "needs the role operate" in eve.stderr
    assert ctl("take", "lab", "img").returncode == 0
    assert ctl("delete", "img").returncode == 0
    assert ctl("drop", "lab").returncode == 0
    assert "no release 'img'" in ctl("put", "lab", "img").stderr
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}  admin +drop ", ctl("audit", "show").stdout)
    verified = ctl("audit", "verify")
    assert (verified.returncode, "11 entries" in verified.stdout) == (0, True), verified.stdout


def test_ctl_without_a_service_says_so(tmp_path):
    (tmp_path / "token").write_text("x")
    done = run("headend", "ctl", "--url", "http://127.0.0.1:9", "--token-file", tmp_path / "token", "status")
    assert (done.returncode, "does `headend serve` run there?" in done.stderr) == (1, True)


def test_systemd_is_told_when_it_is_ready_alive_and_ending(tmp_path, monkeypatch):
    """By datagrams to the socket that it names (sd_notify)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        made = Service(tmp_path / "s")
        made.start()
        told = [ear.recv(100) for _ in range(3)]
        assert made.stop() == 0
        ear.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                told.append(ear.recv(100))
    assert told[0] == b"READY=1"
    assert told[1:3] == [b"WATCHDOG=1"] * 2
    assert told[-1] == b"STOPPING=1"


def test_a_flood_of_requests_is_turned_away_and_the_carousel_goes_on(tmp_path):
    """More at once than `requests`: half of them never end, the others get 503; then everything is as before."""
    made = Service(tmp_path, "requests = 8\n").start()
    try:
        group = made.create("lab")["decided"]["group"]
        made.put("lab", made.upload(made.pack("img")))
        made.on_air("lab")
        host, port = made.url.removeprefix("http://").rsplit(":", 1)
        with ExitStack() as flood:
            asking = [flood.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(60)]
            for number, each in enumerate(asking):
                each.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n" + (b"\r\n" if number % 2 else b""))
            answers = [each.recv(100) for each in asking[1::2]]
            assert any(b" 503 " in answer for answer in answers)
            assert hear(group) is not None
        until(lambda: made.client.get("/api/status").status_code == 200, "the service after the flood")
    finally:
        made.stop()


@pytest.mark.namespaces
def test_a_full_disk_during_an_upload(tmp_path):
    """On a file system of its own, of 6 MB."""
    made = Service(tmp_path)
    os.system(f"mount -t tmpfs -o size=6m tmpfs {made.data}")
    try:
        (made.data / "trust").mkdir()
        (made.data / "trust" / "lab.pub").write_bytes((tmp_path / "lab.pub").read_bytes())
        made.start()
        small, large = made.pack("small", 100_000), made.pack("large", 6_000_000)
        headers = {"Content-Type": "application/octet-stream"}
        answer = made.client.post("/api/releases", content=large.read_bytes(), headers=headers)
        assert (answer.status_code, "make room" in answer.json()["detail"]) == (507, True)
        assert not list((made.data / "uploads").iterdir())
        made.upload(small)
        assert made.client.get("/api/audit/verify").json()["is_sound"]
    finally:
        if made.process is not None:
            made.stop()
        os.system(f"umount {made.data}")
