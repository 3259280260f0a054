"""Two services with one of a pair each: half the rate each, all of it when one is dead; and the options of a stream."""

import pytest

from tests.e2e.lab import HARDWARE, free_port, named, prepare, run
from tests.e2e.service import Service, until

pytestmark = [pytest.mark.processes, pytest.mark.slow]
RATE_BPS = 8e6


@pytest.fixture
def services(tmp_path):
    made = [Service(tmp_path / name) for name in ("one", "two")]
    (made[1].data / "trust" / "lab.pub").write_bytes((made[0].folder / "lab.pub").read_bytes())
    for each in made:
        each.start()
    yield made
    for each in made:
        each.stop()


def init_box(service, folder):
    init = ["--hardware", HARDWARE, "--trust", service.folder / "lab.pub", "--eeprom"]
    prepare("settop", "init", "--store", folder, *init, service.pack("factory", 2000, "0.1.0"))


def receive(folder, group, *options):
    where = ["--store", folder, "--group", group, "--interface", "lo", "--timeout", 60, "--json"]
    return run("settop", "receive", *where, *options, timeout=90)


def rate_of(service):
    return service.carousel("lab")["on_air"]["rate_bps"]


def hears_its_peer(service):
    return [each["alive"] for each in service.told() if each["event"] == "peer"][-1]


def test_two_services_share_a_carousel_and_one_takes_over(services, tmp_path):
    one, two = services
    path, group = one.pack("img", 1_000_000), f"239.255.77.7:{free_port()}"
    for service, role in zip(services, ("first", "second"), strict=True):
        release = service.upload(path)
        service.create("lab", RATE_BPS, group=group, pair=role)
        service.put("lab", release)
        service.on_air("lab")
    until(lambda: all(0 < rate_of(each) < 0.7 * RATE_BPS for each in services), "half the rate each")
    two.kill()
    until(lambda: not hears_its_peer(one) and rate_of(one) > 0.8 * RATE_BPS, "the whole rate")
    init_box(one, tmp_path / "box")
    assert named(receive(tmp_path / "box", group).stdout, "installed")
    two.start()
    until(lambda: hears_its_peer(one) and 0 < rate_of(one) < 0.7 * RATE_BPS, "half the rate again")


def test_a_stream_has_the_numbers_that_it_is_given(services, tmp_path):
    service, _ = services
    group = f"239.255.77.7:{free_port()}"
    at = ["--url", service.url, "--token-file", service.data / "admin.token"]
    stream = ["--ssu", "--rtp", "--pid", "0x200", "--service-id", "7", "--pcr"]
    where = ["--group", group, "--interface", "lo", "--rate", "20M"]
    made = run("headend", "ctl", *at, "create", "tv", *where, *stream)
    assert made.returncode == 0, made.stderr
    assert service.carousel("tv")["decided"]["ssu"] | {"has_pcr": True} == {
        "service_id": 7, "network_id": 1, "ts_id": 1, "pid": 0x200, "has_rtp": True, "has_pcr": True,
    }  # fmt: skip
    service.put("tv", service.upload(service.pack("img", 300_000, options=("--ssu",))))
    init_box(service, tmp_path / "box")
    assert named(receive(tmp_path / "box", group, "--ssu", "--rtp").stdout, "installed")
    refused = run("headend", "ctl", *at, "create", "low", *where, "--ssu", "--pid", "0x10")
    assert refused.returncode == 1
    assert "pid" in refused.stderr
