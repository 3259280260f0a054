"""The SSU wire: what comes off a transport stream, in virtual time, with losses, remultiplexers and forgers."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from carousel.flute.releasefile import Release
from carousel.release.identity import Hardware
from carousel.release.layout import ReleaseLayout
from carousel.release.trust import TrustRing
from carousel.ssu.crc import crc32_mpeg2
from carousel.ssu.dsmcc import CompatibilityKind, Device, Group, ddb, dsi
from carousel.ssu.modules import HEADER_MODULE, SsuModules, group_id_of
from carousel.ssu.psi import PAT_PID, Program, UpdateType, pat, pmt
from carousel.ssu.psi import Stream as PmtStream
from carousel.ssu.transport import (
    DATAGRAM_BYTES,
    NULL_PID,
    PACKET_BYTES,
    ContinuityCounters,
    cut_section,
    fill_datagrams,
    pids_of,
)
from carousel.take import Landing, Piece
from headend.pack.ssuplan import SsuProfile
from settop.stitch.seam import Announcement, Bulletin, Symbols
from settop.wire import early
from settop.wire import ssu as module
from settop.wire.bulletins import BULLETINS_PER_S, REPEATS_PER_S
from settop.wire.gate import CHECKS_PER_S
from settop.wire.ssu import SsuWire
from tests.carousel.ssu.test_reassembly import back_to_back
from tests.conftest import KEY, OTHER_KEY, noise, unsigned
from tests.headend.cast.ssustreams import Stream, packets_in
from tests.settop.wire.test_gate import forged, signed

HARDWARE = Hardware(0x00A1B2, 7, 3)
SIZE = 300_001
FUZZ_PACKETS = int(os.environ.get("BOOTCAST_FUZZ_PACKETS", "20000"))
"""Of each seed; a run of a million in all is a matter of 250,000 here."""


@dataclass
class Ear:
    """A wire, and a driver that opens all that is announced."""

    wire: SsuWire
    slots: int = 2000
    surplus: int = 0
    landings: dict = field(default_factory=dict)
    symbols: list[Symbols] = field(default_factory=list)
    announced: list = field(default_factory=list)
    bulletins: list[bytes] = field(default_factory=list)

    def hear(self, datagrams: list[bytes], now: float = 0.0) -> None:
        """Take datagrams of any sizes as one wake-up."""
        pieces, at = [], 0
        for datagram in datagrams:
            if pieces and pieces[-1].stride == len(datagram):
                pieces[-1] = Piece(pieces[-1].offset, len(datagram), pieces[-1].size + len(datagram))
            else:
                pieces.append(Piece(at, len(datagram), len(datagram)))
            at += len(datagram)
        for arrival in self.wire.receive(b"".join(datagrams), pieces, now):
            if isinstance(arrival, Announcement):
                self.open(arrival.header, now)
            elif isinstance(arrival, Bulletin):
                self.bulletins.append(arrival.raw)
            else:
                self.symbols.append(arrival)

    def open(self, header, now: float) -> None:
        self.announced.append(header)
        layout = ReleaseLayout.of_header(header)
        memory = [
            Landing(
                geometry,
                np.zeros((geometry.source_symbols, geometry.symbol_size), np.uint8),
                np.zeros((self.slots, geometry.symbol_size), np.uint8),
                self.surplus,
            )
            for geometry in layout.objects
        ]
        self.landings[header.release_id] = memory
        self.symbols += self.wire.open(header, layout, memory, now)

    def source(self, release: Release) -> bytes:
        return self.landings[release.header.release_id][0].source.tobytes()[: release.header.image_size]

    def has_all(self, release: Release) -> bool:
        """Whether each block has as many symbols as it has source symbols, and all of them are right."""
        landing = self.landings[release.header.release_id][0]
        image = release.layout.objects[0]
        held = np.flatnonzero(landing.held[: image.source_symbols])
        content = noise(release.header.image_size).ljust(image.source_symbols * image.symbol_size, b"\0")
        expected = np.frombuffer(content, dtype=np.uint8).reshape(-1, image.symbol_size)
        return bool((landing.source[held] == expected[held]).all()) and landing.wanted.max() == 0

    def held(self, release: Release) -> int:
        return int(self.landings[release.header.release_id][0].held.sum())


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(SIZE, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)


@pytest.fixture
def ear():
    return Ear(SsuWire(TrustRing.of([KEY.public_key()]), frozenset([HARDWARE.oui])))


def batches(datagrams: list, size: int) -> Iterator[list]:
    for start in range(0, len(datagrams), size):
        yield datagrams[start : start + size]


def hear_all(ear: Ear, sent: list[tuple[float, bytes]], size: int = 40) -> None:
    for some in batches(sent, size):
        ear.hear([datagram for _, datagram in some], some[-1][0])


@pytest.mark.slow
@pytest.mark.parametrize("profile", SsuProfile)
@pytest.mark.parametrize("size", [1, 1256, 500_000, 2_700_000])
@pytest.mark.parametrize("repair", [0.0, 1.0])
@pytest.mark.parametrize("batch", [1, 40, 10_000])
def test_the_image_lands_whole(make_release, ear, profile, size, repair, batch):
    release = make_release(size, ssu_profile=profile, hardware=HARDWARE, repair_ratio=repair)
    hear_all(ear, Stream.of(release, rate_bps=50e6).cycles(1).sent, batch)
    assert ear.announced == [release.header]
    layout = release.layout
    landings = ear.landings[release.header.release_id]
    assert ear.has_all(release)
    if repair == 0 or batch == 1:  # of what one wake-up brings, repair symbols may be taken first
        assert ear.source(release) == noise(size)
    rows = [
        np.concatenate([each.rows for each in ear.symbols if each.level == level]) for level in range(layout.top + 1)
    ]
    assert [len(np.unique(each)) for each in rows] == [len(each) for each in rows]
    assert 0 < len(rows[0]) == landings[0].held.sum()
    assert not ear.wire.stats.corrupt
    assert not dict(ear.wire.stats.rejected).keys() - {"early", "early_dropped", "header_repeated"}


@pytest.mark.parametrize("is_rtp", [False, True])
def test_repair_symbols_land_with_their_numbers(release, is_rtp):
    ear = Ear(SsuWire(TrustRing.of([KEY.public_key()]), frozenset([HARDWARE.oui]), is_rtp))
    sent = Stream.of(release, is_rtp=is_rtp, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:1] + sent[len(sent) * 3 // 4 :])
    landing = ear.landings[release.header.release_id][0]
    assert landing.repair_held.sum() > 10
    image = release.layout.objects[0]
    by_id = {int.from_bytes(row[24:28].tobytes(), "big"): row[28:] for row in release.packets[: image.rows]}
    for slot in np.flatnonzero(landing.slot_sbn >= 0).tolist():
        expected = by_id[int(landing.slot_sbn[slot]) << 24 | int(landing.slot_esi[slot])]
        assert landing.repair[slot].tobytes() == expected.tobytes()


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_a_lost_datagram_costs_only_its_own_sections(release, ear, loss):
    ear.surplus = 1000
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    rng = np.random.default_rng(5)
    kept = rng.random(len(sent)) >= loss
    hear_all(ear, [each for each, keep in zip(sent, kept, strict=True) if keep])
    assert ear.held(release) == pytest.approx((1 - loss) * release.image_packets, rel=0.08)
    heard = ear.wire.heard(release.header.release_id)
    assert heard.received == ear.held(release)
    assert heard.loss == pytest.approx(loss, abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("every", [5, 20])
def test_what_was_lost_before_the_header_came_counts(make_release, ear, every, batch):
    """Of a small image most comes early: each fifth datagram lost is a fifth, whenever the header is heard."""
    release = make_release(1_500_000, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    sent = Stream.of(release, rate_bps=40e6).cycles(1).sent
    kept = [each for at, each in enumerate(sent) if at % every]
    hear_all(ear, kept, batch)
    heard = ear.wire.heard(release.header.release_id)
    early = ear.wire.stats.rejected
    assert dict(early)["early"] > 100, "else this shows nothing"
    assert heard.loss == pytest.approx(1 / every, abs=0.01)


def remultiplexed(datagrams: list[bytes], pids: dict[int, int], packets_a_datagram: int) -> list[bytes]:
    """What a remultiplexer does: PIDs renumbered (and the tables that name them), null packets dropped, cut anew."""
    packets = packets_in(b"".join(datagrams)).copy()
    old = pids_of(packets)
    for before, after in pids.items():
        mine = old == before
        packets[mine, 1] = packets[mine, 1] & 0xE0 | after >> 8
        packets[mine, 2] = after & 0xFF
    streams = [PmtStream(pids[0x101], 1, HARDWARE.oui, UpdateType.STANDARD, 1)]
    streams.append(PmtStream(pids[0x102], 2, HARDWARE.oui, UpdateType.PROPRIETARY, 1))
    program = Program(pmt_pid=0x400)
    tables = {0: pat(program), 0x100: pmt(program, streams, 0)}
    out, counters = [], ContinuityCounters()
    for packet, pid in zip(packets, old.tolist(), strict=True):
        if pid in tables:
            out.append(cut_section(tables[pid], {0: 0, 0x100: 0x400}[pid])[:1])
        elif pid in pids:
            out.append(packet[None].copy())
    stream = np.concatenate(out)
    counters.stamp(stream)
    flat = stream.tobytes()
    step = 188 * packets_a_datagram
    return [flat[start : start + step] for start in range(0, len(flat), step)]


@pytest.mark.parametrize("packets_a_datagram", [1, 3, 7])
def test_a_remultiplexer_in_between_does_not_matter(release, ear, packets_a_datagram):
    datagrams = [datagram for _, datagram in Stream.of(release, rate_bps=50e6).cycles(1).sent]
    for some in batches(remultiplexed(datagrams, {0x101: 0x500, 0x102: 0x321}, packets_a_datagram), 50):
        ear.hear(some)
    assert ear.has_all(release)


def test_without_the_sidecar_the_header_comes_with_the_dsi(make_release, ear):
    release = make_release(SIZE, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE, repair_ratio=0.0)
    packets = Stream.of(release, rate_bps=50e6).cycles(1).packets
    packets = packets[pids_of(packets) != 0x102]
    for some in batches([packet.tobytes() for packet in packets], 500):
        ear.hear(some)
    assert ear.announced == [release.header]
    assert ear.source(release) == noise(SIZE)
    for some in batches([packet.tobytes() for packet in packets], 500):
        ear.hear(some, 5.0)
    assert ear.wire.heard(release.header.release_id).last_s == 5.0


def test_streams_of_other_makers_are_not_looked_at(make_release, ear):
    theirs = make_release(SIZE, ssu_profile=SsuProfile.STANDARD, hardware=Hardware(0x123456, 7, 3))
    ours = make_release(SIZE, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE, version="1.5.0")
    hear_all(ear, Stream.of(theirs, ours, rate_bps=50e6).cycles(1).sent)
    assert ear.has_all(ours)
    assert not ear.wire._filter.wanted[0x101]
    assert ear.wire._filter.wanted[0x103]


def test_symbols_before_the_header_are_kept(release, ear):
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    announcing = [each for each in sent if b"BCIH" in each[1]]
    plain = [each for each in sent if b"BCIH" not in each[1]]
    hear_all(ear, plain[:100])  # some of them are of digest levels
    assert not ear.announced
    hear_all(ear, announcing[:1])
    assert ear.held(release) >= 80
    assert dict(ear.wire.stats.rejected)["early"] >= 90


def test_a_header_is_announced_once_until_it_is_forgotten(release, ear):
    sent = Stream.of(release, rate_bps=50e6).seconds(1.0).sent
    hear_all(ear, sent)
    assert len(ear.announced) == 1
    ear.wire.close(release.header.release_id)
    ear.wire.forget(release.header.release_id)
    assert ear.wire.heard(release.header.release_id).last_s == float("-inf")
    hear_all(ear, [(time_s + 1, datagram) for time_s, datagram in sent])
    assert len(ear.announced) == 2


def test_a_header_by_a_stranger_is_refused(make_release, ear):
    strange = make_release(SIZE, key=OTHER_KEY, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    hear_all(ear, Stream.of(strange, rate_bps=50e6).seconds(0.3).sent)
    assert not ear.announced
    assert dict(ear.wire.stats.rejected)["unknown_key"] > 0


def test_a_closed_release_is_touched_no_more(release, ear):
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:50])
    before = ear.held(release)
    ear.wire.close(release.header.release_id)
    hear_all(ear, sent[50:])
    assert ear.held(release) == before
    assert dict(ear.wire.stats.rejected)["refused_release"] > 0


# --- forgers and broken streams ------------------------------------------------------------------------------


def datagrams_of(*sections: bytes, pid: int = 0x101) -> list[bytes]:
    filled = fill_datagrams([cut_section(section, pid) for section in sections])
    ContinuityCounters().stamp(filled)
    return [filled[start : start + 7].tobytes() for start in range(0, len(filled), 7)]


def test_a_forged_block_lands_like_any_other(release, ear):
    """It costs a hash later: nothing here can tell it from a good one."""
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:10])
    group = group_id_of(release.header.release_id)
    forged = ddb(group, (group & 0xFF) << 8 | 0, 0, 5, 240, b"\xee" * 1256)
    ear.hear(datagrams_of(forged))
    landing = ear.landings[release.header.release_id][0]
    assert landing.source[5].tobytes() in (b"\xee" * 1256, noise(SIZE)[5 * 1256 : 6 * 1256])
    hear_all(ear, sent[10:])
    assert ear.held(release) >= release.layout.objects[0].source_symbols


@pytest.mark.slow
def test_forged_tables_take_nothing_away(release, ear):
    """A PAT and a PMT that lead elsewhere, a thousand of them: what was heard before goes on being heard."""
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:20])
    for number in range(1000):
        program = Program(service_id=number + 1, pmt_pid=0x600 + number)
        stream = PmtStream(0x1000 + number, 1, HARDWARE.oui, UpdateType.STANDARD, number % 32)
        ear.hear(datagrams_of(pat(program), pid=0) + datagrams_of(pmt(program, [stream], number % 32), pid=0x100))
    hear_all(ear, sent[20:])
    assert ear.has_all(release)
    assert len(ear.wire._known) <= 256


def test_two_carousels_of_one_maker_and_one_of_them_lies(release, ear):
    """A DSI that carries the good header with another group, and blocks under that group: no harm."""
    devices = (Device(CompatibilityKind.HARDWARE, HARDWARE.oui, 7, 3),)
    group = Group(0x80001234, 5, devices, release.header.raw)
    lies = datagrams_of(dsi(0x80000000, group), ddb(0x80001234, 0x3400, 0, 0, 1, b"\xbb" * 1256), pid=0x102)
    for time_s, datagram in Stream.of(release, rate_bps=50e6).cycles(1).sent:
        ear.hear([datagram, *lies], time_s)
    assert ear.announced == [release.header]
    assert ear.has_all(release)


def test_blocks_that_the_release_does_not_have_are_counted(release, ear):
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:5])
    group = group_id_of(release.header.release_id)
    first = (group & 0xFF) << 8
    bad = [
        ddb(group, first | 200, 0, 0, 1, bytes(1256)),
        ddb(group, first, 0, 999, 1000, bytes(1256)),
        ddb(group, first, 0, 1, 9, bytes(1248)),
        ddb(group, first, 0, 1, 9, bytes(1264)),
    ]
    ear.hear(datagrams_of(*bad))
    assert dict(ear.wire.stats.rejected)["out_of_range"] == 4


def test_a_block_of_another_size_is_the_last_one_or_none(release, ear):
    """The image's last block is as long as what is left; neither its place nor its size alone makes it that."""
    header = unsigned(release.header, source_blocks=2).sign(KEY)
    ear.open(header, 0.0)
    layout, landing = ReleaseLayout.of_header(header), ear.landings[header.release_id][0]
    image, modules = layout.objects[0], SsuModules(layout)
    main, sidecar = (group_id_of(header.release_id, each) for each in (False, True))
    rest = SIZE % 1256
    (last, block), first_repair = (1, int(image.block_sizes[1]) - 1), modules.sidecar_modules - 2

    def hear(group, module, number, size):
        before = rejected(ear).get("out_of_range", 0), landing.held.sum()
        ear.hear(datagrams_of(ddb(group, (group & 0xFF) << 8 | module, 0, number, 250, b"x" * size)))
        return rejected(ear).get("out_of_range", 0) - before[0], landing.held.sum() - before[1]

    assert hear(main, last, block, rest + 1) == (1, 0), "its place, another size"
    assert hear(main, last, block - 1, rest) == (1, 0), "its size, another place"
    assert hear(main, last - 1, block, rest) == (1, 0), "its number, in another block"
    assert hear(sidecar, first_repair, 0, rest) == (1, 0), "repair symbols are whole"
    assert hear(sidecar, first_repair, 0, 1256) == (0, 1)
    assert hear(main, last, block, rest) == (0, 1)
    assert landing.source[image.source_symbols - 1].tobytes() == b"x" * rest + bytes(1256 - rest)


def test_bulletins_come_as_they_are(release, ear):
    hear_all(ear, Stream.of(release).seconds(0.1).sent)
    group = group_id_of(release.header.release_id, is_sidecar=True)
    ear.hear(datagrams_of(ddb(group, (group & 0xFF) << 8 | 1, 0, 0, 1, b"a decision"), pid=0x102))
    assert ear.bulletins == [b"a decision"]


def mutated(rng: np.random.Generator, packets: np.ndarray) -> np.ndarray:
    """Packets with bits flipped, bytes set, packets repeated, dropped, swapped."""
    count = len(packets)
    packets = packets[np.sort(rng.integers(0, count, count))] if rng.random() < 0.3 else packets.copy()
    hurt = rng.random(len(packets)) < 0.3
    for row in np.flatnonzero(hurt).tolist():
        at = int(rng.integers(0, 30 if rng.random() < 0.7 else 188))
        packets[row, at] = rng.integers(0, 256) if rng.random() < 0.5 else packets[row, at] ^ 1 << int(rng.integers(8))
    return packets


@pytest.mark.parametrize("seed", range(4))
def test_mutated_packets_harm_nothing(release, seed, record_property):
    print(f"seed {seed}")
    rng = np.random.default_rng([seed, 99])
    ear = Ear(SsuWire(TrustRing.of([KEY.public_key()]), frozenset([HARDWARE.oui])))
    good = Stream.of(release, rate_bps=50e6).cycles(1)
    packets, now = good.packets, 0.0
    tried = 0
    while tried < FUZZ_PACKETS:
        some = mutated(rng, packets[: int(rng.integers(7, len(packets)))])
        per_datagram = int(rng.integers(1, 8))
        flat = some.tobytes()
        ear.hear([flat[at : at + 188 * per_datagram] for at in range(0, len(flat), 188 * per_datagram)], now)
        now += 0.01
        tried += len(some)
    record_property("mutated transport packets", tried)
    assert len(ear.wire._filter._states) <= 64
    assert len(ear.wire._known) <= 256
    hear_all(ear, [(now + time_s, datagram) for time_s, datagram in good.sent])
    assert ear.held(release) >= release.layout.objects[0].source_symbols


def test_lengths_that_lie_and_pointers_into_nowhere_are_counted(release, ear):
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:10])
    lying = packets_in(sent[12][1]).copy()
    lying[0, 6:8] = (0xBF, 0xFF)
    nowhere = packets_in(sent[13][1]).copy()
    nowhere[0, 4] = 200
    wrong = bytearray(sent[14][1])
    wrong[100] ^= 1
    ear.hear([lying.tobytes(), nowhere.tobytes(), bytes(wrong)])
    rejected = dict(ear.wire.stats.rejected)
    assert rejected["pointer"] == 1
    assert ear.wire.stats.corrupt >= 1
    hear_all(ear, sent[10:])
    assert ear.has_all(release)


def test_datagrams_of_any_size_are_counted(ear):
    ear.hear([b"", b"x", bytes(DATAGRAM_BYTES), b"", bytes(1000), b"\x47" * 188])
    assert dict(ear.wire.stats.rejected)["datagram_size"] >= 2


# --- books -----------------------------------------------------------------------------------------------------


def rejected(ear):
    return dict(ear.wire.stats.rejected)


def test_each_symbol_that_lands_is_told_once_whatever_came_in_its_wake_up(release, ear):
    hear_all(ear, Stream.of(release, rate_bps=50e6).cycles(1).sent, size=300)
    landings = ear.landings[release.header.release_id]
    for level, landing in enumerate(landings):
        told = [row for each in ear.symbols if each.level == level for row in each.rows.tolist()]
        assert len(told) == len(set(told))
        assert set(np.flatnonzero(landing.held).tolist()) <= set(told)
    filled = [sbn for each in ear.symbols if each.level == 0 for sbn in each.filled]
    assert sorted(filled) == list(range(release.layout.objects[0].blocks))
    assert {each.release for each in ear.symbols} == {release.header.release_id}


def test_a_wake_up_without_packets_brings_nothing(ear):
    assert ear.wire.receive(b"", [], 0.0) == []
    ear.hear([b""])
    assert ear.wire.stats.rejected == ()
    ear.hear([b"\x47\x05\x00\x10" + bytes(184)], 1.0 + module.BLIND_S)
    assert ear.wire._filter.wanted[0x500], "the time in which it looks around begins with the first packet"


def test_who_looks_at_no_strange_pid_is_led_by_pat_and_pmt_alone(release, ear, monkeypatch):
    monkeypatch.setattr(module, "BLIND_PIDS", 1)
    hear_all(ear, Stream.of(release, rate_bps=8e6).cycles(1).sent)
    assert ear.has_all(release)
    assert np.flatnonzero(ear.wire._filter.wanted).tolist() == [PAT_PID, 0x100, 0x101, 0x102]


def test_strange_pids_are_looked_at_for_a_while_and_so_many(release, ear, monkeypatch):
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    packets = packets_in(b"".join(datagram for _, datagram in sent))
    blind = [packet.tobytes() for packet in packets if pids_of(packet[None])[0] in (0x101, 0x102)]
    ear.hear([b"\x47\x1f\xff\x10" + bytes(184)], 10.0)
    assert not ear.wire._filter.wanted[NULL_PID]
    ear.hear(blind, 10.0 + module.BLIND_S)
    assert ear.has_all(release)
    late = Ear(SsuWire(ear.wire.trust, ear.wire.ouis))
    late.hear([b"\x47\x1f\xff\x10" + bytes(184)], 10.0)
    late.hear(blind, 10.0 + module.BLIND_S + 0.01)
    assert late.announced == []
    crowd = Ear(SsuWire(ear.wire.trust, ear.wire.ouis))
    crowd.hear([bytes([0x47, 0x05, pid, 0x10]) + bytes(184) for pid in range(40)], 0.0)
    assert np.count_nonzero(crowd.wire._filter.wanted) == module.BLIND_PIDS
    assert crowd.wire._filter.wanted[0x500]
    crowd.hear(datagrams_of(pat(Program(service_id=1, pmt_pid=0x600)), pid=PAT_PID))
    assert crowd.wire._filter.wanted[0x600], "the PAT is read whatever came before"


def test_tables_beyond_an_allowance_are_counted_and_known_ones_cost_none_of_it(release, monkeypatch):
    monkeypatch.setattr(module, "TABLES_PER_S", 4)
    monkeypatch.setattr(module, "MAX_KNOWN_TABLES", 3)
    ear = Ear(SsuWire(TrustRing.of([KEY.public_key()]), frozenset([HARDWARE.oui])))
    tables = [
        datagrams_of(pat(Program(service_id=number + 1, pmt_pid=0x600 + number)), pid=PAT_PID) for number in range(9)
    ]
    for number in (0, 0, 1, 1, 2, 2, 3, 3):
        ear.hear(tables[number], 1.0)
    assert rejected(ear) == {}
    assert len(ear.wire._known) == 3
    for number in (3, 4, 5):
        ear.hear(tables[number], 1.0)
    assert rejected(ear) == {"tables_dropped": 2}
    ear.hear(tables[0], 2.0)
    assert rejected(ear) == {"tables_dropped": 2}
    assert np.count_nonzero(ear.wire._filter.wanted[0x600:0x610]) == 4


def test_packets_that_have_to_be_walked_have_an_allowance_a_second(monkeypatch):
    monkeypatch.setattr(module, "ODD_PACKETS_PER_S", 40)
    ear = Ear(SsuWire(TrustRing.of([KEY.public_key()]), frozenset([HARDWARE.oui])))
    blocks = [ddb(0x80001234, 0x3400, 0, block, 9, b"\xbb" * 700) for block in range(9)]
    stream = back_to_back(blocks, 0x101)
    assert 32 < len(stream) < 40
    heard = []
    for now in (0.0, 0.0, 1.0):
        ear.hear([packet.tobytes() for packet in stream], now)
        heard.append(rejected(ear).get("early", 0))
    assert heard[0] == 9
    assert heard[1] <= 10, "five packets are left of it"
    assert heard[2] >= heard[1] + 8


def test_only_so_many_pmts_are_followed(ear, monkeypatch):
    monkeypatch.setattr(module, "MAX_PMTS", 2)
    monkeypatch.setattr(module, "BLIND_PIDS", 1)
    for number in range(5):
        ear.hear(datagrams_of(pat(Program(service_id=number + 1, pmt_pid=0x600 + number)), pid=PAT_PID))
    assert np.flatnonzero(ear.wire._filter.wanted).tolist() == [PAT_PID, 0x600, 0x601]


def test_a_pmt_that_came_before_its_pat_is_read_when_it_comes_again(ear, monkeypatch):
    """In a stream of many PIDs a box comes across the one as well as the other first."""
    monkeypatch.setattr(module, "BLIND_PIDS", 2)
    stream = PmtStream(0x300, 1, HARDWARE.oui, UpdateType.STANDARD, 1)
    for _ in range(2):
        ear.hear(datagrams_of(pmt(Program(service_id=1, pmt_pid=0x111), [stream], 1), pid=0x111))
        assert not ear.wire._filter.wanted[0x300]
    ear.hear(datagrams_of(pat(Program(service_id=1, pmt_pid=0x111)), pid=PAT_PID))
    ear.hear(datagrams_of(pmt(Program(service_id=1, pmt_pid=0x111), [stream], 1), pid=0x111))
    assert ear.wire._filter.wanted[0x300]


@pytest.mark.parametrize(("oui", "is_ours"), [(HARDWARE.oui, True), (0x00015A, True), (0x123456, False)])
def test_a_pmt_names_pids_for_this_maker_or_for_any(ear, monkeypatch, oui, is_ours):
    monkeypatch.setattr(module, "BLIND_PIDS", 2)
    stream = PmtStream(0x300, 1, oui, UpdateType.STANDARD, 1)
    ear.hear(datagrams_of(pmt(Program(service_id=1, pmt_pid=0x111), [stream], 1), pid=0x111))
    assert not ear.wire._filter.wanted[0x300], "no PAT has named this PMT"
    ear.hear(datagrams_of(pat(Program(service_id=1, pmt_pid=0x111)), pid=0x111))
    ear.hear(datagrams_of(pmt(Program(service_id=1, pmt_pid=0x111), [stream], 1), pid=0x111))
    assert not ear.wire._filter.wanted[0x300], "a PAT is on PID 0"
    ear.hear(datagrams_of(pat(Program(service_id=1, pmt_pid=0x111)), pid=PAT_PID))
    ear.hear(datagrams_of(pmt(Program(service_id=1, pmt_pid=0x111), [stream], 1), pid=0x111))
    assert bool(ear.wire._filter.wanted[0x300]) == is_ours
    assert ear.wire._is_led == is_ours
    assert ear.wire._filter.wanted[[PAT_PID, 0x111]].all()


def test_early_blocks_for_which_there_is_no_room_are_counted(release, ear, monkeypatch):
    monkeypatch.setattr(early, "MAX_BYTES", 4 * 1400)
    sent = [each for each in Stream.of(release, rate_bps=50e6).cycles(1).sent if b"BCIH" not in each[1]]
    hear_all(ear, sent[:30], size=1)
    counts = rejected(ear)
    assert counts["early"] == 4
    assert counts["early_dropped"] > 10
    fresh = Ear(SsuWire(ear.wire.trust, ear.wire.ouis))
    fresh.hear(datagrams_of(*[ddb(0x80001234, 0x3400, 0, block, 9, b"\xbb" * 1256) for block in range(9)]))
    assert rejected(fresh) == {"early": 4, "early_dropped": 5}


def test_what_was_heard_long_ago_makes_room_for_what_is_heard_now(ear, monkeypatch):
    monkeypatch.setattr(early, "MAX_RELEASES", 1)
    ear.hear(datagrams_of(*[ddb(0x80001234, 0x3400, 0, block, 9, b"\xbb" * 1256) for block in range(8)]))
    for now in (100.0, 105.0, 110.0):
        ear.hear(datagrams_of(*[ddb(0x80005678, 0x7800, 0, block, 9, b"\xcc" * 1256) for block in range(2)]), now)
    assert rejected(ear) == {"early": 10, "early_dropped": 4}, "eight have become one, and two are heard now and then"


def test_what_is_heard_of_a_release_is_counted_opened_or_not(release, ear):
    release_id = release.header.release_id
    assert ear.wire.heard(release_id).last_s == float("-inf")
    stream = Stream.of(release, rate_bps=50e6).cycles(1)
    hear_all(ear, stream.sent)
    heard = ear.wire.heard(release_id)
    image = release.layout.objects[0]
    assert heard.last_s == stream.sent[-1][0]
    assert 0.8 * image.rows < heard.received <= image.rows
    assert (heard.lost, heard.loss) == (0, 0.0)
    assert heard.expected >= heard.received
    ear.wire.close(release_id)
    hear_all(ear, [(time_s + 9, datagram) for time_s, datagram in stream.sent])
    again = ear.wire.heard(release_id)
    assert again.received > 1.5 * heard.received
    assert again.last_s == stream.sent[-1][0] + 9
    assert rejected(ear)["refused_release"] > image.source_symbols


def test_blocks_that_are_held_or_not_wanted_or_find_no_room_are_counted(release, ear):
    sent, image = Stream.of(release, rate_bps=50e6).cycles(1).sent, release.layout.objects[0]
    hear_all(ear, sent)
    landing, before = ear.landings[release.header.release_id][0], ear.wire.stats
    assert before.ignored > 0
    landing.wanted[:] = image.rows
    landing.free_count[0] = 0
    hear_all(ear, sent)
    assert ear.wire.stats.duplicates == before.duplicates + np.count_nonzero(landing.held)
    assert rejected(ear)["no_room"] > image.repair_symbols // 2
    assert ear.wire.stats.ignored >= before.ignored


def test_blocks_that_contradict_their_section_are_counted_and_nothing_else(release, ear):
    hear_all(ear, Stream.of(release, rate_bps=50e6).cycles(1).sent[:5])
    group = group_id_of(release.header.release_id)
    good = ddb(group, (group & 0xFF) << 8, 0, 9, 240, b"\xee" * 1256)
    bad = bytearray(good[:-4])
    bad[6] ^= 1  # the section's number
    before = ear.held(release)
    ear.hear(datagrams_of(bytes(bad) + crc32_mpeg2(bytes(bad)).to_bytes(4, "big"), good))
    assert rejected(ear)["odd_blocks"] == 1
    ear.hear(datagrams_of(bytes(bad) + crc32_mpeg2(bytes(bad)).to_bytes(4, "big")))
    assert rejected(ear)["odd_blocks"] == 2
    assert ear.held(release) == before + 1


def test_bulletins_have_an_allowance(release, ear, monkeypatch):
    hear_all(ear, Stream.of(release).seconds(0.1).sent)
    group = group_id_of(release.header.release_id, is_sidecar=True)
    bulletins = [ddb(group, (group & 0xFF) << 8 | 1, 0, 0, 1, b"decision %03d" % number) for number in range(700)]
    for at in range(0, 700, 100):
        ear.hear(datagrams_of(*bulletins[at : at + 100], pid=0x102), 5.0)
    assert len(ear.bulletins) == BULLETINS_PER_S
    assert rejected(ear)["bulletin_dropped"] == 700 - BULLETINS_PER_S
    ear.hear(datagrams_of(*bulletins[:1] * 9, pid=0x102), 6.5)
    assert len(ear.bulletins) == BULLETINS_PER_S + REPEATS_PER_S


def test_datagrams_of_several_sizes_in_one_wake_up_are_read_in_order(release, ear):
    packets = Stream.of(release, rate_bps=50e6).cycles(1).packets
    sizes = itertools.cycle([7, 1, 3, 7, 2])
    datagrams, at = [], 0
    while at < len(packets):
        count = next(sizes)
        datagrams.append(packets[at : at + count].tobytes())
        at += count
    for some in batches(datagrams, 60):
        ear.hear(some)
    assert ear.has_all(release)
    assert rejected(ear).get("datagram_size", 0) == 0


def test_the_last_datagram_of_a_piece_may_be_shorter(release, ear):
    packets = Stream.of(release, rate_bps=50e6).cycles(1).packets[: 7 * 20 + 3]
    flat = packets.tobytes()
    (arrival,) = (
        each
        for each in ear.wire.receive(flat, [Piece(0, DATAGRAM_BYTES, len(flat))], 0.0)
        if isinstance(each, Announcement)
    )
    assert arrival.header == release.header
    assert rejected(ear).get("datagram_size", 0) == 0


def test_blocks_of_several_sizes_in_one_wake_up_all_land(release, ear):
    sent = Stream.of(release, rate_bps=50e6).cycles(1).sent
    hear_all(ear, sent[:5])
    main, sidecar = (group_id_of(release.header.release_id, each) for each in (False, True))
    rest = SIZE % 1256
    ear.symbols.clear()
    ear.hear(datagrams_of(
        ddb(main, (main & 0xFF) << 8, 0, 9, 240, b"a" * 1256),
        ddb(main, (main & 0xFF) << 8, 0, SIZE // 1256, 240, b"b" * rest),
        ddb(sidecar, (sidecar & 0xFF) << 8 | 1, 0, 0, 1, b"a bulletin"),
    ))  # fmt: skip
    assert sorted(row for each in ear.symbols for row in each.rows.tolist()) == [9, SIZE // 1256]
    assert ear.bulletins == [b"a bulletin"]


def test_a_wake_up_of_the_second_module_alone_is_of_symbols(make_release, ear):
    """It has the number that bulletins have in the sidecar."""
    release = make_release(500_000, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    ear.open(release.header, 0.0)
    main = group_id_of(release.header.release_id)
    ear.hear(datagrams_of(ddb(main, (main & 0xFF) << 8 | 1, 0, 7, 240, b"a" * 1256)))
    assert ear.bulletins == []
    assert [each.rows.tolist() for each in ear.symbols] == [[256 + 7]]


def test_a_block_beyond_its_module_is_none_though_its_place_would_be_the_last(make_release, ear):
    release = make_release(500_000, ssu_profile=SsuProfile.STANDARD, hardware=HARDWARE)
    ear.open(release.header, 0.0)
    main, last = group_id_of(release.header.release_id), 500_000 // 1256
    ear.hear(datagrams_of(ddb(main, (main & 0xFF) << 8, 0, last, 240, b"a" * (500_000 % 1256))))
    assert (ear.symbols, rejected(ear)) == ([], {"out_of_range": 1})
    ear.hear(datagrams_of(ddb(main, (main & 0xFF) << 8 | 1, 0, last - 256, 240, b"a" * (500_000 % 1256))))
    assert [each.rows.tolist() for each in ear.symbols] == [[last]]


def test_a_wake_up_of_symbols_as_long_as_a_header_is_of_symbols(release, ear):
    header = unsigned(release.header, symbol_size=256, image_size=25_600, source_blocks=1, repair_per_block=9).sign(KEY)
    ear.open(header, 0.0)
    main = group_id_of(header.release_id)
    ear.hear(datagrams_of(ddb(main, (main & 0xFF) << 8, 0, 7, 99, b"a" * 256)))
    assert [each.rows.tolist() for each in ear.symbols] == [[7]]


def test_a_release_that_nobody_announced_may_be_opened_and_closed(release, ear):
    ear.wire.close(release.header.release_id)
    ear.wire.forget(release.header.release_id)
    ear.open(release.header, 3.0)
    assert ear.wire.heard(release.header.release_id).last_s == 3.0
    main = group_id_of(release.header.release_id)
    ear.hear(datagrams_of(ddb(main, (main & 0xFF) << 8, 0, 9, 240, b"a" * 1256)), 4.0)
    heard = ear.wire.heard(release.header.release_id)
    assert (heard.received, heard.last_s) == (1, 4.0)


def header_section(header):
    sidecar = group_id_of(header.release_id, is_sidecar=True)
    return ddb(sidecar, (sidecar & 0xFF) << 8 | HEADER_MODULE, 0, 0, 1, header.raw)


def test_an_opened_release_is_heard_by_its_header_too(release, ear):
    for now in (1.0, 9.0):
        ear.hear(datagrams_of(header_section(release.header), pid=0x102), now)
    assert ear.announced == [release.header]
    assert ear.wire.heard(release.header.release_id).last_s == 9.0


def test_a_header_that_waits_for_its_check_shows_as_pending_when_more_is_heard_of_it(ear):
    ear.hear(datagrams_of(*[header_section(forged(number)) for number in range(CHECKS_PER_S)], pid=0x102))
    late = signed(99)
    ear.hear(datagrams_of(header_section(late), pid=0x102))
    assert not ear.wire.has_pending
    main = group_id_of(late.release_id)
    ear.hear(datagrams_of(ddb(main, (main & 0xFF) << 8, 0, 0, 4, b"x" * 256)))
    assert ear.wire.has_pending
    ear.hear([b"\x47\x1f\xff\x10" + bytes(184)], 1.0)
    assert ear.announced == [late]
    assert not ear.wire.has_pending


def test_a_message_as_long_as_the_block_beside_it_is_no_odd_block(ear):
    devices = (Device(CompatibilityKind.HARDWARE, HARDWARE.oui, 7, 3),)
    message = dsi(0x80000000, Group(0x80001234, 5, devices, b""))
    overhead = len(ddb(0x80001234, 0x3400, 0, 0, 1, b""))
    ear.hear(datagrams_of(message, ddb(0x80001234, 0x3400, 0, 0, 1, bytes(len(message) - overhead))))
    assert rejected(ear) == {"early": 1}


def test_what_stands_in_a_shorter_last_datagram_is_read(release, ear):
    group = group_id_of(release.header.release_id, is_sidecar=True)
    (packets,) = datagrams_of(ddb(group, (group & 0xFF) << 8 | 1, 0, 0, 1, b"a decision"), pid=0x102)
    flat = b"?" * 100 + (b"\x47\x1f\xff\x10" + bytes(184)) * 14 + packets[:PACKET_BYTES]
    assert ear.wire.receive(flat, [Piece(100, DATAGRAM_BYTES, len(flat) - 100)], 0.0) == [Bulletin(b"a decision")]


def test_a_digest_level_may_have_more_blocks_than_the_image(release, ear):
    """A block of it that is of no size of ours is out of range like any other."""
    geometry = {"symbol_size": 256, "image_size": 256 * 6000, "source_blocks": 1, "repair_per_block": 24_000}
    header = unsigned(release.header, **geometry).sign(KEY)
    ear.open(header, 0.0)
    modules = SsuModules(ReleaseLayout.of_header(header))
    number = next(at for at, row in enumerate(modules.sidecar_table.tolist()) if row[:2] == [1, 1])
    group = group_id_of(header.release_id, is_sidecar=True)
    ear.hear(datagrams_of(ddb(group, (group & 0xFF) << 8 | number, 0, 0, 9, bytes(264))))
    assert rejected(ear) == {"out_of_range": 1}


def test_headers_of_two_releases_in_one_wake_up_are_both_heard(release, ear):
    headers = [unsigned(release.header, created_unix_s=number).sign(KEY) for number in (1, 2)]
    ear.hear(datagrams_of(*map(header_section, headers), pid=0x102))
    assert {header.release_id for header in ear.announced} == {header.release_id for header in headers}


def test_each_message_that_lies_about_its_length_is_counted_once(ear):
    devices = (Device(CompatibilityKind.HARDWARE, HARDWARE.oui, 7, 3),)
    for count in (1, 2, 3):
        lying = bytearray(dsi(0x80000000, Group(0x80001234, count, devices, b""))[:-4])
        lying[18:20] = b"\xff\xff"
        for _ in range(2):
            ear.hear(datagrams_of(bytes(lying) + crc32_mpeg2(bytes(lying)).to_bytes(4, "big"), pid=0x102))
        assert sum(rejected(ear).values()) == count


def test_releases_that_were_announced_are_remembered_within_bounds(release, ear, monkeypatch):
    monkeypatch.setattr(module, "MAX_RELEASES", 2)
    for number in range(6):
        header = unsigned(release.header).but(created_unix_s=number).sign(KEY)
        ear.wire._gate.hear(header.release_id, header.raw, 0)
        ear.wire.receive(
            datagrams_of(pat(Program(service_id=1, pmt_pid=0x100)), pid=PAT_PID)[0], [Piece(0, 188, 188)], 1.0 + number
        )
        assert ear.wire.heard(header.release_id).last_s == 1.0 + number
        assert len(ear.wire._hearing) == min(4, 2 * (number + 1)), "two routes each"


def test_what_is_counted_of_strangers_never_pushes_out_what_is_announced(release, ear, monkeypatch):
    monkeypatch.setattr(module, "MAX_RELEASES", 3)
    hear_all(ear, Stream.of(release, rate_bps=50e6).cycles(1).sent)
    expected = ear.wire.heard(release.header.release_id).expected
    assert expected > 0
    for number in range(20):
        ear.hear(datagrams_of(ddb(0x80020000 + (number << 8), number << 8, 0, 0, 1, b"\xbb" * 1256)), 9.0)
    assert len(ear.wire._gaps) == 6
    assert ear.wire.heard(release.header.release_id).expected == expected


def test_where_all_that_is_counted_is_announced_a_stranger_takes_a_place_all_the_same(release, ear, monkeypatch):
    monkeypatch.setattr(module, "MAX_RELEASES", 1)
    hear_all(ear, Stream.of(release, rate_bps=50e6).cycles(1).sent)
    ear.hear(datagrams_of(ddb(0x80020000, 0, 0, 0, 1, b"\xbb" * 1256)), 9.0)
    assert len(ear.wire._gaps) == 2
    assert rejected(ear)["early"] >= 1


def test_a_bulletin_hides_no_block_of_another_release(release, ear):
    """Whichever has the higher number."""
    sidecar = group_id_of(release.header.release_id, is_sidecar=True)
    bulletin = ddb(sidecar, (sidecar & 0xFF) << 8 | 1, 0, 0, 1, b"a decision")
    blocks = [ddb(group, (group & 0xFF) << 8, 0, 0, 1, b"some block") for group in (0x80000004, 0xBFFF7FFC)]
    ear.hear(datagrams_of(bulletin, *blocks))
    assert ear.bulletins == [b"a decision"]
    assert rejected(ear) == {"early": 2}


def test_a_bulletin_beside_a_block_of_its_length_hides_no_symbol(release, ear):
    hear_all(ear, Stream.of(release, rate_bps=50e6).cycles(1).sent[:5])
    main, sidecar = (group_id_of(release.header.release_id, each) for each in (False, True))
    block = ddb(main, (main & 0xFF) << 8, 0, 9, 240, noise(SIZE)[9 * 1256 : 10 * 1256])
    bulletin = ddb(sidecar, (sidecar & 0xFF) << 8 | 1, 0, 0, 1, b"b" * 1256)
    ear.symbols.clear()
    held = ear.held(release)
    ear.hear(datagrams_of(block, bulletin))
    assert ear.bulletins == [b"b" * 1256]
    assert sum(len(each.rows) for each in ear.symbols) == ear.held(release) - held == 1
