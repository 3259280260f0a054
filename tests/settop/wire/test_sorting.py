"""Each kind of packet is known by its first bytes; what is not wholly plain is odd, whatever it claims."""

import numpy as np
import pytest

from carousel.flute.alc import Extension, render_packet
from carousel.flute.toi import BULLETIN_TOI, FDT_TOI
from carousel.release.limits import MIN_SYMBOL_BYTES
from settop.wire.sorting import sort_packets

TSI, BASE = 7, 0xABCDEF08
SYMBOL = bytes(MIN_SYMBOL_BYTES)
KINDS = ("foreign", "fdt", "bulletins", "announcements", "symbols", "odd")


def plain(toi=BASE, content=SYMBOL, tsi=TSI, extensions=()):
    return render_packet(tsi, toi, 6, 0, content, extensions)


def changed(at, value):
    packet = bytearray(plain())
    packet[at] = value
    return bytes(packet)


def sort(packets):
    """Sort packets that lie behind some other bytes; return the indices of each kind."""
    flat, places = bytearray(b"\x10\xa0\x06\x06" * 9), []
    for packet in packets:
        places.append((len(flat), len(packet)))
        flat += packet
    table = np.array(places, dtype=np.int64).reshape(-1, 2)
    found = sort_packets(np.frombuffer(bytes(flat), dtype=np.uint8), table, TSI)
    assert found.toi.dtype == np.int64
    indices = {kind: getattr(found, kind).tolist() for kind in KINDS}
    assert sorted(index for kind in indices.values() for index in kind) == list(range(len(packets))), "each is one kind"
    return indices, found.toi.tolist()


def kind_of(packet):
    """The one kind that a packet is, before and behind others."""
    indices, _ = sort([packet])
    among, _ = sort([plain(), b"x", packet, plain(tsi=9)])
    (kind,) = (kind for kind in KINDS if indices[kind])
    assert 2 in among[kind]
    return kind


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (plain(), "symbols"),
        (plain(BASE + 6), "symbols"),
        (plain(content=bytes(MIN_SYMBOL_BYTES - 1)), "odd"),
        (plain(BASE + 7, bytes(256)), "announcements"),
        (plain(BASE + 7, bytes(257)), "odd"),
        (plain(BASE + 7, bytes(255)), "odd"),
        (plain(FDT_TOI, b"<xml>"), "fdt"),
        (plain(FDT_TOI, b"<xml>", extensions=((Extension.FDT, b"\x10\x00\x00"),)), "fdt"),
        (plain(BULLETIN_TOI, b"short"), "bulletins"),
        (plain(BULLETIN_TOI, b""), "bulletins"),
        (plain(2), "odd"),
        (plain(7, bytes(256)), "announcements"),
        (plain(tsi=TSI + 1), "foreign"),
        (plain(FDT_TOI, tsi=TSI + 1), "foreign"),
        (plain(BULLETIN_TOI, tsi=TSI + 1), "foreign"),
        (plain(extensions=((64, bytes(14)),)), "odd"),
        (plain()[:27], "odd"),
        (b"", "odd"),
        (changed(0, 0x20), "odd"),
        (changed(1, 0xA1), "odd"),
        (changed(2, 7), "odd"),
        (changed(4, 1), "odd"),
        (changed(16, Extension.CRC ^ 1), "odd"),
        (changed(17, 3), "odd"),
        (changed(19, 1), "odd"),
    ],
)
def test_what_a_packet_is(packet, kind):
    assert kind_of(packet) == kind


def test_order_of_arrival_is_kept_and_tois_are_told():
    packets = [plain(BASE + 1), plain(BASE + 7, bytes(256)), plain(BASE), plain(FDT_TOI), plain(BASE + 7, bytes(256))]
    indices, tois = sort(packets)
    assert (indices["symbols"], indices["announcements"], indices["fdt"]) == ([0, 2], [1, 4], [3])
    assert tois == [BASE + 1, BASE + 7, BASE, 0, BASE + 7]


def test_packets_without_a_whole_header_are_odd_all_of_them():
    assert sort([b"x", b"", plain()[:27]])[0]["odd"] == [0, 1, 2]
    assert sort([]) == ({kind: [] for kind in KINDS}, [])
