import pytest

from bench.capture.pictures import print_ssu
from bench.capture.ssu import MAX_CAROUSELS, SsuPicture
from carousel.batch import Batch
from carousel.release.identity import Hardware
from carousel.ssu.dsmcc import ddb
from carousel.ssu.transport import cut_section, fill_datagrams
from headend.pack.ssuplan import SsuProfile
from tests.headend.cast.ssustreams import Stream

HARDWARE = Hardware(0x00A1B2, 7, 3)


def picture_of(stream):
    picture = SsuPicture()
    for time_s, datagram in stream.sent:
        picture.take(Batch(memoryview(datagram), len(datagram), 1), time_s)
    return picture.report()


@pytest.mark.slow
@pytest.mark.parametrize("is_rtp", [False, True])
def test_a_stream_of_ours_is_all_right(make_release, capsys, is_rtp):
    release = make_release(400_000, ssu_profile=SsuProfile.FEW_MODULES, hardware=HARDWARE)
    report = picture_of(Stream.of(release, is_rtp=is_rtp).cycles(3))
    assert report["rate_bps"] == pytest.approx(8e6, rel=0.01)
    assert report["rtp"] is is_rtp
    assert not any(each["continuity_errors"] for each in report["pids"])
    messages = {f"{kind} on {pid}" for kind in ("DSI", "DII") for pid in ("0x101", "0x102")}
    assert set(report["tables"]) == {"PAT", "PMT", "SDT", "NIT"} | messages
    main, sidecar = sorted(report["carousels"], key=lambda each: each["pid"])
    assert (main["modules"], main["bytes"]) == (2, 400_000)
    assert main["distinct_blocks"] == release.layout.objects[0].source_symbols
    assert main["loader"] == []
    cycle_s = release.image_packets * 1316 * 8 / 8e6
    assert main["cycle_s"] == pytest.approx(cycle_s, rel=0.15)
    assert sidecar["loader"] == []
    assert sidecar["cycle_s"] == pytest.approx(cycle_s, rel=0.15)
    assert sidecar["release"] == f"the sidecar of {main['release']}"
    assert set(report["counts"]) == {"tables_and_messages"}
    assert report["linked_ouis"] == ["00A1B2"]
    print_ssu(report)
    assert "System software update" in capsys.readouterr().out


@pytest.mark.slow
def test_within_a_cycle_nothing_is_said_of_its_length(make_release):
    release = make_release(2_700_000, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    carousels = picture_of(Stream.of(release).seconds(4))["carousels"]  # a cycle takes longer; the header comes often
    assert [each["cycle_s"] for each in carousels] == [None, None]


@pytest.mark.slow
def test_what_a_loader_would_not_take_is_said(make_release):
    release = make_release(2_700_000, ssu_profile=SsuProfile.STANDARD, hardware=Hardware(0x00A1B2, 7))
    stream = Stream.of(release).seconds(3)
    stream.sent = [(time_s * 30, datagram) for time_s, datagram in stream.sent]
    notes = "\n".join(next(each["loader"] for each in picture_of(stream)["carousels"] if each["loader"]))
    for part in ("any hardware version", "10 modules", "PAT came only every", "DII on 0x101 came only every"):
        assert part in notes


def test_lost_packets_and_versions_are_counted(make_release):
    release = make_release(400_000, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    other = make_release(500_000, version="2.0.0", ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    stream = Stream.of(release).seconds(1.0)
    stream.replace(other)
    stream.seconds(2.0)
    del stream.sent[100:103]
    report = picture_of(stream)
    assert sum(each["continuity_errors"] for each in report["pids"]) >= 1
    assert len(report["tables"]["PMT"]["versions"]) == 2
    assert len(report["carousels"]) == 4


def test_a_flood_of_carousels_does_not_make_it_grow():
    packets = fill_datagrams([cut_section(ddb(number, 1, 0, 0, 1, b"x"), 0x200) for number in range(500)])
    picture = SsuPicture()
    picture.take(Batch(packets.data.cast("B"), 1316, len(packets) // 7), 0.0)
    assert len(picture.carousels) == MAX_CAROUSELS
    assert picture.counts["carousels_beyond_limit"] == 500 - MAX_CAROUSELS
