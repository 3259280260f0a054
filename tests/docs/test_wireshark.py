"""The Lua dissector in docs/wireshark reads what we send, field for field, in tshark."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from carousel.bulletin import Bulletin, Stage, threshold_of
from carousel.flute.alc import split_payload_id
from carousel.flute.fdt import bulletin_packet, fdt_packets, header_packet
from carousel.gate import GateState, GateView, Tick
from carousel.release.blocks import FecId
from carousel.release.header import key_id
from tests.conftest import KEY
from tests.e2e.test_interop import write_pcap

SCRIPT = Path(__file__).parents[2] / "docs" / "wireshark" / "bootcast.lua"
FIELDS = ["_ws.col.Protocol", "_ws.col.Info", "rmt-lct.toi", "_ws.malformed"]
FIELDS += [f"bootcast.{name}" for name in ("base", "level", "sbn", "esi", "symbol_size", "crc.good")]
HEADER = ("name", "version", "hardware", "security_counter", "image_size", "symbol_size", "source_blocks")
FIELDS += [f"bootcast.header.{name}" for name in (*HEADER, "repair_per_block", "image_sha256", "key_id", "crc.good")]
BULLETIN = ("epoch", "key_id", "part", "gate", "gate_tick", "release", "percent", "halted", "why", "crc.good")
FIELDS += [f"bootcast.bulletin.{name}" for name in BULLETIN]
FIELDS += [f"bootcast.tick.{name}" for name in ("chain", "number", "value", "crc.good")]

pytestmark = pytest.mark.tshark


def dissect(path, *options):
    arguments = [part for name in FIELDS for part in ("-e", name)]
    command = [shutil.which("tshark"), "-X", f"lua_script:{SCRIPT}", "-r", path, *options, "-T", "json", *arguments]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "Lua" not in done.stderr, done.stderr
    return [{key: value[0] for key, value in each["_source"]["layers"].items()} for each in json.loads(done.stdout)]


@pytest.mark.parametrize("repair_ratio", [1.0, 0.0])
@pytest.mark.parametrize("options", [(), ("-d", "udp.port==5077,bootcast")], ids=["by its first bytes", "by its port"])
def test_every_packet_of_a_release_is_read(make_release, tmp_path, options, repair_ratio):
    release = make_release(100_000, symbol_size=512, repair_ratio=repair_ratio, name="Größe", security_counter=9)
    numbers = [0, 1, release.image_packets - 1, release.image_packets, release.layout.rows - 1]
    packets = [bytes(release.packet_bytes(number, 1)) for number in numbers]
    write_pcap(tmp_path / "x.pcap", [header_packet(release), *packets], 5077)
    announced, *rows = dissect(tmp_path / "x.pcap", *options)

    header = release.header
    read = [announced[f"bootcast.header.{name}"] for name in HEADER]
    geometry = release.layout.objects[0]
    assert read == ["Größe", "1.4.0", "00A1B2:7:any", "9", "100000", "512", str(geometry.blocks)]
    assert announced["bootcast.header.repair_per_block"] == str(geometry.repair_per_block)
    assert announced["bootcast.header.image_sha256"].replace(":", "") == header.image_sha256.hex()
    assert announced["bootcast.header.key_id"].replace(":", "") == header.key_id.hex()
    assert announced["bootcast.header.crc.good"] == "1"
    assert "version 1.4.0" in announced["_ws.col.Info"]

    fec = FecId.RAPTORQ if repair_ratio else FecId.NO_CODE
    for packet, row in zip(packets, rows, strict=True):
        sbn, esi = split_payload_id(int.from_bytes(packet[24:28], "big"), fec)
        assert (int(row["bootcast.sbn"]), int(row["bootcast.esi"])) == (sbn, esi)
        toi = int.from_bytes(packet[12:16], "big")
        assert int(row["rmt-lct.toi"], 0) == toi, "Wireshark's own dissector still shows the standard part"
        assert (int(row["bootcast.base"], 0), int(row["bootcast.level"])) == (toi & ~7, toi & 7)
        assert (row["bootcast.crc.good"], row["bootcast.symbol_size"]) == ("1", "512")
        assert row["_ws.col.Protocol"] == "bootcast"
        assert "_ws.malformed" not in row


def test_a_flipped_bit_is_seen_and_other_packets_are_left_alone(make_release, tmp_path):
    release = make_release(100_000, symbol_size=512)
    hurt = bytearray(release.packet_bytes(3, 1))
    hurt[200] ^= 1
    others = [b"hello", bytes(40), bytes(hurt[:21])]
    fdts = fdt_packets([release], release.tsi, 1, 2_000_000_000)
    write_pcap(tmp_path / "x.pcap", [bytes(hurt), *fdts, *others], 5077)
    bad, *rest = dissect(tmp_path / "x.pcap")
    assert bad["bootcast.crc.good"] == "0"
    assert all(row["bootcast.crc.good"] == "1" for row in rest[: len(fdts)])
    assert all("bootcast.crc.good" not in row for row in rest[len(fdts) :])


def test_a_bulletin_is_read(make_release, tmp_path):
    release = make_release(100_000, symbol_size=512)
    stage = Stage(release.header.release_id, threshold_of(0.25), b"saltsalt", is_halted=True, why="es hängt")
    gate = GateView(GateState.HOLD, tick=12)
    raw = Bulletin(3, 1_750_000_123_456, (stage, Stage(release.header.release_id)), gate, 1, 2).sign(KEY)
    flipped = raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]
    write_pcap(tmp_path / "x.pcap", [bulletin_packet(release.tsi, each) for each in (raw, flipped)], 5077)
    good, bad = dissect(tmp_path / "x.pcap")
    read = {name: good[f"bootcast.bulletin.{name}"] for name in BULLETIN}
    assert read["key_id"].replace(":", "") == key_id(KEY.public_key()).hex()
    assert read["release"].replace(":", "") == stage.release.digest.hex()
    assert (read["epoch"], read["part"], read["gate"], read["gate_tick"]) == ("3", "2 of 2", "2", "12")
    assert (float(read["percent"]), read["halted"], read["why"]) == (25.0, "1", "es hängt")
    assert (read["crc.good"], good["bootcast.crc.good"]) == ("1", "1")
    assert good["_ws.col.Info"] == "bulletin of epoch 3: 2 decision(s)"
    assert (bad["bootcast.bulletin.crc.good"], bad["bootcast.crc.good"]) == ("0", "1")


def test_a_tick_is_read(tmp_path):
    raw = Tick(bytes(range(16)), 70_000, bytes(range(32))).build()
    flipped = raw[:30] + bytes([raw[30] ^ 1]) + raw[31:]
    write_pcap(tmp_path / "x.pcap", [bulletin_packet(0x4D, each) for each in (raw, flipped)], 5077)
    good, bad = dissect(tmp_path / "x.pcap")
    assert good["bootcast.tick.chain"].replace(":", "") == bytes(range(16)).hex()
    assert good["bootcast.tick.value"].replace(":", "") == bytes(range(32)).hex()
    assert (good["bootcast.tick.number"], good["bootcast.tick.crc.good"]) == ("70000", "1")
    assert good["_ws.col.Info"] == "the log-in gate's tick 70000"
    assert (bad["bootcast.tick.crc.good"], bad["bootcast.crc.good"]) == ("0", "1")
