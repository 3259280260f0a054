"""Others read our carousel, and we read theirs: flute-alc (PyPI) and tshark."""

import json
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from flute import receiver as flute_receiver
from flute import sender as flute_sender

from carousel.flute.alc import Extension, ExtFdt, ExtFtiNoCode, parse_packet, split_payload_id
from carousel.flute.fdt import fdt_packets, header_packet
from carousel.release.blocks import FecId
from headend.cast.broadcaster import Broadcaster
from headend.cast.pair import PairRole
from headend.cast.settings import BroadcastSettings
from tests.conftest import noise
from tests.headend.cast.test_pair import HeadEnd, run

pytestmark = pytest.mark.interop


def carousel_packets(release, start, count):
    """Packets of a carousel from a start point on, announcements among them."""
    import time

    settings = BroadcastSettings(20e6, announce_interval_s=0.05, unix_offset_s=time.time())
    broadcaster, now, seen = Broadcaster([release], settings, 0.0), 0.0, 0
    while seen < start + count:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        for index in range(batch.count):
            seen += 1
            if seen > start:
                yield batch.packet(index)


@pytest.mark.parametrize("repair", [0.0, 1.0], ids=["fec0", "fec6"])
@pytest.mark.parametrize("start", [0, 700])
def test_flute_alc_takes_the_image(make_release, tmp_path, repair, start):
    release = make_release(1_000_000, repair_ratio=repair, name="interop")
    push_until_whole(release, carousel_packets(release, start, 2 * release.layout.rows), tmp_path)


@pytest.mark.parametrize("alive", [(0, 1), (0,), (1,)], ids=["both", "first", "second"])
def test_flute_alc_completes_from_a_pair_and_from_either(make_release, tmp_path, alive):
    import time

    release = make_release(1_000_000, name="interop")
    both = [HeadEnd([release], role, unix_offset_s=time.time()) for role in PairRole]
    air = run(both, 0.0, 4.0, alive=lambda index, now: index in alive)
    packets = (batch.packet(row) for _, _, batch in air for row in range(batch.count))
    push_until_whole(release, packets, tmp_path)


def push_until_whole(release, packets, tmp_path):
    endpoint = flute_receiver.UDPEndpoint("239.255.77.1", 5077)
    writer = flute_receiver.ObjectWriterBuilder(str(tmp_path))
    receiver = flute_receiver.Receiver(endpoint, release.tsi, writer, flute_receiver.Config())
    for packet in packets:
        receiver.push(packet)
        found = [path for path in tmp_path.rglob("interop-*") if path.suffix not in (".header",)]
        whole = [path for path in found if path.is_file() and path.stat().st_size == 1_000_000]
        if whole:
            assert whole[0].read_bytes() == noise(1_000_000)
            return
    pytest.fail(f"flute-alc did not complete; it wrote {sorted(tmp_path.rglob('*'))}")


def test_we_read_what_flute_alc_sends():
    sender = flute_sender.Sender(77, flute_sender.Oti.new_no_code(1400, 64), flute_sender.Config())
    content = noise(100_000)
    sender.add_object_from_buffer(content, "application/octet-stream", "file:///x", None)
    sender.publish()
    symbols, fdt, largest = {}, [], 0
    while (raw := sender.read()) is not None:
        packet = parse_packet(bytes(raw))
        assert packet.tsi == 77
        if packet.toi == 0:
            assert ExtFdt.parse(packet.extension(Extension.FDT)).version == 2
            fdt.append(packet.symbol)
        else:
            assert packet.codepoint == FecId.NO_CODE
            content_fti = packet.extension(Extension.FTI)
            if content_fti is not None:
                fti = ExtFtiNoCode.parse(content_fti)
                assert (fti.transfer_length, fti.symbol_size) == (100_000, 1400)
            symbols[split_payload_id(packet.payload_id, FecId.NO_CODE)] = packet.symbol
            largest = max(largest, len(packet.symbol))
    assert b"FDT-Instance" in b"".join(fdt)
    assert largest == 1400
    assert b"".join(symbols[key] for key in sorted(symbols)) == content


def write_pcap(path: Path, packets: list[bytes], port: int) -> None:
    """Ethernet frames of UDP to our group, as tcpdump writes them."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, payload in enumerate(packets):
            udp = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload
            ip = struct.pack(
                "!BBHHHBBH4s4s",
                0x45,
                0,
                20 + len(udp),
                number,
                0,
                1,
                17,
                0,
                bytes([10, 77, 0, 1]),
                socket.inet_aton("239.255.77.1"),
            )
            frame = bytes.fromhex("01005e7f4d01 020000000001 0800") + ip + udp
            file.write(struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame)


@pytest.mark.tshark
def test_tshark_reads_every_field(make_release, tmp_path):
    release = make_release(100_000, symbol_size=512)
    packets = [header_packet(release), *fdt_packets([release], release.tsi, 0x12345, 2_000_000_000)]
    packets += [
        bytes(release.packet_bytes(number, 1)) for number in (0, 1, release.image_packets - 1, release.layout.rows - 1)
    ]
    write_pcap(tmp_path / "x.pcap", packets, 5077)
    tshark = shutil.which("tshark")
    names = ["rmt-lct.version", "rmt-lct.tsi", "rmt-lct.toi", "rmt-lct.codepoint", "rmt-lct.hlen", "rmt-lct.hec.type"]
    names += ["rmt-fec.sbn", "rmt-fec.esi", "rmt-lct.fdt_instance_id"]
    names += ["rmt-lct.flags.close_session", "rmt-lct.flags.close_object", "rmt-lct.cci", "rmt-fec.fti.transfer_length"]
    arguments = [part for name in names for part in ("-e", name)]
    done = subprocess.run(
        [tshark, "-r", tmp_path / "x.pcap", "-d", "udp.port==5077,alc", "-T", "json", *arguments],
        capture_output=True,
        check=True,
    )
    dissected = [each["_source"]["layers"] for each in json.loads(done.stdout)]
    assert len(dissected) == len(packets)
    for raw, layers in zip(packets, dissected, strict=True):
        ours = parse_packet(raw)
        assert int(layers["rmt-lct.version"][0]) == 1
        assert number_of(layers["rmt-lct.tsi"]) == ours.tsi
        assert number_of(layers["rmt-lct.toi"]) == ours.toi
        assert number_of(layers["rmt-lct.codepoint"]) == ours.codepoint
        assert number_of(layers["rmt-lct.hlen"]) in (raw[2], 4 * raw[2])
        assert [int(kind) for kind in layers["rmt-lct.hec.type"]] == [kind for kind, _ in ours.extensions]
        sbn, esi = split_payload_id(ours.payload_id, FecId(ours.codepoint))
        assert number_of(layers["rmt-fec.sbn"]) == sbn
        assert number_of(layers["rmt-fec.esi"]) == esi
        assert number_of(layers["rmt-lct.cci"]) == ours.cci == 0
        assert layers["rmt-lct.flags.close_session"] == layers["rmt-lct.flags.close_object"]
        assert layers["rmt-lct.flags.close_session"][0] in ("0", "False")
        fdt, fti = ours.extension(Extension.FDT), ours.extension(Extension.FTI)
        assert (fdt is not None) == ("rmt-lct.fdt_instance_id" in layers)
        if fdt is not None:
            assert number_of(layers["rmt-lct.fdt_instance_id"]) == ExtFdt.parse(fdt).instance
            assert number_of(layers["rmt-fec.fti.transfer_length"]) == ExtFtiNoCode.parse(fti).transfer_length


def number_of(shown: list[str]) -> int:
    return int(shown[0], 0)
