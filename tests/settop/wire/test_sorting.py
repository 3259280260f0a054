"""The sorting by columns, held to the declared format packet by packet."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.flute.alc import parse_packet, render_packet
from carousel.flute.toi import BULLETIN_TOI, FDT_TOI, HEADER_TOI_OFFSET
from settop.wire.sorting import sort_packets

TSI = 77
tois = st.sampled_from([FDT_TOI, BULLETIN_TOI, 2, 7, 8, 14, 15, 0xFFFFFFF8, 0xFFFFFFFF])
rendered = st.builds(
    render_packet,
    st.sampled_from([TSI, TSI + 1]),
    tois,
    st.sampled_from([0, 6]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 3, 255, 256, 257, 1440]).map(bytes),
    st.sampled_from([(), ((64, bytes(14)),), ((192, bytes(3)),)]),
)


@st.composite
def any_packets(draw):
    packets = []
    for raw in draw(st.lists(rendered | st.binary(min_size=1, max_size=40), max_size=12)):
        changed = bytearray(raw)
        if draw(st.booleans()):
            changed[draw(st.integers(0, min(len(raw), 24) - 1))] ^= 1 << draw(st.integers(0, 7))
        packets.append(bytes(changed))
    return packets


@given(any_packets())
def test_each_packet_is_in_one_heap_and_the_declared_format_says_the_same(packets):
    table, at = [], 0
    for raw in packets:
        table.append((at, len(raw)))
        at += len(raw)
    flat = np.frombuffer(b"".join(packets), dtype=np.uint8)
    kinds = sort_packets(flat, np.array(table, dtype=np.int64).reshape(-1, 2), TSI)
    heaps = (kinds.foreign, kinds.fdt, kinds.bulletins, kinds.announcements, kinds.symbols, kinds.odd)
    assert sorted(np.concatenate(heaps).tolist()) == list(range(len(packets)))
    for heap, holds in (
        (kinds.foreign, lambda packet: packet.tsi != TSI),
        (kinds.fdt, lambda packet: packet.tsi == TSI and packet.toi == FDT_TOI),
        (kinds.bulletins, lambda packet: packet.tsi == TSI and packet.toi == BULLETIN_TOI),
        (kinds.announcements, lambda packet: packet.toi % 8 == HEADER_TOI_OFFSET and len(packet.symbol) == 256),
        (kinds.symbols, lambda packet: packet.toi >= 8 and packet.toi % 8 < HEADER_TOI_OFFSET),
    ):
        for index in heap.tolist():
            try:
                packet = parse_packet(packets[index])
            except FormatError:
                continue  # its CRC, or a length: found when somebody looks closer
            assert holds(packet)
            assert packet.tsi != TSI or kinds.toi[index] == packet.toi


def test_short_packets_alone_are_odd():
    kinds = sort_packets(np.zeros(3, np.uint8), np.array([[0, 1], [1, 2]]), TSI)
    assert kinds.odd.tolist() == [0, 1]
    assert not len(kinds.symbols)
