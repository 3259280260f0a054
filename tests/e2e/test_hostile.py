"""Everything the network can throw at a box: counted by name, bounded, and never in the way of a good image."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.virtual.box import InlineBox
from bench.virtual.pair import FaultyLink, run_pair
from carousel.batch import Batch
from carousel.flute.alc import ExtFtiRaptorQ, crc_of_packet, parse_packet, render_packet
from carousel.flute.fdt import fdt_packets, header_packet
from carousel.flute.toi import toi_base
from carousel.release.blocks import FecId
from carousel.release.header import SignedHeader
from settop.events import ImageRefused, Suspicion
from settop.stitch.receiver import MAX_CANDIDATES
from settop.wire.gate import CHECKS_PER_S
from tests.conftest import HARDWARE, OTHER_KEY, noise, unsigned

SIZE = 300_000


def batch_of(*packets):
    assert len({len(packet) for packet in packets}) == 1
    return Batch(memoryview(b"".join(packets)), len(packets[0]), len(packets))


def counts(box):
    return Counter(dict(box.wire.stats.rejected))


def give(box, raw, now=0.0):
    box.receive(batch_of(raw), now)


@pytest.fixture
def release(make_release):
    return make_release(SIZE, symbol_size=512)


@pytest.fixture
def box(profile, release):
    return InlineBox(profile, release.tsi)


@pytest.fixture
def listening(box, release):
    give(box, header_packet(release))
    assert release.header.release_id in box.assemblies
    return box


def finish(box, release, link=None, **options):
    """The good carousel goes on, and the image must come, whole."""
    result = run_pair([release], box, link or FaultyLink(np.random.default_rng(5)), 50e6, **options)
    assert result.assembly is not None
    assert box.image(result.assembly) == noise(SIZE)
    return result


def data_packet(release, level=0, sbn=0, esi=0, symbol=None, tsi=None, extensions=()):
    payload = sbn << 24 | esi
    content = symbol if symbol is not None else b"\x66" * release.layout.symbol_size
    toi = release.toi_base + level
    return render_packet(release.tsi if tsi is None else tsi, toi, FecId.RAPTORQ, payload, content, extensions)


def hostile_packets(release):
    good = bytes(release.packet_bytes(0, 1))
    esi_beyond = release.layout.objects[0].largest_block + release.layout.objects[0].repair_per_block
    fti = ExtFtiRaptorQ.build(
        {"transfer_length": 2**39, "symbol_size": 8, "source_blocks": 255, "sub_blocks": 9, "alignment": 1}
    )
    huge_fdt = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "' + b"A" * 400 + b'">]><x>&a;</x>'
    return {
        "truncated": good[:9],
        "version": b"\x20" + good[1:],
        "header_length": with_crc(good[:2] + b"\x03" + good[3:]),
        "extension_length": with_crc(good[:17] + b"\x00" + good[18:]),
        "crc": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "tsi": data_packet(release, tsi=1),
        "out_of_range": data_packet(release, sbn=200),
        "out_of_range ": data_packet(release, esi=esi_beyond),
        "symbol_size": data_packet(release, symbol=b"\x66" * 508),
        "fdt": render_packet(release.tsi, 0, 0, 0, huge_fdt, ((192, b"\x20\0\1"),)),
        "close_flag": render_close(good),
        "header_toi": render_packet(release.tsi, 0x7777_7777, 0, 0, bytes(256)),
        "codepoint": render_packet(release.tsi, release.toi_base, 0, 0, b"\x66" * 512, ((64, fti),)),
        "early": render_packet(release.tsi, 0x7777_7770, 6, 0, b"\x66" * 512),
        "no_crc": good[:2] + b"\x04" + good[3:16] + good[24:],
    }


def with_crc(packet):
    """The packet with its CRC put right: forgers can compute CRCs."""
    raw = bytearray(packet)
    raw[20:24] = crc_of_packet(bytes(raw)).to_bytes(4, "big")
    return bytes(raw)


def render_close(good):
    """The good packet with A and B set."""
    return with_crc(good[:1] + bytes([good[1] | 3]) + good[2:])


def test_each_hostile_packet_is_counted_and_the_image_still_comes(listening, release):
    for expected, raw in hostile_packets(release).items():
        before = counts(listening)
        give(listening, raw)
        grown = counts(listening) - before
        assert grown[expected.strip()] == 1, f"{expected}: {grown}"
    finish(listening, release)


def test_a_forged_fti_changes_nothing(listening, release):
    fti = ExtFtiRaptorQ.build(
        {"transfer_length": 9, "symbol_size": 8, "source_blocks": 1, "sub_blocks": 1, "alignment": 8}
    )
    source = release.layout.objects[0].source_symbols
    number = 5
    parsed = parse_packet(bytes(release.packet_bytes(number, 1)))
    with_fti = render_packet(parsed.tsi, parsed.toi, parsed.codepoint, parsed.payload_id, parsed.symbol, ((64, fti),))
    give(listening, with_fti)
    assembly = next(iter(listening.assemblies.values()))
    assert assembly.useful_symbols == 1, "an unknown extension does not spoil a good symbol"
    assert assembly.needed_symbols == source
    finish(listening, release)


@given(st.binary(min_size=1, max_size=600))
@settings(max_examples=300, deadline=None)
def test_nothing_escapes_the_receiver(raw):
    from carousel.release.trust import TrustRing
    from settop.stitch.policy import BoxProfile

    box = InlineBox(BoxProfile(HARDWARE, TrustRing()), 0xB007CA57)
    give(box, raw)
    assert sum(counts(box).values()) >= 1
    assert not box.assemblies


def test_poisoned_symbols_are_sorted_out(listening, release):
    """Forged symbols with right CRC in every place: the box turns suspicious, and boots all the same."""
    image = release.layout.objects[0]
    for sbn in range(image.blocks):
        for esi in range(0, int(image.block_sizes[sbn]), 3):
            give(listening, data_packet(release, sbn=sbn, esi=esi))
    result = finish(listening, release)
    assert any(isinstance(event, Suspicion) for event in listening.events)
    assert result.assembly.rejected_symbols > 0


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("can_decode", [True, False])
def test_a_poisoner_on_the_same_wire_can_not_stop_a_box(profile, release, share, can_decode):
    """For every good packet, some forged ones, for ever, images and digests both."""
    box = InlineBox(profile, release.tsi, can_decode)
    rng = np.random.default_rng(11)
    image = release.layout.objects[0]

    class Poisoned(FaultyLink):
        def carry(self, batch):
            arrived = super().carry(batch)
            if batch.stride == release.packet_size and rng.random() < share:
                level = int(rng.integers(release.layout.top + 1))
                geometry = release.layout.objects[level]
                forged = [
                    data_packet(
                        release,
                        level,
                        int(rng.integers(geometry.blocks)),
                        int(rng.integers(geometry.largest_block)),
                        rng.bytes(512),
                    )
                    for _ in range(4)
                ]
                arrived.insert(0, batch_of(*forged))
            return arrived

    result = finish(box, release, Poisoned(rng, loss=0.05), limit_s=5.0)
    assert result.assembly.rejected_symbols > 0
    assert result.verified_s < 20 * image.transfer_length * 8 / 50e6


@pytest.mark.slow
def test_a_flood_of_forged_headers_can_not_keep_the_good_one_out(box, release, make_release):
    """Signature checks are bounded a second; a header whose symbols are heard has an allowance of its own."""
    checks = 0
    original = SignedHeader.is_signed_by

    def counting(self, key):
        nonlocal checks
        checks += 1
        return original(self, key)

    SignedHeader.is_signed_by = counting
    try:
        for number in range(3000):
            header = make_forged_header(release, number)
            base = toi_base(header.release_id)
            raw = render_packet(release.tsi, base + 7, 0, 0, header.raw)
            give(box, raw, now=number / 3000)
        assert counts(box)["header_postponed"] > 2000
        for first in range(0, 200, 10):
            box.receive(Batch(release.packet_bytes(first, 10), release.packet_size, 10), 1.0)
        for now in (1.0, 1.1):
            give(box, header_packet(release), now)
    finally:
        SignedHeader.is_signed_by = original
    assert checks <= 2.1 * CHECKS_PER_S
    assert release.header.release_id in box.assemblies
    finish(box, release)


def make_forged_header(release, number):
    """A header by another key that claims the trusted key's id: only the signature check tells."""
    from carousel.crc import crc32

    forged = unsigned(release.header, created_unix_s=number).sign(OTHER_KEY)
    raw = bytearray(forged.raw)
    raw[120:128] = release.header.key_id
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    return SignedHeader.parse(bytes(raw))


def test_an_unknown_key_is_a_clear_refusal(box, make_release):
    foreign = make_release(SIZE, symbol_size=512, key=OTHER_KEY)
    give(box, header_packet(foreign))
    assert counts(box)["unknown_key"] == 1
    assert not box.assemblies


def test_an_older_release_replayed_is_not_taken(profile, release, make_release):
    from carousel.release.identity import Version

    old = make_release(200_000, symbol_size=512, version="1.0.0")
    box = InlineBox(profile.but(held=((b"h" * 8, Version(1, 3, 0)),)), release.tsi)
    result = run_pair([old, release], box, FaultyLink(np.random.default_rng(0)), 50e6)
    assert result.assembly.header == release.header
    assert [event.reason for event in box.events if isinstance(event, ImageRefused)] == [
        "version 1.0.0 is not newer than 1.3.0"
    ]


def test_a_header_without_symbols_delays_a_good_image_by_two_at_most(box, profile, release, make_release):
    """A genuine newer header replayed, its symbols never sent: the good image is installed all the same."""
    newer = make_release(SIZE + 1, symbol_size=512, version="9.0.0")

    class Replayed(FaultyLink):
        def carry(self, batch):
            return [*super().carry(batch), batch_of(header_packet(newer)), batch_of(data_packet(newer))]

    alone = run_pair([release], InlineBox(profile, release.tsi), FaultyLink(np.random.default_rng(1)), 5e6)
    result = finish(box, release, Replayed(np.random.default_rng(1)), start_packets=0)
    assert newer.header.release_id in box.assemblies
    assert alone.verified_s is not None
    assert result.assembly.header == release.header


def test_the_newest_of_two_releases_is_taken(box, release, make_release):
    newer = make_release(SIZE, symbol_size=512, version="2.0.0")
    result = run_pair([release, newer], box, FaultyLink(np.random.default_rng(1)), 50e6)
    assert result.assembly.header == newer.header


def test_a_swap_in_mid_download_is_followed(box, release, make_release):
    first = run_pair([release], box, FaultyLink(np.random.default_rng(1)), 50e6, limit_s=0.02)
    assert first.assembly is None
    newer = make_release(SIZE, symbol_size=512, version="2.0.0")
    result = run_pair([newer], box, FaultyLink(np.random.default_rng(1)), 50e6)
    assert result.assembly.header == newer.header


def test_two_head_ends_with_one_release_are_twice_as_good(box, release):
    assert finish(box, release, FaultyLink(np.random.default_rng(1), duplicate=0.99)).assembly is not None


def test_candidates_are_bounded(box, make_release):
    releases = [make_release(50_000, symbol_size=512, version=f"1.{minor}.0") for minor in range(6)]
    for now, release in enumerate(releases):
        give(box, header_packet(release), now=10.0 * now)
    assert len(box.assemblies) == MAX_CANDIDATES


def test_what_is_kept_before_a_header_is_bounded(box, release):
    for base in range(200):
        raw = render_packet(release.tsi, base << 8, 6, 0, bytes(60_000))
        for _ in range(3):
            give(box, raw)
    assert counts(box)["early_dropped"] > 0
    finish(box, release)


def test_fdts_are_counted_and_never_read(listening, release):
    for raw in fdt_packets([release], release.tsi, 1, 2_000_000_000):
        give(listening, raw)
    assert counts(listening)["fdt"] >= 1


def test_the_cold_path_is_bounded(listening, release):
    odd = render_packet(release.tsi, release.toi_base, 6, 0, bytes(100), ((64, bytes(14)),))
    for _ in range(40):
        listening.receive(batch_of(*[odd] * 50), 0.0)
    assert counts(listening)["odd_dropped"] >= 1400


@pytest.mark.slow
def test_a_million_mutated_packets(box, release):
    """The whole receiver, a million packets with random changes; the image must still come."""
    rng = np.random.default_rng(99)
    give(box, header_packet(release))
    rows = np.array(release.packets)
    headers = [header_packet(release), *fdt_packets([release], release.tsi, 1, 2_000_000_000)]
    done = 0
    while done < 1_000_000:
        chosen = rows[rng.integers(len(rows), size=500)]
        where = rng.integers(0, 60, size=(500, 2))
        for column in range(2):
            hit = rng.random(500) < 0.5
            chosen[np.flatnonzero(hit), where[hit, column]] = rng.integers(0, 256, int(hit.sum()))
        box.receive(Batch(chosen.data.cast("B"), chosen.shape[1], 500), done / 1e5)
        short = bytearray(headers[int(rng.integers(len(headers)))])
        short[int(rng.integers(len(short)))] ^= int(rng.integers(1, 256))
        give(box, bytes(short[: int(rng.integers(1, len(short) + 1))]), done / 1e5)
        done += 501
    print(dict(counts(box)))
    finish(box, release)
