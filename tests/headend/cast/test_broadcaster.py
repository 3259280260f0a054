from collections import Counter
from itertools import pairwise

import pytest

from carousel.flute.alc import Extension, ExtFdt, parse_packet
from carousel.flute.toi import FDT_TOI
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings

RATE_BPS = 50e6


def packets_until(broadcaster, stop, now=0.0):
    """Send in virtual time; return (time, packet bytes) until `stop(broadcaster, now)`."""
    sent = []
    while not stop(broadcaster, now):
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        sent += [(now, batch.packet(index)) for index in range(batch.count)]
    return sent


def image_packets(sent, release):
    base = release.toi_base.to_bytes(4, "big")
    return [raw for _, raw in sent if raw[12:16] == base]


def test_a_cycle_has_every_image_packet_once(make_release):
    release = make_release(500_000, symbol_size=512)
    sent = packets_until(Broadcaster([release], BroadcastSettings(RATE_BPS), 0.0), lambda b, _: b.cycles_done == 1)
    ids = Counter(raw[24:28] for raw in image_packets(sent, release))
    assert len(ids) == release.image_packets
    assert max(ids.values()) == 1


def test_source_symbols_come_before_repair_symbols(make_release):
    release = make_release(500_000, symbol_size=512)
    sent = packets_until(Broadcaster([release], BroadcastSettings(RATE_BPS), 0.0), lambda b, _: b.cycles_done == 1)
    source = release.layout.objects[0].source_symbols
    image = [parse_packet(raw).payload_id & 0xFFFFFF for raw in image_packets(sent, release)]
    largest = release.layout.objects[0].largest_block
    assert all(esi < largest for esi in image[:source])
    assert all(esi >= largest - 1 for esi in image[source:])
    assert len(image) == release.image_packets


def test_cycles_differ_and_a_seed_repeats_them(make_release):
    release = make_release(300_000, symbol_size=512)

    def two_cycles(seed):
        broadcaster = Broadcaster([release], BroadcastSettings(RATE_BPS, seed=seed), 0.0)
        sent = packets_until(broadcaster, lambda b, _: b.cycles_done == 2)
        image = [raw[24:28] for raw in image_packets(sent, release)]
        return image[: len(image) // 2], image[len(image) // 2 :]

    first, second = two_cycles(1)
    assert first != second
    assert two_cycles(1) == (first, second)
    assert two_cycles(2) != (first, second)


def test_announcements_keep_their_time(make_release):
    release = make_release(300_000, symbol_size=512)
    broadcaster = Broadcaster([release], BroadcastSettings(RATE_BPS, announce_interval_s=0.25), 0.0)
    sent = packets_until(broadcaster, lambda _, now: now > 2.9)
    times = [now for now, raw in sent if len(raw) == 284]
    assert len(times) == pytest.approx(12, abs=1)
    assert all(gap == pytest.approx(0.25, abs=0.005) for gap in (b - a for a, b in pairwise(times)))
    fdts = [now for now, raw in sent if parse_packet(raw).toi == FDT_TOI and parse_packet(raw).payload_id == 0]
    assert fdts == pytest.approx([0.0, 1.0, 2.0], abs=0.02), "other receivers need them, ours don't"


def test_no_flag_ever_closes_anything(make_release):
    release = make_release(100_000, symbol_size=512)
    sent = packets_until(Broadcaster([release], BroadcastSettings(RATE_BPS), 0.0), lambda _, now: now > 1)
    assert not any(raw[1] & 3 for _, raw in sent)


def test_an_fdt_under_one_instance_never_changes_and_is_renewed(make_release):
    release = make_release(100_000, symbol_size=512)
    settings = BroadcastSettings(2e5, announce_interval_s=10.0, unix_offset_s=1_750_000_000)
    sent = packets_until(Broadcaster([release], settings, 0.0), lambda _, now: now > 700)
    bodies: dict[int, set[bytes]] = {}
    for now, raw in sent:
        if raw[12:16] != bytes(4):
            continue
        packet = parse_packet(raw)
        if packet.payload_id == 0:
            instance = ExtFdt.parse(packet.extension(Extension.FDT)).instance
            bodies.setdefault(instance, set()).add(packet.symbol)
            expires = int(packet.symbol.split(b'Expires="')[1].split(b'"')[0]) - 2208988800
            assert expires > 1_750_000_000 + now
    assert len(bodies) == 3
    assert all(len(seen) == 1 for seen in bodies.values())


def test_releases_share_the_rate_equally(make_release):
    small, large = make_release(100_000, symbol_size=512), make_release(900_000, symbol_size=1024)
    sent = packets_until(Broadcaster([small, large], BroadcastSettings(RATE_BPS), 0.0), lambda _, now: now > 1.0)
    share = Counter()
    for _, raw in sent:
        share[int.from_bytes(raw[12:16], "big") & ~7] += len(raw)
    assert share[small.toi_base] == pytest.approx(share[large.toi_base], rel=0.02)


def test_overhead_beside_the_image_is_small(make_release):
    release = make_release(16_000_000, name="timing")
    sent = packets_until(Broadcaster([release], BroadcastSettings(RATE_BPS), 0.0), lambda b, _: b.cycles_done == 1)
    everything = sum(len(raw) for _, raw in sent)
    image = sum(len(raw) for raw in image_packets(sent, release))
    print(f"digests and announcements: {everything / image - 1:.2%} beside the image")
    assert everything / image < 1.02


def test_announcements_never_starve_the_image(make_release):
    """Seen: where they take longer than their interval, nothing else went out, for ever."""
    release = make_release(40_000, symbol_size=512)
    broadcaster = Broadcaster([release], BroadcastSettings(2e5, announce_interval_s=0.01), 0.0)
    sent = packets_until(broadcaster, lambda _, now: now > 30)
    assert broadcaster.announce_interval_s > 0.1
    announcing = sum(len(raw) for _, raw in sent if parse_packet(raw).toi in (FDT_TOI, release.header_toi))
    assert announcing / sum(len(raw) for _, raw in sent) < 0.53


def test_a_swap_announces_first_and_keeps_what_stays(make_release):
    old, stays, new = (make_release(200_000 + n, symbol_size=512) for n in range(3))
    broadcaster = Broadcaster([old, stays], BroadcastSettings(RATE_BPS), 0.0)
    sent = packets_until(broadcaster, lambda _, now: now > 0.05)
    now = sent[-1][0]
    broadcaster.replace([stays, new], now)
    after = packets_until(broadcaster, lambda _, at: at > now + 0.05, now)
    assert len(after[0][1]) == 284
    bases = {int.from_bytes(raw[12:16], "big") & ~7 for _, raw in after} - {0}
    assert bases == {stays.toi_base, new.toi_base}
    before = {raw[24:28] for raw in image_packets(sent, stays)}
    assert not before & {raw[24:28] for raw in image_packets(after, stays)}


def test_an_empty_carousel_is_our_own_mistake():
    with pytest.raises(ValueError, match="without a release"):
        Broadcaster([], BroadcastSettings(1e6), 0.0)
