from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import OperatorError
from carousel.flute.alc import Extension, ExtFdt, parse_packet
from carousel.flute.toi import FDT_TOI
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from headend.cast.shares import Demand, shares

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


@pytest.mark.slow
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
    said = BroadcastSettings(2e5, announce_interval_s=10.0, unix_offset_s=1_750_000_000)
    sent = packets_until(Broadcaster([release], said, 0.0), lambda _, now: now > 700)
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


def bytes_by_release(sent):
    found = Counter()
    for _, raw in sent:
        found[int.from_bytes(raw[12:16], "big") & ~7] += len(raw)
    return found


@pytest.mark.parametrize(
    "demands",
    [(), (Demand(4.0), Demand(1.0), Demand(0.5)), (Demand(1.0), Demand(1.0), Demand(0.01, deadline_s=0.5))],
    ids=["alike", "weights", "a deadline"],
)
def test_bytes_on_the_wire_follow_the_shares(make_release, demands):
    sizes = (100_000, 900_000, 1_600_000)
    releases = [make_release(size, symbol_size=1024, repair_ratio=0.5) for size in sizes]
    broadcaster = Broadcaster(releases, BroadcastSettings(RATE_BPS), 0.0, demands=demands)
    found = bytes_by_release(packets_until(broadcaster, lambda _, now: now > 3.0))
    lengths = [release.layout.objects[0].source_symbols * release.packet_size for release in releases]
    wanted = shares(demands or [Demand()] * 3, lengths, RATE_BPS, 0.0)
    for release, part in zip(releases, wanted, strict=True):
        assert found[release.toi_base] / sum(found.values()) == pytest.approx(part, rel=0.02)


def test_deadlines_that_cannot_be_kept_change_nothing(make_release):
    kept, more = make_release(100_000, symbol_size=512), make_release(4_000_000, name="more")
    broadcaster = Broadcaster([kept], BroadcastSettings(RATE_BPS), 0.0)
    with pytest.raises(OperatorError, match="allow later ones"):
        broadcaster.replace([kept, more], 0.0, [Demand(), Demand(deadline_s=0.1)])
    found = bytes_by_release(packets_until(broadcaster, lambda _, now: now > 0.5))
    assert more.toi_base not in found


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0.005, 0.1), st.sets(st.integers(0, 3), min_size=1)), max_size=12))
def test_coming_and_going_leaves_no_gap_and_starves_nobody(make_release, changes):
    """Whoever stays on the air with a deadline gets one image's worth within it, whatever else comes and goes."""
    releases = [make_release(60_000, symbol_size=512, name=f"r{number}") for number in range(4)]
    stays, deadline_s = make_release(200_000, symbol_size=512, name="stays"), 0.25
    asked = Demand(0.01, deadline_s)
    broadcaster, now, sent = Broadcaster([stays], BroadcastSettings(RATE_BPS), 0.0, demands=[asked]), 0.0, []
    for pause_s, others in (*changes, (0.5, {0, 1, 2, 3})):
        beside = [releases[number] for number in sorted(others)]
        broadcaster.replace([*beside, stays], now, [*[Demand(9.0)] * len(beside), asked])
        until_s = now + pause_s
        sent += packets_until(broadcaster, lambda _, at, until_s=until_s: at > until_s, now)
        now = until_s
    times = [at for at, _ in sent]
    assert max((b - a for a, b in pairwise(times)), default=0) < 0.01
    length_bytes = stays.layout.objects[0].source_symbols * stays.packet_size
    heard = [(at, len(raw)) for at, raw in sent if int.from_bytes(raw[12:16], "big") & ~7 == stays.toi_base]
    for begin, (at, _) in enumerate(heard):
        if at + deadline_s * 1.1 > now:
            break
        got = sum(size for when, size in heard[begin:] if at <= when <= at + deadline_s * 1.1)
        assert got >= length_bytes


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
