from collections import Counter

import numpy as np
import pytest

from carousel.errors import OperatorError
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.release.identity import Hardware
from carousel.ssu.dsmcc import MessageId, parse_dii, parse_dsi, parse_message, read_blocks
from carousel.ssu.modules import SsuModules, group_id_of, route_of
from carousel.ssu.psi import UpdateType, parse_nit_ouis, parse_pat, parse_pmt, parse_sdt_names
from carousel.ssu.reassembly import SectionFilter
from carousel.ssu.sections import parse_section
from carousel.ssu.transport import DATAGRAM_BYTES, DATAGRAM_PACKETS, RtpHeader, pids_of
from headend.cast.ssu import MAX_RELEASES
from headend.pack.ssuplan import SsuProfile
from tests.e2e.ssuloader import Refused, StrictLoader
from tests.headend.cast.ssustreams import RATE_BPS, Stream, assert_continuity, packets_in, sections_in

HARDWARE = Hardware(0x00A1B2, 7, 3)
MAIN, SIDECAR = 0x101, 0x102


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(1_500_001, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)


def messages(stream, kind, pid=MAIN):
    found = []
    for raw in sections_in(stream.packets, pid):
        if raw[0] == 0x3B:
            message_id, transaction, message = parse_message(parse_section(raw))
            if message_id == kind:
                found.append((transaction, message))
    return found


def pmts(stream):
    return [parse_section(raw) for raw in sections_in(stream.packets, 0x100)]


@pytest.mark.parametrize("profile", SsuProfile)
@pytest.mark.parametrize("size", [1, 1256, 400_000, 2_700_000])
@pytest.mark.parametrize("repair", [0.0, 1.0])
def test_a_cycle_carries_every_row_once_where_it_belongs(make_release, profile, size, repair):
    release = make_release(size, ssu_profile=profile, repair_ratio=repair, hardware=HARDWARE)
    modules = SsuModules(release.layout)
    stream = Stream.of(release).cycles(1)
    section_filter = SectionFilter(Counter())
    section_filter.wanted[[MAIN, SIDECAR]] = True
    seen: Counter[tuple[int, int, int]] = Counter()
    symbols = {}
    for rows in section_filter.receive(stream.packets):
        blocks = read_blocks(rows.rows)
        assert (route_of(blocks.download_id) == group_id_of(release.header.release_id, rows.pid == SIDECAR)).all()
        table = modules.main_table if rows.pid == MAIN else modules.sidecar_table
        numbers = (blocks.module & 0xFF).tolist()
        for module, block, data in zip(numbers, blocks.block.tolist(), blocks.data, strict=True):
            level, sbn, first, count = table[module].tolist()
            if count == 0:
                assert (rows.pid, module, block, data.tobytes()) == (SIDECAR, 0, 0, release.header.raw)
                continue
            assert block < count
            seen[level, sbn, first + block] += 1
            symbols[level, sbn, first + block] = data.tobytes()
    image = release.layout.objects[0]
    sbn, esi = image.symbols_of(np.arange(image.rows))
    shift = 24 if repair else 16
    sent = {int.from_bytes(row[24:28].tobytes(), "big"): row for row in release.packets[: image.rows]}
    for place in zip(sbn.tolist(), esi.tolist(), strict=True):
        assert seen[0, *place] == 1
        symbol = sent[place[0] << shift | place[1]][PLAIN_HEADER_BYTES:].tobytes()
        carried = symbols[0, *place]
        assert symbol[: len(carried)] == carried
        assert not any(symbol[len(carried) :])


def test_the_rate_is_constant_and_bursts_are_short(release):
    for rate_bps in (8e6, 200e6):
        stream = Stream.of(release, rate_bps=rate_bps).seconds(0.5)
        at = Counter(time_s for time_s, _ in stream.sent)
        assert max(at.values()) * DATAGRAM_BYTES * 8 <= max(DATAGRAM_BYTES * 8, rate_bps * 1.1e-3)
        sent_bits = np.arange(len(stream.sent)) * DATAGRAM_BYTES * 8
        lag_s = np.array([time_s for time_s, _ in stream.sent]) - sent_bits / rate_bps
        assert lag_s.min() > -1.1e-3
        assert lag_s.max() < 2.1e-3
        assert {len(datagram) for _, datagram in stream.sent} == {DATAGRAM_BYTES}


@pytest.mark.slow
@pytest.mark.parametrize("rate_bps", [1e6, 8e6, 50e6])
def test_tables_and_messages_come_as_often_as_they_must(release, rate_bps):
    stream = Stream.of(release, rate_bps=rate_bps).seconds(12)
    packets_s = np.repeat([time_s for time_s, _ in stream.sent], DATAGRAM_PACKETS)
    pids, starts = pids_of(stream.packets), (stream.packets[:, 1] & 0x40) != 0
    tables = stream.packets[:, 5]
    for pid, table, limit_s in ((0, 0, 0.5), (0x100, 2, 0.5), (0x11, 0x42, 2), (0x10, 0x40, 10), (MAIN, 0x3B, 1.1)):
        times = packets_s[(pids == pid) & starts & (tables == table)]
        assert np.diff([0, *times, stream.now]).max() <= limit_s, f"table {table:#x} on PID {pid:#x}"
    is_dii = starts & (stream.packets[:, 15] == 0x10) & (stream.packets[:, 16] == 0x02)
    for pid in (MAIN, SIDECAR):
        assert np.diff([0, *packets_s[is_dii & (pids == pid)], stream.now]).max() < 1.1


def test_tables_lead_to_the_carousel(release):
    stream = Stream.of(release).seconds(0.3)
    assert parse_pat(parse_section(sections_in(stream.packets, 0)[0])) == {1: 0x100}
    main, sidecar = parse_pmt(pmts(stream)[0])
    assert (main.pid, main.update_type, main.oui) == (MAIN, UpdateType.STANDARD, HARDWARE.oui)
    assert (sidecar.pid, sidecar.update_type, sidecar.oui) == (SIDECAR, UpdateType.PROPRIETARY, HARDWARE.oui)
    assert parse_nit_ouis(parse_section(sections_in(stream.packets, 0x10)[0])) == [HARDWARE.oui]
    assert parse_sdt_names(parse_section(sections_in(stream.packets, 0x11)[0])) == {1: "System software update"}
    transaction, message = messages(stream, MessageId.DSI)[0]
    (group,) = parse_dsi(message)
    assert transaction & 0xFFFE == 0
    assert group.private == release.header.raw
    dii_transaction, dii_message = messages(stream, MessageId.DII)[0]
    info = parse_dii(dii_transaction, dii_message)
    assert info.transaction_id == info.download_id == group.group_id == group_id_of(release.header.release_id)
    assert sum(module.size_bytes for module in info.modules) == group.size_bytes == 1_500_001


def test_continuity_runs_on_across_loops_and_swaps(make_release, release):
    other = make_release(700_000, version="1.5.0", ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    stream = Stream.of(release, rate_bps=20e6).cycles(2)
    stream.replace(other)
    stream.cycles(1)
    stream.replace(release, other)
    stream.seconds(stream.now + 0.5)
    assert_continuity(stream.packets)


def test_a_file_can_be_played_in_a_loop(release):
    stream = Stream.of(release, clock_pid=0xFF).cycles(1)
    recorded = b"".join(datagram for _, datagram in stream.sent)
    recorded += b"".join(bytes(batch.buffer[: batch.stride * batch.count]) for batch in stream.format.closing())
    assert len(recorded) % DATAGRAM_BYTES == 0
    assert_continuity(packets_in(recorded * 3))
    assert len(sections_in(packets_in(recorded), MAIN)) > 0


def test_a_swap_shows_in_every_place_where_boxes_look(make_release, release):
    other = make_release(700_000, version="1.5.0", ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    stream = Stream.of(release).seconds(0.5)
    before = Stream.of(release).seconds(0.5)
    stream.replace(other)
    stream.seconds(0.52)  # what was rendered already goes out first: 5 ms of it
    stream.sent.clear()
    stream.seconds(2.0)
    old, new = pmts(before)[0], pmts(stream)[0]
    assert new.version == (old.version + 1) % 32
    assert [each.pid for each in parse_pmt(new)] == [each.pid for each in parse_pmt(old)] == [MAIN, SIDECAR]
    assert parse_pmt(new)[0].update_version != parse_pmt(old)[0].update_version
    for kind in (MessageId.DSI, MessageId.DII):
        (old_id, old_message), (new_id, new_message) = messages(before, kind)[0], messages(stream, kind)[0]
        assert old_id & 1 != new_id & 1
    assert parse_dii(old_id, old_message).modules[0].version != parse_dii(new_id, new_message).modules[0].version
    groups = {int.from_bytes(raw[12:16], "big") for raw in sections_in(stream.packets, MAIN) if raw[0] == 0x3C}
    assert {group & ~1 for group in groups} <= {group_id_of(other.header.release_id)}


def test_the_same_release_says_the_same_from_every_head_end(release):
    one, other = Stream.of(release, seed=1).seconds(0.4), Stream.of(release, seed=2).seconds(0.4)
    for kind in (MessageId.DSI, MessageId.DII):
        assert messages(one, kind)[0] == messages(other, kind)[0]


def test_each_release_has_its_own_pids(make_release, release):
    others = [
        make_release(50_000 + model, ssu_profile=SsuProfile.STANDARD, hardware=Hardware(0x00A1B2, model, 1))
        for model in range(20, 20 + MAX_RELEASES)
    ]
    stream = Stream.of(release, *others[:2]).seconds(0.6)
    streams = parse_pmt(pmts(stream)[0])
    assert [each.pid for each in streams] == [0x101, 0x102, 0x103, 0x104, 0x105, 0x106]
    for pid, one in ((0x101, release), (0x103, others[0]), (0x105, others[1])):
        assert parse_dsi(messages(stream, MessageId.DSI, pid)[0][1])[0].private == one.header.raw
    stream.replace(others[1], others[2])
    stream.sent.clear()
    stream.seconds(stream.now + 0.6)
    assert parse_dsi(messages(stream, MessageId.DSI, 0x105)[0][1])[0].private == others[1].header.raw
    most = Stream.of(*others).seconds(0.5)
    assert len(parse_pmt(pmts(most)[0])) == 2 * MAX_RELEASES
    with pytest.raises(OperatorError, match="cast two streams"):
        Stream.of(release, *others)


def test_a_release_that_does_not_fit_is_refused(make_release):
    with pytest.raises(OperatorError, match="headend pack --ssu"):
        Stream.of(make_release(2_000_000, symbol_size=4072))


def test_modules_have_their_crc_whether_it_was_packed_or_not(make_release):
    """A release that happens to fit, but was packed without: its image is read once more."""
    packed = make_release(300_000, ssu_profile=SsuProfile.STANDARD, repair_ratio=0.0)
    plain = make_release(300_000, symbol_size=1256, repair_ratio=0.0)
    infos = []
    for release in (packed, plain):
        transaction, message = messages(Stream.of(release).seconds(0.3), MessageId.DII)[0]
        infos.append([module.descriptors for module in parse_dii(transaction, message).modules])
    assert infos[0] == infos[1]


def test_rtp_numbers_and_times_what_was_sent(release):
    stream = Stream.of(release, is_rtp=True).seconds(1.0)
    headers = [RtpHeader.parse(datagram) for _, datagram in stream.sent]
    assert [header.sequence for header in headers] == [number % 65536 for number in range(len(headers))]
    rate_bps = np.diff([header.timestamp for header in headers]).mean()
    assert rate_bps == pytest.approx(DATAGRAM_BYTES * 8 / RATE_BPS * 90_000, rel=1e-3)
    assert_continuity(packets_in(b"".join(datagram[12:] for _, datagram in stream.sent)))


@pytest.mark.parametrize("size", [1, 100_000, 2_000_000, 2_700_000])
def test_a_strict_loader_takes_the_image(make_release, size):
    release = make_release(size, ssu_profile=SsuProfile.FEW_MODULES, hardware=HARDWARE)
    stream = Stream.of(release, rate_bps=50e6).cycles(1)
    loader = StrictLoader(HARDWARE.oui, HARDWARE.model, HARDWARE.version, software_version=0x1000)
    image = loader.load(b"".join(datagram for _, datagram in stream.sent))
    assert image == b"".join(release.source_symbols(0, release.layout.objects[0].source_symbols))[:size]


def test_a_strict_loader_leaves_what_is_not_for_it(make_release):
    release = make_release(100_000, ssu_profile=SsuProfile.FEW_MODULES, hardware=HARDWARE)
    stream = b"".join(datagram for _, datagram in Stream.of(release).cycles(1).sent)
    for me in ((0x00A1B2, 7, 4, 0), (0x00A1B2, 8, 3, 0), (0x00A1B3, 7, 3, 0), (0x00A1B2, 7, 3, 0x1100)):
        assert StrictLoader(*me).load(stream) is None


def test_a_strict_loader_has_no_room_for_many_modules(make_release):
    release = make_release(2_700_000, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    stream = Stream.of(release, rate_bps=50e6).cycles(1)
    with pytest.raises(Refused, match="modules"):
        StrictLoader(0x00A1B2, 7, 3, 0).load(b"".join(datagram for _, datagram in stream.sent))
