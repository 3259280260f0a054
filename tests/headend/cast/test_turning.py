import errno
import gc
import os

import pytest

from carousel.errors import OperatorError
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from headend.cast.ssu import SsuFormat, SsuSettings
from headend.cast.turning import Carousel
from headend.events import fields_of
from headend.pack.ssuplan import SsuProfile
from headend.shelf import ReleaseShelf


class FakeWire:
    """Takes batches, or fails as told."""

    def __init__(self):
        self.sent = []
        self.error = None

    def send(self, batch):
        if self.error is not None:
            raise self.error
        self.sent.append(bytes(batch.buffer[: batch.stride * batch.count]))


class FakeTime:
    def __init__(self):
        self.now = 0.0
        self.at = {}

    def clock(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        for when in sorted(when for when in self.at if when <= self.now):
            self.at.pop(when)()


@pytest.fixture
def casting(make_release, release_file):
    path = release_file(make_release(100_000, symbol_size=512), "a.release")
    shelf, wire, time, told = ReleaseShelf([path]), FakeWire(), FakeTime(), []
    broadcaster = Broadcaster(shelf.load(), BroadcastSettings(1e7), 0.0)
    carousel = Carousel(
        broadcaster, shelf, wire, time.clock, time.wait, lambda event: told.append((event.event, fields_of(event)))
    )
    yield carousel, wire, time, told, path
    shelf.close()


def test_runs_so_many_cycles(casting):
    carousel, wire, time, told, _ = casting
    carousel.run(cycles=2)
    sent_bytes = sum(map(len, wire.sent))
    assert sent_bytes * 8 / time.now == pytest.approx(1e7, rel=0.02)
    assert all(event == "status" for event, _ in told)


def test_trouble_is_told_once_and_survived(casting):
    carousel, wire, time, told, _ = casting
    time.at[0.05] = lambda: setattr(wire, "error", OSError(errno.ENETDOWN, "Network is down"))
    time.at[2.0] = lambda: setattr(wire, "error", None)
    time.at[2.5] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    names = [event for event, _ in told if event != "status"]
    assert names == ["trouble", "trouble_over"]
    assert len(wire.sent) > 10


def test_a_replaced_file_is_taken_up(casting, make_release):
    carousel, wire, time, told, path = casting
    new = make_release(120_000, symbol_size=512)

    def replace():
        path.with_suffix(".new").write_bytes(new.buffer)
        os.replace(path.with_suffix(".new"), path)

    time.at[0.3] = replace
    time.at[3.0] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    assert ("swapped", new.toi_base) in [
        (event, fields["releases"][0]["toi_base"]) for event, fields in told if event == "swapped"
    ]
    assert new.toi_base.to_bytes(4, "big") == wire.sent[-1][12:15] + bytes([wire.sent[-1][15] & 0xF8])


@pytest.mark.slow
def test_swaps_leave_no_descriptor_behind(casting, make_release):
    """Nor the map of a file that is gone, whose room would stay taken."""
    carousel, _, time, told, path = casting

    def replace(version):
        path.with_suffix(".new").write_bytes(make_release(100_000, symbol_size=512, version=version).buffer)
        os.replace(path.with_suffix(".new"), path)

    for number in range(6):
        time.at[0.3 + number] = lambda number=number: replace(f"2.{number}.0")
    time.at[8.0] = lambda: setattr(carousel, "should_stop", True)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    gc.disable()
    try:
        carousel.run(cycles=0)
        assert [event for event, _ in told].count("swapped") == 6
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_a_damaged_replacement_changes_nothing(casting):
    carousel, _, time, told, path = casting
    time.at[0.3] = lambda: path.write_bytes(b"half a rel")
    time.at[2.5] = lambda: setattr(carousel, "should_stop", True)
    # The map of the old file is cut with it, so a careful operator replaces; an overwritten one must not be sent.
    path.rename(path.with_suffix(".kept"))
    path.write_bytes(path.with_suffix(".kept").read_bytes())
    carousel.run(cycles=0)
    assert any(event == "trouble" and "old content" in fields["reason"] for event, fields in told)


def test_sighup_takes_up_what_is_there(casting):
    carousel, _, time, told, _ = casting
    time.at[0.2] = lambda: setattr(carousel, "should_reload", True)
    time.at[0.4] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    assert "swapped" in [event for event, _ in told]


def test_a_flood_of_sighups_starves_nothing_and_fills_no_log(casting):
    carousel, wire, time, told, _ = casting
    for number in range(3000):
        time.at[number / 1000] = lambda: setattr(carousel, "should_reload", True)
    time.at[3.0] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    assert sum(map(len, wire.sent)) * 8 / time.now == pytest.approx(1e7, rel=0.03)
    assert 2 <= [event for event, _ in told].count("swapped") <= 7


@pytest.mark.slow
def test_a_file_that_is_cut_in_place_is_told_seldom_and_the_rest_is_sent(casting, make_release):
    """Each cycle has a stretch that the file has no more; the wire says EFAULT for it, as the kernel does."""
    carousel, wire, time, told, path = casting
    send, sent_bytes = wire.send, []

    def send_what_is_there(batch):
        if batch.place is not None and batch.place[1] > 50_000:
            raise OSError(errno.EFAULT, "Bad address")
        sent_bytes.append(batch.stride * batch.count)
        send(batch)

    wire.send = send_what_is_there
    os.truncate(path, 50_000)
    time.at[100.0] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    troubles = [fields["reason"] for event, fields in told if event == "trouble"]
    assert 2 <= len(troubles) <= 4, troubles
    assert {reason.split(";")[0].split(":")[0] for reason in troubles} == {
        "a release file was cut in place",
        "going on with the old content",
    }
    left = 50_000 / len(make_release(100_000, symbol_size=512).buffer)
    assert sum(sent_bytes) * 8 / time.now > 0.7 * left * 1e7, "what is left goes out at its own rate"


@pytest.mark.slow
def test_an_update_service_whose_file_is_cut_in_place_goes_on(make_release, release_file):
    """Rows of an update service are wrapped anew, so they are read: who touched the map there would die of SIGBUS."""
    release = make_release(200_000, ssu_profile=SsuProfile.STANDARD)
    path = release_file(release, "a.release")
    shelf, wire, time, told = ReleaseShelf([path]), FakeWire(), FakeTime(), []
    broadcaster = Broadcaster(shelf.load(), BroadcastSettings(1e7), 0.0, SsuFormat(SsuSettings(1e7)))
    carousel = Carousel(
        broadcaster, shelf, wire, time.clock, time.wait, lambda event: told.append((event.event, fields_of(event)))
    )
    time.at[0.3] = lambda: os.truncate(path, 100_000)
    time.at[30.0] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    assert len([event for event, fields in told if event == "trouble" and "cut in place" in fields["reason"]]) == 1
    assert time.now >= 30
    assert sum(map(len, wire.sent)) * 8 / time.now > 0.2 * 1e7
    shelf.close()


@pytest.mark.parametrize("fate", ["unlinked", "replaced by a directory", "unreadable"])
def test_a_file_that_goes_away_is_cast_on(casting, fate):
    carousel, wire, time, told, path = casting

    def strike():
        path.unlink()
        if fate != "unlinked":
            path.mkdir() if "directory" in fate else path.symlink_to(path)
        carousel.should_reload = True

    time.at[0.3] = strike
    time.at[5.0] = lambda: setattr(carousel, "should_stop", True)
    carousel.run(cycles=0)
    assert sum(map(len, wire.sent)) * 8 / time.now == pytest.approx(1e7, rel=0.03)
    assert [event for event, _ in told if event != "status"] == ["trouble"]


def test_no_release_file_is_explained(tmp_path):
    (tmp_path / "x").write_bytes(b"nothing")
    (tmp_path / "empty").touch()
    for name in ("x", "empty"):
        with pytest.raises(OperatorError, match="no whole release file"):
            ReleaseShelf([tmp_path / name]).load()
