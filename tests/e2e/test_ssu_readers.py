"""Others read our transport stream: tshark, dvbinfo (dvbpsi), ffprobe, GStreamer."""

import json
import re
import subprocess
from collections import Counter

import numpy as np
import pytest

from carousel.release.identity import Hardware
from carousel.ssu.transport import pids_of
from headend.pack.ssuplan import SsuProfile
from tests.e2e.test_interop import write_pcap
from tests.headend.cast.ssustreams import Stream, packets_in

pytestmark = [pytest.mark.interop, pytest.mark.dvb]
HARDWARE = Hardware(0x00A1B2, 7, 3)
PORT = 1234
RATE_BPS = 8e6


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(300_001, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)


@pytest.fixture(scope="module")
def recording(release, tmp_path_factory):
    """Three loops of a stream with a PCR, as `headend ts` writes it."""
    stream = Stream.of(release, clock_pid=0xFF).cycles(3)
    path = tmp_path_factory.mktemp("ssu") / "x.ts"
    closing = (bytes(batch.buffer[: batch.stride * batch.count]) for batch in stream.format.closing())
    path.write_bytes(b"".join([*(datagram for _, datagram in stream.sent), *closing]))
    return path


def output_of(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, check=True, timeout=120)
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("is_rtp", [False, True], ids=["udp", "rtp"])
@pytest.mark.parametrize("symbol_size", [1256, 3832])
def test_tshark_verifies_every_section(make_release, tmp_path, is_rtp, symbol_size):
    profile = SsuProfile.STANDARD if symbol_size == 1256 else SsuProfile.FEW_MODULES
    size = 200_001 if symbol_size == 1256 else 2_600_001
    release = make_release(size, ssu_profile=profile, hardware=HARDWARE, repair_ratio=0.1)
    assert release.layout.symbol_size == symbol_size
    stream = Stream.of(release, is_rtp=is_rtp, rate_bps=50e6).cycles(3)
    datagrams = [datagram for _, datagram in stream.sent]
    write_pcap(tmp_path / "x.pcap", datagrams, PORT)
    packets = packets_in(b"".join(datagram[12 if is_rtp else 0 :] for datagram in datagrams))
    pids, starts = pids_of(packets), (packets[:, 1] & 0x40) != 0
    sections = int(np.count_nonzero(starts & np.isin(pids, [0x101, 0x102])))
    decode = ("-d", f"udp.port=={PORT},{'rtp' if is_rtp else 'mp2t'}", "-o", "mpeg_dsmcc.verify_crc:TRUE")
    read = ("tshark", "-r", tmp_path / "x.pcap", *decode)
    shown = Counter(re.findall(r"^    CRC: 0x[0-9a-f]{8} \[(.*)\]$", output_of(*read, "-V", "-Y", "mpeg_dsmcc"), re.M))
    assert shown == {"Verified": sections}
    wrong = "_ws.malformed || mp2t.cc.drop || mp2t.analysis.skips || mpeg_sect.crc.invalid || _ws.unreassembled"
    done = subprocess.run([*map(str, read), "-Y", wrong], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == ""


def test_tshark_reads_the_tables(recording):
    shown = output_of("tshark", "-r", recording, "-V", "-Y", "mpeg_pat || mpeg_pmt || dvb_sdt || dvb_nit")
    for words in (
        "Program Map PID: 0x0100",
        "ISO/IEC 13818-6 type B",
        "Elementary PID: 0x0101",
        "Elementary PID: 0x0102",
        "System Software Update Service",
        "System software update",
        "Linkage Descriptor",
    ):
        assert words.lower() in shown.lower(), words


def test_dvbinfo_reads_the_tables_and_loses_nothing(recording, tmp_path):
    shown = output_of("dvbinfo", "-f", recording)
    for words in ("PAT: Program Association Table", "0x0b @ pid 0x101", "0x0b @ pid 0x102", "SDT: "):
        assert words in shown
    assert "lost 0 bytes" in shown
    # It expects PCR packets to count, which have no payload; ISO/IEC 13818-1 2.4.3.3 says that they don't.
    assert set(re.findall(r"discontinuity \(pid (\d+)", shown)) <= {str(0xFF)}
    rate = re.search(r"Total bitrate ([0-9.]+) kbits/s", shown)
    # It divides all packets by the time between the first and the last PCR; GStreamer's figure, below, is exact.
    assert float(rate[1]) == pytest.approx(RATE_BPS / 1000, rel=0.05)
    # It looks for NITs on the SDT's PID only: there it reads ours.
    packets = packets_in(recording.read_bytes()).copy()
    pids = pids_of(packets)
    packets[pids == 0x11, 1:3] = (0x1F, 0xFF)
    packets[pids == 0x10, 2] = 0x11
    (tmp_path / "nit.ts").write_bytes(packets.tobytes())
    assert "NIT: Network Information Table" in output_of("dvbinfo", "-f", tmp_path / "nit.ts")


def test_ffprobe_sees_a_program_with_data_streams(recording):
    done = subprocess.run(
        ["ffprobe", "-v", "quiet", "-print_format", "json", "-show_programs", recording],
        capture_output=True,
        check=True,
        timeout=60,
    )
    (program,) = json.loads(done.stdout)["programs"]
    assert (program["program_id"], program["pmt_pid"], program["pcr_pid"]) == (1, 0x100, 0xFF)
    assert program["tags"]["service_name"] == "System software update"
    assert [(each["id"], each["codec_tag"]) for each in program["streams"]] == [
        ("0x101", "0x000b"),
        ("0x102", "0x000b"),
    ]


def test_gstreamer_sees_the_tables_and_the_rate(recording):
    source = ("filesrc", f"location={recording}", "!")
    messages = output_of("gst-launch-1.0", "-m", *source, "tsparse", "!", "fakesink")
    for table in ("pat", "pmt", "sdt", "nit"):
        assert re.search(rf"\(element\): {table}, section", messages), table
    timed = ("tsparse", "set-timestamps=true", "!", "fakesink", "silent=false")
    chained = re.findall(
        r"\((\d+) bytes, dts.*?pts: (\d+):(\d+):([0-9.]+)", output_of("gst-launch-1.0", "-v", *source, *timed)
    )
    times_s = [int(hours) * 3600 + int(minutes) * 60 + float(seconds) for _, hours, minutes, seconds in chained]
    sizes = [int(size) for size, *_ in chained]
    assert sum(sizes[1:-1]) * 8 / (times_s[-2] - times_s[0]) == pytest.approx(RATE_BPS, rel=0.01)
