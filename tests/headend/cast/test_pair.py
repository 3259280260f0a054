"""Two head-ends across a fake air, in virtual time: the real broadcasters, the real watch."""

import numpy as np
import pytest

from bench.virtual.box import InlineBox
from carousel.batch import Batch
from headend.cast.broadcaster import Broadcaster
from headend.cast.pair import Pair, PairRole, distance_to_opposite
from headend.cast.settings import BroadcastSettings

RATE_BPS = 20e6
STEP_S = 0.001


class Air:
    """What the other of two senders sent, until it is heard."""

    def __init__(self):
        self.waiting = []

    def hear(self):
        heard, self.waiting = self.waiting, []
        yield from heard


class HeadEnd:
    def __init__(self, releases, role, now=0.0, unix_offset_s=0.0):
        is_second = role is PairRole.SECOND
        settings = BroadcastSettings(
            RATE_BPS,
            unix_offset_s=unix_offset_s,
            begin_share=0.5 * is_second,
            fdt_step=2,
            fdt_rest=int(is_second),
        )
        self.broadcaster = Broadcaster(releases, settings, now)
        self.ear = Air()
        self.pair = Pair(role, self.ear, RATE_BPS, now)
        self.changes = []

    def step(self, now):
        """Send what is due at `now`; return it."""
        if self.pair.tend(self.broadcaster, now):
            self.changes.append((now, self.pair.is_alone))
        sent = []
        while self.broadcaster.due(now) <= now:
            sent.append(self.broadcaster.next_batch(now))
        return sent


def run(headends, begin_s, seconds, alive=lambda index, now: True):
    """Let them send and hear each other; return (time, index, batch) of all that went on the air."""
    air = []
    for number in range(round(seconds / STEP_S)):
        now = begin_s + number * STEP_S
        for index, headend in enumerate(headends):
            if not alive(index, now):
                continue
            for batch in headend.step(now):
                air.append((now, index, batch))
                other = headends[1 - index]
                other.ear.waiting.append(batch)
    return air


def rate_bps(air, index, begin_s, end_s):
    return sum(b.stride * b.count * 8 for now, i, b in air if i == index and begin_s <= now < end_s) / (end_s - begin_s)


@pytest.fixture
def release(make_release):
    return make_release(3_000_000, name="pair")


def test_each_sends_half_the_rate_and_together_they_send_all_of_it(release):
    both = [HeadEnd([release], PairRole.FIRST), HeadEnd([release], PairRole.SECOND)]
    air = run(both, 0.0, 4.0)
    for index in (0, 1):
        assert rate_bps(air, index, 1.0, 4.0) == pytest.approx(RATE_BPS / 2, rel=0.02)
    assert not any(headend.changes for headend in both)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_takes_over_within_a_second_and_yields_when_the_other_is_back(release, victim):
    both = [HeadEnd([release], PairRole.FIRST), HeadEnd([release], PairRole.SECOND)]
    air = run(both, 0.0, 5.0, alive=lambda index, now: index != victim or not 2.0 <= now < 3.5)
    survivor = 1 - victim
    (alone_s, is_alone), (back_s, is_still_alone) = both[survivor].changes
    assert (is_alone, is_still_alone) == (True, False)
    assert 2.0 < alone_s < 3.0
    assert 3.5 < back_s < 4.5
    assert rate_bps(air, survivor, alone_s + 0.1, 3.5) == pytest.approx(RATE_BPS, rel=0.03)
    assert rate_bps(air, survivor, back_s + 0.1, 5.0) == pytest.approx(RATE_BPS / 2, rel=0.05)


@pytest.mark.parametrize("late_s", [0.0, 0.7])
def test_all_that_two_send_within_one_images_time_is_distinct(release, late_s):
    """Even when the second starts at any moment: it keeps half a cycle's distance to the first."""
    first = HeadEnd([release], PairRole.FIRST)
    alone = run([first, HeadEnd([release], PairRole.SECOND)], 0.0, late_s, alive=lambda index, _: index == 0)
    both = [first, HeadEnd([release], PairRole.SECOND, late_s)]
    air = alone + run(both, late_s, 6.0)
    needed = release.layout.objects[0].source_symbols
    begin_s = late_s + 2.0
    heard = [packet for now, _, batch in air if now >= begin_s for packet in image_packets(batch, release)][:needed]
    assert len(heard) == needed
    assert len(set(heard)) / needed > 0.94, "the shuffle's windows are a twentieth of this small release"


def test_without_repair_symbols_they_send_opposite_halves(make_release):
    release = make_release(3_000_000, name="pair", repair_ratio=0.0)
    both = [HeadEnd([release], PairRole.FIRST), HeadEnd([release], PairRole.SECOND)]
    sent = [[], []]
    for _, index, batch in run(both, 0.0, 1.5):
        sent[index] += image_packets(batch, release)
    half = release.image_packets // 2
    assert [len(each) >= half for each in sent] == [True, True]
    assert len({*sent[0][:half], *sent[1][:half]}) == 2 * half


def image_packets(batch, release):
    base = release.toi_base.to_bytes(4, "big")
    packets = (batch.packet(row) for row in range(batch.count))
    return [packet[24:28] for packet in packets if packet[12:16] == base]


def test_only_packets_that_equal_ours_count(release):
    """A flood that merely looks like the peer's packets keeps nobody quiet."""
    headend = HeadEnd([release], PairRole.FIRST)
    rng = np.random.default_rng(7)
    for number in range(2000):
        now = number * STEP_S
        forged = np.array(release.packets[rng.integers(release.image_packets, size=4)])
        forged[:, 100] ^= 0xFF
        headend.ear.waiting.append(Batch(memoryview(forged).cast("B"), release.packet_size, 4))
        headend.step(now)
    assert headend.pair.is_alone
    assert headend.pair.watch.foreign_packets == pytest.approx(8000, abs=100)


def test_rubbish_on_the_group_is_no_peer_and_hurts_nothing(release):
    headend = HeadEnd([release], PairRole.SECOND)
    odd = bytes(release.packet_bytes(0, 1)[:24]) + b"\xff" * (release.packet_size - 24)
    for stride, content in ((1, b"x"), (27, bytes(27)), (release.packet_size, odd), (40, bytes(80))):
        headend.ear.waiting.append(Batch(memoryview(content), stride, len(content) // stride))
    for number in range(1000):
        headend.step(number * STEP_S)
    assert headend.pair.is_alone


def test_the_two_never_use_the_same_fdt_instance(release):
    from carousel.flute.alc import Extension, ExtFdt, parse_packet
    from carousel.flute.toi import FDT_TOI

    both = [HeadEnd([release], PairRole.FIRST), HeadEnd([release], PairRole.SECOND)]
    seen = [set(), set()]
    for _, index, batch in run(both, 0.0, 2.0):
        for row in range(batch.count):
            packet = batch.packet(row)
            if int.from_bytes(packet[12:16], "big") == FDT_TOI:
                seen[index].add(ExtFdt.parse(parse_packet(packet).extension(Extension.FDT)).instance % 2)
    assert seen == [{0}, {1}]


@pytest.mark.parametrize(
    ("row", "peer", "distance"),
    [(0, 50, 0), (50, 0, 0), (98, 52, 0), (0, 0, 50), (10, 50, 10), (90, 50, 10), (99, 51, 0)],
)
def test_distance_goes_round_the_cycle(row, peer, distance):
    assert distance_to_opposite(row, peer, 100) == distance


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_whenever_one_dies_a_box_needs_hardly_longer_than_the_form_says(make_release, profile, victim, seed):
    """An image's worth of packets at the whole rate, and half of the time that the survivor takes to notice."""
    release = make_release(6_000_000, name="pair-of-boxes")
    ideal_s = release.layout.objects[0].source_symbols * release.packet_size * 8 / RATE_BPS
    rng = np.random.default_rng([seed, victim])
    tuned_s, dies_s = rng.uniform(0.5, 2.0), rng.uniform(0.0, 2.2)
    both = [HeadEnd([release], PairRole.FIRST), HeadEnd([release], PairRole.SECOND)]
    box, ready_s = InlineBox(profile, release.tsi), None
    box.tune_in(tuned_s)
    for now, _, batch in run(both, 0.0, 9.0, alive=lambda index, now: index != victim or now < tuned_s + dies_s):
        if now < tuned_s:
            continue
        box.receive(batch, now)
        if box.receiver.choose(now) is not None:
            ready_s = now
            break
    (alone_s, _) = both[1 - victim].changes[0]
    form_s = ideal_s + max(0.0, min(alone_s, ready_s) - tuned_s - dies_s) / 2
    print(f"seed {seed}: dies {dies_s:.2f} s after the box came; {(ready_s - tuned_s) / form_s:.3f} of the form")
    assert ready_s - tuned_s <= 1.1 * form_s
