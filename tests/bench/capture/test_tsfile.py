import numpy as np
import pytest

from bench.capture.ssu import SsuPicture
from bench.capture.tsfile import is_transport_stream, read_transport_stream
from carousel.errors import OperatorError
from headend.pack.ssuplan import SsuProfile
from tests.headend.cast.ssustreams import Stream

RATE_BPS = 8e6


@pytest.fixture
def stream(make_release, tmp_path):
    """One cycle of an update service in a file."""
    release = make_release(300_000, ssu_profile=SsuProfile.STANDARD, name="from a file")
    sent = b"".join(datagram for _, datagram in Stream.of(release, rate_bps=RATE_BPS).cycles(1).sent)
    (tmp_path / "x.ts").write_bytes(sent)
    return tmp_path / "x.ts", sent


def test_a_file_is_looked_at_with_the_times_of_its_rate(stream):
    path, sent = stream
    assert is_transport_stream(path)
    picture = SsuPicture()
    for time_s, batch in read_transport_stream(path, RATE_BPS):
        picture.take(batch, time_s)
    report = picture.report()
    assert report["packets"] == len(sent) // 188
    assert report["seconds"] == pytest.approx(len(sent) * 8 / RATE_BPS, abs=0.07)
    assert any("from a file" in (each["release"] or "") for each in report["carousels"])
    assert not any(each["continuity_errors"] for each in report["pids"])


def test_every_packet_is_there_but_one_that_was_cut(stream):
    path, sent = stream
    path.write_bytes(sent + sent[:100])
    rows = np.concatenate([batch.as_rows() for _, batch in read_transport_stream(path, RATE_BPS)])
    assert rows.tobytes() == sent


@pytest.mark.parametrize("content", [b"", b"G" * 100, bytes.fromhex("d4c3b2a1") + bytes(400)])
def test_what_is_none_is_known(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert not is_transport_stream(tmp_path / "x")


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(OperatorError, match="can't be read"):
        is_transport_stream(tmp_path / "nothing")
