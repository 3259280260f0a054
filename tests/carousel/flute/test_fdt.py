import base64
import xml.etree.ElementTree as ET

from carousel.flute.alc import Extension, ExtFdt, ExtFtiNoCode, parse_packet
from carousel.flute.fdt import NTP_OFFSET_S, fdt_packets, fdt_xml, header_packet

NAMESPACE = {"f": "urn:ietf:params:xml:ns:fdt"}


def test_the_instance_lists_every_object(make_release):
    release = make_release(100_000, symbol_size=512)
    root = ET.fromstring(fdt_xml([release], 1_750_000_000))
    assert root.attrib["Expires"] == str(1_750_000_000 + NTP_OFFSET_S)
    files = {int(file.attrib["TOI"]): file.attrib for file in root.findall("f:File", NAMESPACE)}
    base = release.toi_base
    assert set(files) == {base + level for level in range(release.layout.top + 1)} | {base + 7}
    image = files[base]
    assert image["Transfer-Length"] == "100000"
    assert image["FEC-OTI-FEC-Encoding-ID"] == "6"
    scheme = base64.b64decode(image["FEC-OTI-Scheme-Specific-Info"])
    assert scheme == bytes([release.layout.objects[0].blocks, 0, 1, 8])
    assert base64.b64decode(image["Content-MD5"]) == release.md5[0]
    assert files[base + 7]["FEC-OTI-FEC-Encoding-ID"] == "0"


def test_packets_carry_the_instance(make_release):
    releases = [make_release(100_000 + size, symbol_size=512) for size in range(3)]
    packets = [parse_packet(raw) for raw in fdt_packets(releases, releases[0].tsi, 0x54321, 1_750_000_000)]
    assert len(packets) > 1
    for esi, packet in enumerate(packets):
        assert packet.toi == 0
        assert packet.payload_id == esi
        assert ExtFdt.parse(packet.extension(Extension.FDT)).instance == 0x54321
    fti = ExtFtiNoCode.parse(packets[0].extension(Extension.FTI))
    body = b"".join(packet.symbol for packet in packets)
    assert fti.transfer_length == len(body)
    assert body == fdt_xml(releases, 1_750_000_000)


def test_an_announcement_is_284_bytes_and_the_header(make_release):
    release = make_release(1000, symbol_size=512)
    raw = header_packet(release)
    assert len(raw) == 284
    packet = parse_packet(raw)
    assert packet.toi == release.toi_base + 7
    assert packet.symbol == release.header.raw
