import numpy as np
import pytest

from carousel.errors import FormatError
from carousel.flute.alc import parse_packet, split_payload_id
from carousel.flute.releasefile import PREAMBLE_BYTES, Release
from carousel.release.blocks import FecId
from tests.conftest import noise


def test_every_packet_of_a_cycle_is_there_once(make_release):
    release = make_release(100_000, symbol_size=512)
    seen = set()
    for number in range(release.layout.rows):
        packet = parse_packet(bytes(release.packet_bytes(number, 1)))
        assert packet.tsi == release.tsi
        level = packet.toi - release.toi_base
        assert (level == 0) == (number < release.image_packets)
        sbn, esi = split_payload_id(packet.payload_id, FecId(packet.codepoint))
        row = release.layout.objects[level].row_of(np.array([sbn]), np.array([esi]))
        seen.add((level, int(row[0])))
    assert len(seen) == release.layout.rows


def test_the_image_is_in_its_source_packets(make_release):
    release = make_release(100_001, symbol_size=512)
    symbols = release.source_symbols(0, release.layout.objects[0].source_symbols)
    assert symbols.tobytes()[:100_001] == noise(100_001)


def test_urgent_packets_are_the_urgent_symbols(make_release):
    release = make_release(100_000, symbol_size=512)
    found = set()
    for number in release.urgent_packets().tolist():
        packet = parse_packet(bytes(release.packet_bytes(number, 1)))
        found.add((packet.toi - release.toi_base, split_payload_id(packet.payload_id, FecId.RAPTORQ)[1]))
    assert found == set(release.layout.urgent_symbols())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: raw[:100], "release_truncated"),
        (lambda raw: raw[:-1], "release_truncated"),
        (lambda raw: raw + b"\0", "release_truncated"),
        (lambda raw: b"XXXX" + raw[4:], "release_preamble"),
        (lambda raw: raw[:50] + bytes([raw[50] ^ 1]) + raw[51:], "release_preamble"),
        (lambda raw: bytes(PREAMBLE_BYTES), "release_preamble"),
    ],
)
def test_damaged_files_are_refused(make_release, damage, reason):
    raw = bytes(make_release(10_000, symbol_size=512).buffer)
    with pytest.raises(FormatError, match=reason):
        Release.parse(memoryview(damage(raw)))
