"""Everything that a group can carry, through the wire: symbols land once, and nothing else costs or counts for more."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carousel.crc import crc32
from carousel.flute import alc
from carousel.flute.alc import (
    PLAIN_HEADER_BYTES,
    Extension,
    ExtFtiRaptorQ,
    crc_of_packet,
    render_packet,
)
from carousel.flute.fdt import fdt_packets, header_packet
from carousel.flute.toi import BULLETIN_TOI, FDT_TOI
from carousel.flute.tsi import DEFAULT_TSI
from carousel.release import header
from carousel.release.blocks import FecId
from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from carousel.take import Landing, Piece
from settop.stitch.seam import Announcement, Bulletin, Symbols
from settop.wire import early, flute, gate
from settop.wire.bulletins import BULLETINS_PER_S, REPEATS_PER_S
from settop.wire.early import MAX_BYTES
from settop.wire.flute import FluteWire
from settop.wire.gate import CHECKS_PER_S, MAX_PENDING, MAX_REFUSED
from settop.wire.tally import Reason
from tests.conftest import KEY, OTHER_KEY, unsigned

TSI = DEFAULT_TSI
TRUST = TrustRing.of([KEY.public_key()])
FTI = ExtFtiRaptorQ.build(
    {"transfer_length": 1, "symbol_size": 512, "source_blocks": 1, "sub_blocks": 1, "alignment": 8}
)


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(200_000, symbol_size=512)


def landings_of(release):
    made = []
    for geometry in release.layout.objects:
        source = np.zeros((geometry.source_symbols, geometry.symbol_size), np.uint8)
        repair = np.zeros((geometry.repair_symbols, geometry.symbol_size), np.uint8)
        made.append(Landing(geometry, source, repair))
    return made


def give(wire, packets, now=0.0):
    """Give packets of any size as one wake-up brings them."""
    pieces, at = [], 0
    for packet in packets:
        pieces.append(Piece(at, len(packet), len(packet)))
        at += len(packet)
    return wire.receive(b"".join(packets), pieces, now)


def packets_of(release, first=0, count=None):
    count = release.layout.rows - first if count is None else count
    return [bytes(row) for row in release.packets[first : first + count]]


def opened(release, now=0.0):
    wire, landings = FluteWire(release.tsi, TRUST), landings_of(release)
    (announcement,) = give(wire, [header_packet(release)], now)
    assert announcement == Announcement(release.header)
    assert wire.open(release.header, release.layout, landings, now) == []
    return wire, landings


def rejected(wire):
    return dict(wire.stats.rejected)


def marks_of(landings):
    names = ("held", "source_held", "repair_held", "wanted")
    return [[getattr(each, name).tolist() for name in names] + [each.source.tobytes()] for each in landings]


# --- symbols -------------------------------------------------------------------------------------------------


def test_all_levels_land_and_each_symbol_is_told_once(release):
    wire, landings = opened(release)
    arrivals = give(wire, packets_of(release), 1.0)
    assert all(isinstance(each, Symbols) and each.release == release.header.release_id for each in arrivals)
    assert [each.level for each in arrivals] == list(range(release.layout.top + 1))
    for symbols, landing in zip(arrivals, landings, strict=True):
        assert len(set(symbols.rows.tolist())) == len(symbols.rows)
        assert set(symbols.filled) == set(range(landing.geometry.blocks))
    image = landings[0]
    assert image.source_held.tolist() == image.block_sizes.tolist()
    assert np.array_equal(image.source, release.source_symbols(0, image.geometry.source_symbols))
    assert wire.stats.ignored == release.layout.rows - sum(len(each.rows) for each in arrivals)
    assert give(wire, packets_of(release), 2.0) == []


def lie(packet, fill):
    """Another symbol in the same place."""
    return render_packet(
        TSI, int.from_bytes(packet[12:16], "big"), packet[3], int.from_bytes(packet[24:28], "big"), fill
    )


def test_a_genuine_packet_behind_a_forged_one_lands_when_that_is_dropped(release):
    """Whatever stands ahead of it in the wake-up; rows that one packet alone is for are not tried again."""
    wire, landings = opened(release)
    genuine = packets_of(release, 0, 3)
    lies = [lie(genuine[1], bytes([7 + number]) * 512) for number in range(2)]
    (symbols,) = give(wire, [genuine[0], *lies, genuine[1], lies[0], lie(genuine[2], bytes(512))], 1.0)
    rows, landed = symbols.rows, set()
    received = wire.heard(release.header.release_id).received
    for _ in range(60):
        for row in rows.tolist():
            landed.add(landings[0].source[row].tobytes())
        sbn, esi = landings[0].geometry.symbols_of(rows)
        landings[0].discard(0, esi[sbn == 0])
        again = wire.take_again()
        assert len(again) == 1
        rows = again[0].rows
        assert len(rows) == 1
    assert landed == {packet[PLAIN_HEADER_BYTES:] for packet in [genuine[0], *lies, genuine[1]]} | {bytes(512)}
    assert wire.heard(release.header.release_id).received == received, "it came once"


def test_nothing_is_taken_again_while_rows_are_held(release):
    wire, _ = opened(release)
    assert wire.take_again() == []
    genuine = packets_of(release, 0, 3)
    give(wire, [*genuine, *genuine], 1.0)
    assert wire.take_again() == []


def test_what_came_early_is_contested_as_well(release):
    wire, landings = FluteWire(release.tsi, TRUST), landings_of(release)
    genuine = packets_of(release, 0, 1)[0]
    give(wire, [lie(genuine, b"\x05" * 512), genuine], 0.0)
    give(wire, [header_packet(release)], 0.0)
    (symbols,) = wire.open(release.header, release.layout, landings, 0.0)
    seen = set()
    for _ in range(60):
        seen.add(landings[0].source[symbols.rows[0]].tobytes())
        sbn, esi = landings[0].geometry.symbols_of(symbols.rows)
        landings[0].discard(int(sbn[0]), esi)
        (symbols,) = wire.take_again()
    assert genuine[PLAIN_HEADER_BYTES:] in seen


def with_an_extension(packet):
    """The same symbol, as another head-end might send it: an FTI behind the CRC, and the B flag set."""
    toi, payload_id = int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[24:28], "big")
    raw = bytearray(render_packet(TSI, toi, packet[3], payload_id, packet[PLAIN_HEADER_BYTES:], ((64, FTI),)))
    raw[1] |= 1
    raw[20:24] = crc_of_packet(bytes(raw)).to_bytes(4, "big")
    return bytes(raw)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_slow_way_reads_field_for_field_what_the_fast_one_does(release, numbers, wild_id):
    packets = [bytes(release.packets[number % release.layout.rows]) for number in numbers]
    fec = release.layout.objects[0].fec
    packets.append(render_packet(TSI, release.toi_base, fec, wild_id, bytes(512)))
    fast, fast_landings = opened(release)
    slow, slow_landings = opened(release)
    brought_fast = give(fast, packets, 1.0)
    brought_slow = give(slow, [with_an_extension(packet) for packet in packets], 1.0)
    assert [(each.release, each.level) for each in brought_fast] == [
        (each.release, each.level) for each in brought_slow
    ]
    for one, other in zip(brought_fast, brought_slow, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert sorted(one.filled) == sorted(other.filled)
    assert marks_of(fast_landings) == marks_of(slow_landings)
    assert fast.heard(release.header.release_id).received == slow.heard(release.header.release_id).received
    odd = rejected(slow)
    assert odd.pop("close_flag") == len(packets)
    assert odd == rejected(fast)
    assert (fast.stats.duplicates, fast.stats.ignored) == (slow.stats.duplicates, slow.stats.ignored)


def test_early_symbols_land_when_their_release_is_opened(release):
    wire, landings = FluteWire(release.tsi, TRUST), landings_of(release)
    first, count = release.layout.objects[0].rows, 12
    damaged = bytearray(packets_of(release, 0, 1)[0])
    damaged[100] ^= 1
    assert give(wire, [*packets_of(release, 0, 40), bytes(damaged), *packets_of(release, first, count)]) == []
    assert rejected(wire) == {"crc": 1, "early": 52}
    (announcement,) = give(wire, [header_packet(release)], 0.1)
    brought = wire.open(announcement.header, release.layout, landings, 0.1)
    assert sum(len(each.rows) for each in brought) == 52
    assert brought[0].level == 0
    assert wire.heard(release.header.release_id).last_s == 0.1
    assert wire.heard(release.header.release_id).received == 40
    wire.close(release.header.release_id)
    assert wire.open(release.header, release.layout, landings_of(release), 0.2) == []


def test_a_release_that_nobody_opens_is_counted_and_kept_nowhere(release):
    wire = FluteWire(release.tsi, TRUST)
    give(wire, packets_of(release, 0, 30), 0.0)
    assert len(give(wire, [header_packet(release)], 0.1)) == 1
    give(wire, packets_of(release, 0, 30), 0.2)
    assert rejected(wire) == {"early": 30, "refused_release": 30}
    assert wire._early._bytes == 0
    assert wire.heard(release.header.release_id).last_s == 0.2


def test_a_closed_release_touches_its_landings_no_more_and_can_be_opened_again(release):
    wire, landings = opened(release)
    wire.close(release.header.release_id)
    assert give(wire, packets_of(release, 0, 50), 1.0) == []
    assert not landings[0].held.any()
    heard = wire.heard(release.header.release_id)
    assert (heard.last_s, heard.lost, heard.expected) == (1.0, 0, 0)
    assert give(wire, [header_packet(release)], 1.0) == []
    wire.open(release.header, release.layout, landings, 1.0)
    assert len(give(wire, packets_of(release, 0, 50), 1.0)[0].rows) == 50


def test_a_forgotten_release_is_announced_anew(release):
    wire, _ = opened(release)
    assert give(wire, [header_packet(release)], 1.0) == []
    wire.forget(release.header.release_id)
    assert give(wire, [header_packet(release)], 1.5) == [Announcement(release.header)]
    assert wire.heard(release.header.release_id).last_s == 1.5


def test_a_release_whose_level_1_is_its_top_lands_with_its_code(make_release):
    release = make_release(1000, symbol_size=512)
    assert release.layout.top == 1
    wire, landings = opened(release)
    assert {each.level for each in give(wire, packets_of(release), 1.0)} == {0, 1}
    assert landings[0].wanted.tolist() == [0]
    wire, _ = opened(release)
    (symbols,) = give(wire, [with_an_extension(packets_of(release, 0, 1)[0])], 1.0)
    assert (symbols.level, len(symbols.rows)) == (0, 1)


def test_landings_must_be_those_of_the_layout(release):
    wire = FluteWire(release.tsi, TRUST)
    with pytest.raises(ValueError, match="landings"):
        wire.open(release.header, release.layout, landings_of(release)[:1], 0.0)


# --- what was heard ------------------------------------------------------------------------------------------


def test_loss_is_seen_from_gaps_wanted_or_not(release):
    wire, _ = opened(release)
    rng, geometry = np.random.default_rng(5), release.layout.objects[0]
    for cycle in range(3):
        for first in range(0, geometry.rows, 20):
            kept = [packet for packet in packets_of(release, first, 20) if rng.random() >= 0.1]
            give(wire, kept, cycle)
    heard = wire.heard(release.header.release_id)
    assert heard.loss == pytest.approx(0.1, abs=0.03)
    assert heard.received == pytest.approx(0.9 * 3 * geometry.rows, rel=0.03)
    assert heard.last_s == 2.0


def test_a_fifth_lost_in_bursts_of_eight_is_a_fifth(make_release):
    release = make_release(3_000_000, symbol_size=512)
    wire, _ = opened(release)
    rng, is_bad, kept = np.random.default_rng(1), False, []
    for number in range(2 * release.image_packets):
        is_bad = rng.random() >= 1 / 8 if is_bad else rng.random() < 1 / 32
        if not is_bad:
            kept.append(bytes(release.packet_bytes(number % release.image_packets, 1)))
    for first in range(0, len(kept), 8):
        give(wire, kept[first : first + 8], 0.0)
    lost = 1 - len(kept) / (2 * release.image_packets)
    assert wire.heard(release.header.release_id).loss == pytest.approx(lost, abs=0.02)


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_packets_that_overtake_each_other_are_no_loss(release, loss):
    """As Wi-Fi's jitter has it: each is up to eight packets late."""
    wire, _ = opened(release)
    rng = np.random.default_rng(4)
    packets = packets_of(release, 0, release.layout.rows)
    kept = [packet for packet in packets if rng.random() >= loss]
    late = np.argsort(np.arange(len(kept)) + rng.integers(0, 8, len(kept)), kind="stable")
    for first in range(0, len(kept), 3):
        give(wire, [kept[at] for at in late[first : first + 3]], 0.0)
    assert wire.heard(release.header.release_id).loss == pytest.approx(loss, abs=0.02)


def test_without_loss_none_is_seen(release):
    wire, _ = opened(release)
    for first in range(0, release.layout.objects[0].rows - 50, 50):
        give(wire, packets_of(release, first, 50), 0.0)
    heard = wire.heard(release.header.release_id)
    assert heard.lost == 0
    assert heard.expected > 100


# --- other packets -------------------------------------------------------------------------------------------


def hostile(release):
    base = release.toi_base
    symbol = bytes(512)
    return {
        "tsi": render_packet(TSI + 1, base, 6, 0, symbol),
        "out_of_range": render_packet(TSI, base, 6, 0x7F000000, symbol),
        "crc": packets_of(release, 0, 1)[0][:-1] + b"\x00\x01",
        "truncated": b"\x10",
        "version": b"\x20" + bytes(40),
        "header_length": b"\x10\xa0\x02\x06" + bytes(4) + TSI.to_bytes(4, "big") + b"\1" * 60,
        "codepoint": render_packet(TSI, base, 0, 0, symbol, ((64, FTI),)),
        "symbol_size": render_packet(TSI, base, 6, 0, bytes(300)),
        "toi": render_packet(TSI, base + 6, 6, 0, symbol),
        "header_toi": render_packet(TSI, base ^ 8 | 7, 0, 0, release.header.raw),
        "header_repeated": header_packet(release),
        "unknown_key": announcement_of(unsigned(release.header).sign(OTHER_KEY)),
        "bad_signature": announcement_of(forged(release, 1)),
        "fdt": fdt_packets([release], TSI, 1, 2**31)[0],
        "no_crc": b"\x10\xa0\x04\x06" + bytes(4) + TSI.to_bytes(4, "big") + base.to_bytes(4, "big") + bytes(600),
    }


def announcement_of(signed):
    toi = int.from_bytes(signed.release_id.digest[:4], "big") | 7
    return render_packet(TSI, toi, FecId.NO_CODE, 0, signed.raw)


def forged(release, number):
    """A header by another key that claims the trusted key's id: only the signature check tells."""
    raw = bytearray(unsigned(release.header, created_unix_s=number).sign(OTHER_KEY).raw)
    raw[120:128] = release.header.key_id
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    return SignedHeader.parse(bytes(raw))


def test_every_kind_of_packet_has_its_name(release):
    for name, packet in hostile(release).items():
        wire, landings = opened(release)
        assert give(wire, [packet], 1.0) == [], name
        assert rejected(wire) == {name: 1}, name
        assert not any(landing.held.any() for landing in landings)


def test_every_reason_that_parsing_has_is_a_name_of_ours():
    source = inspect.getsource(alc) + inspect.getsource(header)
    assert set(re.findall(r'FormatError\("(\w+)"\)', source)) <= {reason.value for reason in Reason}


@pytest.mark.slow
@given(st.lists(st.binary(max_size=80) | st.integers(0, 14), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_raise_or_make_it_grow(release, parts, random):
    wire, landings = opened(release)
    packets = []
    for part in parts:
        if isinstance(part, int):
            raw = bytearray([*hostile(release).values()][part])
            for _ in range(random.randrange(3)):
                raw[random.randrange(min(len(raw), 40))] ^= 1 << random.randrange(8)
            packets.append(bytes(raw))
        elif part:
            packets.append(part)
    give(wire, packets, 1.0)
    assert len(wire._known) == 1
    assert not any(landing.held.any() for landing in landings[1:])


def test_bulletins_are_passed_on_within_bounds(release):
    wire = FluteWire(release.tsi, TRUST)
    packet = render_packet(TSI, BULLETIN_TOI, FecId.NO_CODE, 0, b"signed by whom it may concern")
    assert give(wire, [packet]) == [Bulletin(b"signed by whom it may concern")]
    assert give(wire, [packet[:-1] + b"x"]) == []
    many = [render_packet(TSI, BULLETIN_TOI, FecId.NO_CODE, 0, b"%d" % number) for number in range(1000)]
    assert len(give(wire, many)) == BULLETINS_PER_S - 2
    assert give(wire, [render_packet(TSI, BULLETIN_TOI, FecId.NO_CODE, 0, bytes(3000))], 5.0) == []
    assert rejected(wire)["crc"] == 1
    assert len(give(wire, [packet] * 1000, 6.0)) == REPEATS_PER_S
    assert len(give(wire, many, 7.5)) == BULLETINS_PER_S


# --- floods --------------------------------------------------------------------------------------------------


class Counted:
    """How often the dear steps were taken."""

    def __init__(self, monkeypatch):
        self.parsed = self.hashed = self.checked = 0
        parse, of, believes = flute.parse_packet, flute.ReleaseId.of, TrustRing.believes

        def counting_parse(packet):
            self.parsed += 1
            return parse(packet)

        def counting_believes(trust, header):
            self.checked += 1
            return believes(trust, header)

        class CountingId:
            @staticmethod
            def of(raw):
                self.hashed += 1
                return of(raw)

        monkeypatch.setattr(flute, "parse_packet", counting_parse)
        monkeypatch.setattr(flute, "ReleaseId", CountingId)
        monkeypatch.setattr(TrustRing, "believes", counting_believes)


def test_a_flood_costs_a_bounded_number_of_dear_steps(release, monkeypatch):
    wire, _ = opened(release)
    counted = Counted(monkeypatch)
    odd = with_an_extension(packets_of(release, 0, 1)[0])
    for _ in range(20):
        give(wire, [odd] * 500 + [b"x"] * 500, 1.0)
    assert counted.parsed == flute.ODD_PACKETS_PER_S
    headers = [announcement_of(forged(release, number)) for number in range(1000)]
    give(wire, headers, 1.0)
    assert counted.hashed == flute.MOST_ANNOUNCEMENTS
    assert counted.checked <= CHECKS_PER_S
    give(wire, [header_packet(release)] * 1000, 1.0)
    assert counted.hashed == flute.MOST_ANNOUNCEMENTS


def test_a_flood_of_forged_headers_with_symbols_does_not_postpone_the_one_that_is_on_the_air(release, make_release):
    """1,000 headers a second with a symbol each, from before the first packet of the good one (point A2)."""
    wire = FluteWire(release.tsi, TRUST)
    announced_s = None
    for number in range(3000):
        now = number / 1000
        liar = forged(release, number)
        toi = int.from_bytes(liar.release_id.digest[:4], "big") & ~7
        arrivals = give(wire, [announcement_of(liar), render_packet(TSI, toi, 6, 0, bytes(512))], now)
        if number >= 1000:
            arrivals += give(wire, packets_of(release, 4 * (number - 1000), 4), now)
        if number >= 1000 and number % 250 == 0:
            arrivals += give(wire, [header_packet(release)], now)
        if arrivals:
            assert arrivals == [Announcement(release.header)]
            announced_s = now
            break
    assert announced_s is not None
    assert announced_s <= 1.3
    assert len(wire._gate._pending) <= MAX_PENDING


def test_a_newer_header_that_waits_shows_as_pending(release, make_release):
    """A box that is up to date must not go home while it does (point A2)."""
    newer = make_release(150_000, symbol_size=512, version="2.0.0")
    wire, _ = opened(release)
    for number in range(2 * CHECKS_PER_S):
        give(wire, [announcement_of(forged(release, number))], 0.0)
    assert not wire.has_pending, "headers of which nothing else is heard are not waited for"
    give(wire, [*packets_of(newer, 0, 5), header_packet(newer)], 0.0)
    assert wire.has_pending
    assert give(wire, [], 0.05) == [Announcement(newer.header)]
    assert not wire.has_pending


@pytest.mark.slow
def test_a_live_release_is_never_admitted_anew(release, monkeypatch):
    """However many forged headers flush the memory of the refused ones (point A6)."""
    wire, _ = opened(release)
    monkeypatch.setattr(TrustRing, "believes", lambda trust, header: header.raw == release.header.raw)
    liar = forged(release, 0)
    for number in range(MAX_REFUSED + 100):
        raw = bytearray(liar.raw)
        raw[192:200] = number.to_bytes(8, "little")
        flood = SignedHeader.parse(bytes(raw))
        assert give(wire, [announcement_of(flood)], number / CHECKS_PER_S) == []
    assert len(wire._gate._refused) <= MAX_REFUSED
    assert give(wire, [header_packet(release)], 1e6) == []


def test_early_symbols_of_releases_that_do_not_exist_make_room(release):
    wire = FluteWire(release.tsi, TRUST)
    for base in range(8, 8 * 30, 8):
        give(wire, [render_packet(TSI, base, 6, 0, bytes(512))], 0.0)
    give(wire, packets_of(release, 0, 100), 0.1)
    (announcement,) = give(wire, [header_packet(release)], 0.2)
    brought = wire.open(announcement.header, release.layout, landings_of(release), 0.2)
    assert len(brought[0].rows) > 90


def test_early_symbols_heard_long_ago_make_room_for_those_heard_now(release, other, monkeypatch):
    monkeypatch.setattr(early, "MAX_RELEASES", 1)
    wire = FluteWire(release.tsi, TRUST)
    give(wire, packets_of(other, 0, 8), 0.0)
    for now in (100.0, 105.0, 110.0):
        give(wire, packets_of(release, 0, 2), now)
    assert rejected(wire) == {"early": 10, "early_dropped": 4}, "eight have become one, and two are heard now and then"


def test_early_memory_is_bounded(release):
    wire = FluteWire(release.tsi, TRUST)
    packet = render_packet(TSI, 8, 6, 0, bytes(1440))
    for _ in range(2 * MAX_BYTES // (64 * 1468)):
        give(wire, [packet] * 64, 0.0)
    assert wire._early._bytes <= MAX_BYTES
    assert rejected(wire)["early"] + rejected(wire)["early_dropped"] == 64 * (2 * MAX_BYTES // (64 * 1468))


# --- books -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(make_release):
    return make_release(150_000, symbol_size=512, version="2.0.0")


def both_opened(*releases, now=0.0):
    wire, landings = FluteWire(releases[0].tsi, TRUST), {}
    assert len(give(wire, [header_packet(each) for each in releases], now)) == len(releases)
    for each in releases:
        landings[each] = landings_of(each)
        wire.open(each.header, each.layout, landings[each], now)
    return wire, landings


def damaged(packet):
    return packet[:-1] + bytes([packet[-1] ^ 1])


def test_what_brings_nothing_is_counted_by_what_it_was(release):
    wire, landings = opened(release)
    packets = packets_of(release, 0, release.layout.objects[0].rows)
    give(wire, [damaged(packets[0]), damaged(packets[1]), packets[2], packets[2]], 1.0)
    assert (wire.stats.corrupt, wire.stats.duplicates, wire.stats.ignored) == (2, 1, 0)
    landings[0].wanted[:] = 0
    give(wire, packets[3:10], 1.0)
    assert (wire.stats.corrupt, wire.stats.duplicates, wire.stats.ignored) == (2, 1, 7)
    landings[0].wanted[:] = 99
    landings[0].free_count[0] = 0
    sources = release.layout.objects[0].source_symbols
    assert give(wire, packets[sources : sources + 4], 1.0) == []
    assert rejected(wire) == {"crc": 2, "no_room": 4}


def test_plain_packets_of_another_size_are_counted_whosever_they_are(release, other):
    wire, _ = both_opened(release, other)
    give(wire, [render_packet(TSI, each.toi_base, 6, 0, bytes(300)) for each in (release, other)], 1.0)
    assert rejected(wire) == {"symbol_size": 2}


def test_symbols_and_bulletins_of_one_wake_up_all_come(release):
    wire, _ = opened(release)
    bulletin = render_packet(TSI, BULLETIN_TOI, FecId.NO_CODE, 0, b"a decision")
    symbols, passed = give(wire, [packets_of(release, 0, 1)[0], bulletin, packets_of(release, 1, 1)[0]], 1.0)
    assert len(symbols.rows) == 2
    assert passed == Bulletin(b"a decision")


def test_two_releases_are_told_apart_in_one_wake_up_and_when_one_leaves(release, other):
    wire, landings = both_opened(release, other)
    ids = [each.header.release_id for each in (release, other)]
    arrivals = give(wire, [*packets_of(other, 0, 3), *packets_of(release, 0, 5), *packets_of(other)[-2:]], 2.0)
    assert {(each.release, len(each.rows)) for each in arrivals if not each.level} == {(ids[0], 5), (ids[1], 3)}
    assert {each.release for each in arrivals if each.level} == {ids[1]}
    assert [wire.heard(each).received for each in ids] == [5, 3]
    give(wire, packets_of(other, 3, 1), 3.0)
    assert [wire.heard(each).last_s for each in ids] == [2.0, 3.0]
    wire.close(ids[0])
    (symbols,) = give(wire, packets_of(other, 4, 7), 4.0)
    assert (symbols.release, len(symbols.rows)) == (ids[1], 7)
    assert np.count_nonzero(landings[release][0].held) == 5
    assert np.count_nonzero(landings[other][0].held) == 11


def test_blocks_that_fill_are_told_with_their_own_release_and_level(release, other):
    wire, _ = both_opened(release, other)
    arrivals = give(wire, [*packets_of(release), *packets_of(other)], 1.0)
    filled = {(each.release, each.level): set(each.filled) for each in arrivals}
    assert filled == {
        (made.header.release_id, level): set(range(geometry.blocks))
        for made in (release, other)
        for level, geometry in enumerate(made.layout.objects)
    }


def test_a_block_that_fills_is_told_of_its_own_release_alone(release, other):
    wire, _ = both_opened(release, other)
    arrivals = give(wire, [*packets_of(release, 0, release.image_packets), *packets_of(other, 0, 3)], 1.0)
    filled = {(each.release, each.level): each.filled for each in arrivals}
    assert filled == {(release.header.release_id, 0): (0,), (other.header.release_id, 0): ()}


@pytest.mark.parametrize("is_twin", [False, True])
def test_of_a_release_that_nobody_knows_nothing_was_heard(release, other, is_twin):
    """Be it one whose TOIs are those of another, by chance: once in half a thousand million."""
    stranger = ReleaseId(release.header.release_id.digest[:4] + bytes(12)) if is_twin else other.header.release_id
    wire, _ = opened(release)
    heard = wire.heard(stranger)
    assert (heard.last_s, heard.received, heard.lost, heard.expected) == (float("-inf"), 0, 0, 0)
    wire.close(stranger)
    wire.forget(stranger)
    assert len(give(wire, packets_of(release, 0, 4), 1.0)[0].rows) == 4, "forgetting one leaves the other alone"
    assert wire.heard(release.header.release_id).received == 4
    wire.forget(release.header.release_id)
    assert wire.heard(release.header.release_id).last_s == float("-inf")


def test_an_announced_release_that_is_heard_again_is_not_the_next_to_be_forgotten(release, monkeypatch):
    monkeypatch.setattr(gate, "MAX_ADMITTED", 2)
    wire = FluteWire(release.tsi, TRUST)
    one, two, three = (unsigned(release.header, created_unix_s=number).sign(KEY) for number in range(3))
    for each in (one, two):
        assert give(wire, [announcement_of(each)], 1.0) == [Announcement(each)]
    assert give(wire, [announcement_of(one)], 2.0) == []
    assert wire.heard(one.release_id).last_s == 2.0
    assert give(wire, [announcement_of(three)], 3.0) == [Announcement(three)]
    assert give(wire, [announcement_of(one)], 4.0) == []
    assert give(wire, [announcement_of(two)], 4.0) == [Announcement(two)], "that one was forgotten"


def test_an_odd_fdt_is_counted_as_one(release):
    wire, _ = opened(release)
    give(wire, [render_packet(TSI, release.toi_base, 6, 0, b"<xml>", ((Extension.FDT, b"\x10\x00\x00"),))], 1.0)
    assert rejected(wire) == {"fdt": 1}
    closing = bytearray(render_packet(TSI, FDT_TOI, 6, 0, b"<xml>"))
    closing[1] |= 1
    closing[20:24] = crc_of_packet(bytes(closing)).to_bytes(4, "big")
    give(wire, [bytes(closing)], 1.0)
    assert rejected(wire) == {"close_flag": 1, "fdt": 2}


def test_an_odd_packet_of_another_session_is_counted_as_one(release):
    wire, _ = opened(release)
    odd = bytearray(with_an_extension(packets_of(release, 0, 1)[0]))
    odd[11] ^= 1
    odd[20:24] = crc_of_packet(bytes(odd)).to_bytes(4, "big")
    assert give(wire, [bytes(odd)], 1.0) == []
    assert rejected(wire) == {"close_flag": 1, "tsi": 1}


def test_of_too_many_headers_in_a_wake_up_the_most_heard_ones_are_looked_at(release, other, monkeypatch):
    monkeypatch.setattr(flute, "MOST_ANNOUNCEMENTS", 3)
    wire = FluteWire(release.tsi, TRUST)
    give(wire, packets_of(other, 0, 9), 0.0)
    give(wire, packets_of(release, 0, 5), 0.0)
    liars = [announcement_of(forged(release, number)) for number in range(9)]
    found = give(wire, [header_packet(release), *liars, header_packet(other)], 0.0)
    assert found == [Announcement(other.header), Announcement(release.header)]
    assert rejected(wire) == {"early": 14, "header_postponed": 8, "bad_signature": 1}


def test_headers_that_were_forgotten_leave_no_trace_but_opened_releases_stay(release, other, monkeypatch):
    monkeypatch.setattr(flute, "MAX_ADMITTED", 4)
    monkeypatch.setattr(gate, "MAX_ADMITTED", 4)
    wire, _ = opened(release)
    known = []
    for number in range(30):
        newcomer = unsigned(release.header, created_unix_s=number).sign(KEY)
        assert give(wire, [announcement_of(newcomer)], float(number)) == [Announcement(newcomer)]
        assert wire.heard(newcomer.release_id).last_s == number
        known.append(len(wire._known))
    assert max(known) == 8
    assert give(wire, [header_packet(release)], 99.0) == [], "though the gate has forgotten it"
    assert len(give(wire, packets_of(release, 0, 6), 99.0)[0].rows) == 6


def test_what_goes_beyond_an_allowance_is_counted_to_the_packet(release, monkeypatch):
    monkeypatch.setattr(flute, "ODD_PACKETS_PER_S", 10)
    wire, _ = opened(release)
    odd = [with_an_extension(packet) for packet in packets_of(release, 0, 25)]
    (symbols,) = give(wire, odd, 1.0)
    assert len(symbols.rows) == 10
    assert rejected(wire) == {"close_flag": 10, "odd_dropped": 15}
    (symbols,) = give(wire, odd[20:], 1.5)
    assert len(symbols.rows) == 5


def test_odd_packets_that_cannot_be_read_hold_up_no_other(release):
    wire, _ = opened(release)
    (symbols,) = give(wire, [b"x", with_an_extension(packets_of(release, 0, 1)[0])], 1.0)
    assert len(symbols.rows) == 1
    assert rejected(wire) == {"truncated": 1, "close_flag": 1}


def test_odd_packets_are_taken_beside_plain_ones_of_a_stranger(release, other):
    wire, _ = opened(release)
    (symbols,) = give(wire, [with_an_extension(packets_of(release, 0, 1)[0]), *packets_of(other, 0, 1)], 5.0)
    assert (symbols.release, len(symbols.rows)) == (release.header.release_id, 1)
    assert wire.heard(release.header.release_id).last_s == 5.0
    assert rejected(wire) == {"close_flag": 1, "early": 1}


def test_a_header_that_comes_oddly_is_heard_as_well(release):
    wire, _ = opened(release)
    toi = int.from_bytes(header_packet(release)[12:16], "big")
    give(wire, [render_packet(TSI, toi, FecId.NO_CODE, 0, release.header.raw, ((64, FTI),))], 7.0)
    assert wire.heard(release.header.release_id).last_s == 7.0


def test_a_header_may_come_oddly_but_not_damaged(release):
    wire = FluteWire(release.tsi, TRUST)
    toi = int.from_bytes(header_packet(release)[12:16], "big")
    assert give(wire, [damaged(header_packet(release))]) == []
    assert rejected(wire) == {"crc": 1}
    odd = render_packet(TSI, toi, FecId.NO_CODE, 0, release.header.raw, ((64, FTI),))
    assert give(wire, [odd]) == [Announcement(release.header)]


def test_a_release_that_is_opened_unheard_lands_under_its_own_name(release):
    wire, landings = FluteWire(release.tsi, TRUST), landings_of(release)
    assert wire.open(release.header, release.layout, landings, 3.0) == []
    assert wire.heard(release.header.release_id).last_s == 3.0
    (symbols,) = give(wire, packets_of(release, 0, 4), 4.0)
    assert (symbols.release, len(symbols.rows)) == (release.header.release_id, 4)


def test_an_opened_release_is_heard_by_its_header_too_and_before_the_first_wake_up_nothing_is(release):
    assert FluteWire(release.tsi, TRUST).take_again() == []
    wire, _ = opened(release)
    give(wire, [header_packet(release)], 7.0)
    assert wire.heard(release.header.release_id).last_s == 7.0


def test_an_odd_packet_of_no_level_and_one_with_a_toi_of_64_bits_have_no_row(release):
    wire, landings = opened(release)
    levels = len(release.layout.objects)
    for level, toi in ((levels - 1, 0), (levels, 1)):
        odd = render_packet(TSI, release.toi_base + level, 6, 0, bytes(512), ((64, FTI),))
        give(wire, [odd], 1.0)
        assert rejected(wire).get("toi", 0) == toi
    wide = bytearray(render_packet(TSI, release.toi_base, 6, 0, bytes(512)))
    wide[1], wide[2] = 0xC0 | wide[1] & 0x1F, wide[2] + 1  # O = 2: a TOI of 64 bits
    wide[12:12] = b"\0\0\0\1"
    wide[24:28] = crc_of_packet(bytes(wide), 24).to_bytes(4, "big")
    give(wire, [bytes(wide)], 2.0)
    assert rejected(wire)["toi"] == 2
    assert not landings[0].held.any()


def test_early_packets_for_which_there_is_no_room_are_counted_and_cost_no_look(release, monkeypatch):
    monkeypatch.setattr(early, "MAX_BYTES", 3 * 540)
    wire, looked = FluteWire(release.tsi, TRUST), []
    monkeypatch.setattr(flute, "crc_of_packet", lambda packet: looked.append(1) or crc_of_packet(bytes(packet)))
    give(wire, packets_of(release, 0, 20), 0.0)
    assert rejected(wire) == {"early": 3, "early_dropped": 17}
    assert len(looked) == 4


def test_a_bulletin_of_the_largest_size_passes_and_a_larger_one_is_dropped(release):
    wire = FluteWire(release.tsi, TRUST)
    for size, count in ((flute.MAX_BULLETIN_BYTES, 1), (flute.MAX_BULLETIN_BYTES + 1, 0)):
        assert len(give(wire, [render_packet(TSI, BULLETIN_TOI, FecId.NO_CODE, 0, bytes(size))], 0.0)) == count
    assert rejected(wire) == {"bulletin_dropped": 1}


def test_wake_ups_without_packets_bring_what_waits_and_nothing_else(release):
    wire, _ = opened(release)
    assert wire.receive(b"", [], 1.0) == []
    for number in range(CHECKS_PER_S):
        give(wire, [announcement_of(forged(release, number))], 2.0)
    newcomer = unsigned(release.header, created_unix_s=99).sign(KEY)
    assert give(wire, [announcement_of(newcomer)], 2.0) == []
    assert wire.receive(b"", [], 3.0) == [Announcement(newcomer)]
