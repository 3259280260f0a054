import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.flute.alc import (
    PLAIN_DTYPE,
    PLAIN_HEADER_BYTES,
    ExtFdt,
    ExtFtiNoCode,
    ExtFtiRaptorQ,
    PlainHeader,
    crc_of_packet,
    join_payload_id,
    parse_packet,
    plain_header,
    plain_prefix,
    render_packet,
    split_payload_id,
)
from carousel.release.blocks import FecId, ObjectGeometry
from carousel.take import Landing, Target, Targets, take

TSI, TOI = 0xB007CA57, 0x11223340
words = st.integers(0, 2**32 - 1)


def test_a_plain_packet_byte_for_byte():
    packet = render_packet(TSI, TOI, FecId.RAPTORQ, join_payload_id(2, 5, FecId.RAPTORQ), b"\xaa" * 8)
    head = bytes.fromhex("10a00606 00000000 b007ca57 11223340 78020000")
    assert packet[:20] == head
    assert packet[24:] == bytes.fromhex("02000005") + b"\xaa" * 8
    assert packet[20:24] == crc32(packet[:20] + packet[24:]).to_bytes(4, "big")


def test_fti_and_fdt_extensions_byte_for_byte():
    no_code = ExtFtiNoCode.build({"transfer_length": 0x010203040506, "symbol_size": 1440, "max_block_symbols": 7})
    assert no_code == bytes.fromhex("010203040506 0000 05a0 00000007")
    raptorq = {"transfer_length": 10**7, "symbol_size": 1440, "source_blocks": 3, "sub_blocks": 1, "alignment": 8}
    assert ExtFtiRaptorQ.build(raptorq) == bytes.fromhex("0000989680 00 05a0 03 0001 08 0000")
    assert ExtFdt.build({"version": 2, "instance": 0x12345}) == bytes.fromhex("212345")


@given(
    words,
    words,
    st.integers(0, 255),
    words,
    st.binary(max_size=64),
    st.lists(
        st.one_of(
            st.tuples(st.integers(128, 255), st.binary(min_size=3, max_size=3)),
            st.tuples(
                st.integers(0, 127).filter(lambda het: het != 120),
                st.integers(1, 4).flatmap(lambda n: st.binary(min_size=4 * n - 2, max_size=4 * n - 2)),
            ),
        ),
        max_size=4,
    ),
)
def test_what_is_rendered_is_parsed(tsi, toi, codepoint, payload_id, symbol, extensions):
    packet = parse_packet(render_packet(tsi, toi, codepoint, payload_id, symbol, tuple(extensions)))
    assert (packet.tsi, packet.toi, packet.codepoint, packet.cci) == (tsi, toi, codepoint, 0)
    assert (packet.payload_id, packet.symbol) == (payload_id, symbol)
    assert packet.extensions[1:] == tuple(extensions)
    assert not packet.close_session
    assert not packet.close_object


@given(st.integers(0, 3), st.integers(0, 1), st.integers(0, 3), st.integers(0, 1), st.data())
def test_all_widths_of_lct_fields_are_read(c, s, o, h, data):
    """RFC 5651 5.1: CCI 32(C+1) bits, TSI 32S+16H, TOI 32O+16H."""
    cci = data.draw(st.integers(0, 2 ** (32 * (c + 1)) - 1))
    tsi = data.draw(st.integers(0, 2 ** (32 * s + 16 * h) - 1))
    toi = data.draw(st.integers(0, 2 ** (32 * o + 16 * h) - 1))
    fields = cci.to_bytes(4 * (c + 1), "big") + tsi.to_bytes(4 * s + 2 * h, "big") + toi.to_bytes(4 * o + 2 * h, "big")
    flags = 1 << 12 | c << 10 | s << 7 | o << 5 | h << 4 | 0b11
    words_of_header = (4 + len(fields)) // 4
    raw = flags.to_bytes(2, "big") + bytes([words_of_header, 6]) + fields + b"\1\2\3\4" + b"symbol"
    packet = parse_packet(raw)
    assert (packet.cci, packet.tsi, packet.toi) == (cci, tsi, toi)
    assert packet.close_session
    assert packet.close_object
    assert packet.crc is None
    assert packet.symbol == b"symbol"


@given(st.binary(max_size=200))
def test_only_format_errors_escape_the_parser(raw):
    try:
        parse_packet(raw)
    except FormatError as error:
        assert error.reason


@given(st.data())
def test_only_format_errors_escape_for_nearly_good_packets(data):
    packet = bytearray(render_packet(TSI, TOI, 6, 5, b"s" * 16, ((64, b"f" * 14), (192, b"fdt"))))
    for _ in range(data.draw(st.integers(1, 3))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    try:
        parse_packet(bytes(packet[:cut]))
    except FormatError as error:
        assert error.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p[:10], "truncated"),
        (lambda p: b"\x20" + p[1:], "version"),
        (lambda p: p[:2] + b"\x02" + p[3:], "header_length"),
        (lambda p: p[:2] + b"\xff" + p[3:], "truncated"),
        (lambda p: p[:17] + b"\x00" + p[18:], "extension_length"),
        (lambda p: p[:17] + b"\x09" + p[18:], "extension_length"),
        (lambda p: p[:17] + b"\x01" + p[18:], "extension_length"),
        (lambda p: p[:-1] + b"\x00", "crc"),
    ],
)
def test_each_fault_has_its_name(change, reason):
    packet = render_packet(TSI, TOI, 6, 5, b"symbol!!")
    with pytest.raises(FormatError, match=reason):
        parse_packet(change(packet))


def test_the_dtype_is_the_struct():
    raw = bytes(range(PLAIN_HEADER_BYTES))
    fields = vars(PlainHeader.parse(raw))
    row = np.frombuffer(raw, dtype=PLAIN_DTYPE)[0]
    assert {name: int(row[name]) for name in PLAIN_DTYPE.names} == {name: fields[name] for name in PLAIN_DTYPE.names}


def test_payload_ids_of_both_codes():
    assert split_payload_id(0x02000005, FecId.RAPTORQ) == (2, 5)
    assert split_payload_id(0x00020005, FecId.NO_CODE) == (2, 5)
    with pytest.raises(ValueError, match="do not fit"):
        join_payload_id(256, 0, FecId.RAPTORQ)
    with pytest.raises(ValueError, match="do not fit"):
        join_payload_id(0, 65536, FecId.NO_CODE)


def test_the_crc_may_start_behind_the_constant_prefix():
    packet = render_packet(TSI, TOI, FecId.RAPTORQ, 77, b"x" * 40)
    prefix, start = plain_prefix(TSI, TOI, FecId.RAPTORQ)
    assert packet.startswith(prefix)
    assert crc32(packet[24:], start) == crc_of_packet(packet)
    assert plain_header(TSI, TOI, FecId.RAPTORQ)[:20] == prefix


def mutated_packets(data, size=64):
    packets = []
    for _ in range(data.draw(st.integers(1, 5))):
        packet = bytearray(
            render_packet(
                data.draw(st.sampled_from([TSI, TSI + 1])),
                data.draw(st.sampled_from([TOI, TOI + 1])),
                data.draw(st.sampled_from([6, 0])),
                data.draw(st.integers(0, 3)) << 24 | data.draw(st.integers(0, 40)),
                data.draw(st.binary(min_size=size, max_size=size)),
            )
        )
        for _ in range(data.draw(st.integers(0, 2))):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        packets.append(bytes(packet))
    return packets


@given(st.data())
def test_hot_and_cold_path_agree(data):
    """What the hot path takes, the cold path reads the same; what the cold path calls plain, the hot path takes."""
    packets = mutated_packets(data)
    geometry = ObjectGeometry(64 * 60, 64, 3, 20)
    landing = Landing(geometry, np.zeros((60, 64), np.uint8), np.zeros((60, 64), np.uint8))
    targets = Targets([Target(plain_prefix(TSI, TOI, FecId.RAPTORQ)[0], landing)])
    taken = take(targets, b"".join(packets), len(packets[0]), len(packets))
    expected: dict[int, bytes] = {}
    for raw in packets:
        try:
            packet = parse_packet(raw)
        except FormatError:
            continue
        is_plain = (
            (packet.tsi, packet.toi, packet.codepoint, packet.cci) == (TSI, TOI, 6, 0)
            and packet.crc is not None
            and raw[:4] == b"\x10\xa0\x06\x06"
            and packet.extensions[0][1][:2] == b"\0\0"
        )
        sbn, esi = split_payload_id(packet.payload_id, FecId.RAPTORQ)
        if is_plain and sbn < 3 and esi < 40:
            expected.setdefault(int(geometry.row_of(np.array([sbn]), np.array([esi]))[0]), packet.symbol)
    assert taken.rows[0].tolist() == list(expected)
    for row, symbol in expected.items():
        (sbn,), (esi,) = geometry.symbols_of(np.array([row]))
        slot = np.flatnonzero((landing.slot_sbn == sbn) & (landing.slot_esi == esi))
        found = landing.source[row] if esi < 20 else landing.repair[slot[0]]
        assert found.tobytes() == symbol


def test_construct_is_strict_about_reserved_fields():
    good = ExtFtiRaptorQ.build(
        {"transfer_length": 1, "symbol_size": 8, "source_blocks": 1, "sub_blocks": 1, "alignment": 8}
    )
    with pytest.raises(FormatError):
        ExtFtiRaptorQ.parse(good[:5] + b"\1" + good[6:])
