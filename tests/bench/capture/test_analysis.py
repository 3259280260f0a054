import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capture.analysis import CarouselPicture
from bench.capture.pcap import CarouselWriter, batches_of, read_carousel
from bench.capture.pictures import print_flute
from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings

RATE_BPS = 20e6
ENDPOINT = Endpoint.parse("239.255.77.1:5077")


def carousel(release, seconds):
    broadcaster, now = Broadcaster([release], BroadcastSettings(RATE_BPS), 0.0), 0.0
    while now < seconds:
        now = max(now, broadcaster.due(now))
        yield now, broadcaster.next_batch(now)


def test_a_carousel_is_described(make_release):
    release = make_release(400_000, symbol_size=512, repair_ratio=0.5, name="look")
    picture = CarouselPicture()
    for now, batch in carousel(release, 1.0):
        picture.take(batch, now)
    report = picture.report()
    geometry = release.layout.objects[0]
    image = report["objects"][0]
    assert report["rate_bps"] == pytest.approx(RATE_BPS, rel=0.02)
    assert [each["name"] for each in report["releases"]] == ["look"]
    assert (image["kind"], image["fec"], image["blocks"]) == ("image", 6, release.header.source_blocks)
    assert image["distinct_symbols"] == geometry.rows
    assert image["cycle_packets"] == pytest.approx(geometry.rows, rel=0.03)
    assert image["cycle_s"] == pytest.approx(geometry.rows * 540 * 8 / RATE_BPS / image["share"], rel=0.06)
    assert {"announcements", "fdt_packets"} == set(report["counts"])
    assert len(report["fdt"][0]["files"]) >= release.layout.top + 1
    assert "look" in report["fdt"][0]["files"][0]["location"]


def test_interleaving_shows(make_release):
    release = make_release(11_000_000, symbol_size=512, repair_ratio=0.1)
    picture = CarouselPicture()
    for now, batch in carousel(release, 0.5):
        picture.take(batch, now)
    assert release.header.source_blocks > 4
    assert picture.report()["objects"][0]["block_changes"] > 0.8


def test_flipped_bits_are_counted_not_shown(make_release):
    release = make_release(100_000, symbol_size=512)
    picture, rng = CarouselPicture(), np.random.default_rng(1)
    flipped = 0
    for now, batch in carousel(release, 0.2):
        rows = batch.as_rows().copy()
        for row in np.flatnonzero(rng.random(batch.count) < 0.1):
            rows[row, rng.integers(30, batch.stride)] ^= 1
            flipped += 1
        picture.take(Batch(rows.data.cast("B"), batch.stride, batch.count), now)
    assert picture.counts["crc_errors"] == flipped > 5
    assert picture.objects[release.toi_base].largest_sbn == 0


@given(st.binary(min_size=1, max_size=200), st.integers(1, 4))
def test_any_packets_are_taken(raw, count):
    picture = CarouselPicture()
    picture.take(Batch(memoryview(raw * count), len(raw), count), 1.0)
    assert picture.report()["packets"] == count


def test_what_is_captured_is_read_again(make_release, tmp_path):
    release = make_release(100_000, symbol_size=512)
    writer, before = CarouselWriter(tmp_path / "x.pcap", ENDPOINT), CarouselPicture()
    sent = []
    for now, batch in carousel(release, 0.1):
        writer.write(batch, 1_700_000_000 + now)
        before.take(batch, now)
        sent += [batch.packet(row) for row in range(batch.count)]
    writer.close()
    captured = list(read_carousel(tmp_path / "x.pcap"))
    assert [each.payload for each in captured] == sent
    assert {(each.group, each.port) for each in captured} == {("239.255.77.1", 5077)}
    after = CarouselPicture()
    for now, batch in batches_of(iter(captured)):
        after.take(batch, now)
    first, second = before.report(), after.report()
    assert first["objects"][0]["distinct_symbols"] == second["objects"][0]["distinct_symbols"]
    assert list(read_carousel(tmp_path / "x.pcap", port=1)) == []


def test_what_is_no_capture_is_said(tmp_path):
    (tmp_path / "x").write_bytes(b"no capture at all, but long enough to look")
    with pytest.raises(OperatorError, match="can't be read"):
        list(read_carousel(tmp_path / "x"))
    with pytest.raises(OperatorError, match="No such file"):
        list(read_carousel(tmp_path / "nothing"))


def test_names_off_the_air_are_no_markup(make_release, capsys):
    release = make_release(100_000, symbol_size=512, name="[/red]")
    picture = CarouselPicture()
    for now, batch in carousel(release, 0.2):
        picture.take(batch, now)
    print_flute(picture.report())
    assert "[/red] 1.4.0" in capsys.readouterr().out
