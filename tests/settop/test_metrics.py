"""What a box tells as gauges: for events as the code declares them, and over several commands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.release.identity import Version
from settop import events
from settop.commands.reporting import MetricsFile, reporting
from settop.metrics import HELP, after, parse, render

VERIFIED = events.ImageVerified(
    Version(1, 4, 0), bytes(32), 1_440_000, 2.5, 1030, 1000, 7, 2, 0, 31, 0.05, 8_000_000, {}
)
PROGRESS = events.Progress(Version(1, 4, 0), 500, 1000, 520, 1, 4, 80_000_000, 0.04, 1.2)


def told(gauges, event, unix_s=1000.0):
    return after(gauges, event.event, events.fields_of(event), unix_s)


def test_a_reception_is_followed():
    gauges = told({}, PROGRESS)
    assert gauges["bootcast_reception_share"] == 0.5
    assert gauges["bootcast_reception_rate_bits_per_second"] == 80_000_000
    gauges = told(gauges, VERIFIED)
    assert (gauges["bootcast_reception_share"], gauges["bootcast_heard"]) == (1, 1)
    assert (gauges["bootcast_reception_seconds"], gauges["bootcast_network_loss_share"]) == (2.5, 0.05)
    assert gauges["bootcast_received_symbols_per_needed"] == 1.03
    assert (gauges["bootcast_socket_drops_packets"], gauges["bootcast_corrupt_packets"]) == (31, 2)
    assert told(gauges, events.Nothing(5.0, {}, "silence"))["bootcast_heard"] == 0


def test_what_is_installed_takes_the_place_of_what_was():
    gauges = told({}, events.Installed("slot-a", Version(1, 0, 0)))
    gauges = told(gauges, events.Installed("slot-b", Version(2, 0, 0)), 2000.0)
    assert [name for name in gauges if "info" in name] == ['bootcast_installed_info{slot="slot-b",version="2.0.0"}']
    assert gauges["bootcast_installed_timestamp_seconds"] == 2000.0


def test_the_text_is_prometheus_s():
    text = render(told({}, events.Boot("slot-a", Version(1, 0, 0), "on trial")))
    assert 'bootcast_booted_info{source="slot-a",version="1.0.0"} 1\n' in text
    assert "# TYPE bootcast_booted_info gauge\n" in text
    for line in text.splitlines():
        if not line.startswith("#"):
            assert line.split("{")[0].split()[0] in HELP


@given(st.dictionaries(st.sampled_from(sorted(HELP)), st.floats(-1e12, 1e12, allow_nan=False)))
def test_what_was_written_is_read_again(gauges):
    assert parse(render(gauges)) == pytest.approx(gauges)


@given(st.text())
def test_any_file_is_read(text):
    assert all(name.split("{")[0] in HELP for name in parse(text))


def test_the_next_command_goes_on_with_the_file(tmp_path, capfd):
    path = tmp_path / "bootcast.prom"
    for event in (events.Installed("slot-a", Version(1, 0, 0)), events.Confirmed("slot-a")):
        with reporting(True, tmp_path, path) as reporter:
            reporter.tell(event.event, **events.fields_of(event))
    text = path.read_text()
    assert 'version="1.0.0"' in text
    assert "bootcast_confirmed_timestamp_seconds " in text
    assert [each.name for each in tmp_path.iterdir()] == ["bootcast.prom"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()] == ["installed", "confirmed"]


def test_a_file_that_can_not_be_written_stops_nothing_and_is_said_once(tmp_path):
    heard = []

    class Listener:
        def tell(self, event, **fields):
            heard.append((event, fields))

        def close(self):
            pass

    reporter = MetricsFile(Listener(), tmp_path / "nowhere" / "x.prom")
    reporter.tell("confirmed", source="slot-a")
    reporter.tell("confirmed", source="slot-b")
    assert [event for event, _ in heard] == ["confirmed", "note", "confirmed"]
    assert "can't be written" in heard[1][1]["text"]
