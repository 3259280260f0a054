"""What goes beside announcements, on both transports: how often, what it says, and what it costs."""

import pytest

from carousel.bulletin import MAX_STAGES, Bulletin, claim_of, is_signed_by
from carousel.flute.alc import parse_packet
from carousel.flute.toi import BULLETIN_TOI
from carousel.gate import MOST_HASHES, GateState, Tick, chain_id_of, hashed
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from carousel.take import Piece
from headend.cast.broadcaster import Broadcaster
from headend.cast.flute import FluteFormat
from headend.cast.notices import NO_NOTICES, RESIGN_S, Notices
from headend.cast.settings import BroadcastSettings
from headend.cast.ssu import SsuFormat, SsuSettings
from headend.pack.ssuplan import SsuProfile
from headend.rollout.decisions import Decisions, GatePlan
from settop.stitch.seam import Announcement
from settop.stitch.seam import Bulletin as HeardBulletin
from settop.wire.ssu import SsuWire
from tests.conftest import KEY, OTHER_KEY
from tests.headend.cast.test_broadcaster import packets_until

RELEASE = ReleaseId(b"r" * 16)
TICKS = 1 << 16
UNIX_S = 1_750_000_000.0
SECRET = bytes(32)
VALUES = [SECRET]
for _ in range(2000):
    VALUES.append(hashed(VALUES[-1], 1))
GATE = GatePlan(GateState.TICKING, chain_id_of(VALUES[2000]), TICKS, 0.0, UNIX_S, 100.0)


def value_of(gate, tick):
    return VALUES[2000 - tick]


@pytest.fixture
def notices():
    made = Notices(OTHER_KEY, UNIX_S)
    made.decide(Decisions().staged(RELEASE, 0.01, b"saltsalt", 7), value_of)
    return made


def told(sent):
    """Times and bytes of what goes with TOI 1."""
    found = [(now, parse_packet(raw)) for now, raw in sent if raw[12:16] == BULLETIN_TOI.to_bytes(4, "big")]
    return [(now, packet.symbol) for now, packet in found]


def test_one_bulletin_beside_each_announcement(make_release, notices):
    release, settings = make_release(200_000, symbol_size=512), BroadcastSettings(20e6)
    sent = packets_until(
        Broadcaster([release], settings, 0.0, FluteFormat(settings, notices)), lambda _, now: now >= 5.0
    )
    bulletins = told(sent)
    assert len(bulletins) == 20
    assert all(is_signed_by(raw, OTHER_KEY.public_key()) for _, raw in bulletins)
    assert len({raw for _, raw in bulletins}) == 3, f"signed anew every {RESIGN_S} s"
    ages = [claim_of(raw).age for _, raw in bulletins]
    assert ages == sorted(ages)
    assert {epoch for epoch, _ in ages} == {7}


def test_without_a_key_nothing_is_different(make_release):
    release, settings = make_release(200_000, symbol_size=512), BroadcastSettings(20e6)

    def sent(wire_format):
        return packets_until(Broadcaster([release], settings, 0.0, wire_format), lambda _, now: now >= 1.0)

    assert sent(None) == sent(FluteFormat(settings, NO_NOTICES))
    assert told(sent(None)) == []


def test_a_decision_goes_with_the_next_announcement(notices):
    before = notices.bulletins(10.0)
    assert notices.bulletins(10.5) == before
    notices.decide(Decisions().halted(RELEASE, "bad", 8), value_of)
    (raw,) = notices.bulletins(10.6)
    assert Bulletin.parse(raw).stages[0].is_halted


def test_what_was_signed_is_never_older_than_before_whatever_the_clock(notices):
    first = claim_of(notices.bulletins(10.0)[0])
    notices.decide(Decisions().halted(RELEASE, "bad", 8), value_of)
    later = claim_of(notices.bulletins(10.0)[0])
    assert later.age > first.age
    assert later.issued_unix_ms > first.issued_unix_ms


def test_many_releases_are_told_in_parts(notices):
    decisions = Decisions()
    for number in range(MAX_STAGES + 1):
        decisions = decisions.staged(ReleaseId(number.to_bytes(16, "big")), 0.5, b"", 1)
    notices.decide(decisions, value_of)
    parts = [Bulletin.parse(raw) for raw in notices.bulletins(0.0)]
    assert [(part.part, part.parts, len(part.stages)) for part in parts] == [(0, 2, MAX_STAGES), (1, 2, 1)]
    assert {part.epoch for part in parts} == {decisions.epoch}


def test_ticks_come_between_bulletins_and_prove_themselves(notices):
    notices.decide(Decisions().gated(GATE, 9), value_of)
    known, ticks, signatures = None, [], set()
    for step in range(1000):
        now = step / 100
        if step % 25 == 0:
            (raw,) = notices.bulletins(now)
            known = Bulletin.parse(raw).gate
            signatures.add(raw)
        for raw in notices.ticks(now):
            tick = Tick.parse(raw)
            assert tick.follows(known)
            assert tick.tick <= now * 100 + 1e-6
            ticks.append(tick.tick)
    assert ticks == sorted(set(ticks))
    assert len(ticks) > 150, "twenty a second"
    assert ticks[-1] > 950
    assert len(signatures) >= 1000 / MOST_HASHES / 2


def test_no_tick_before_the_bulletin_that_commits_to_the_chain(notices):
    notices.decide(Decisions().gated(GATE, 9), value_of)
    assert notices.ticks(5.0) == []
    assert notices.bulletins(5.0)
    assert notices.ticks(5.2)


def test_a_clock_that_is_set_back_takes_no_tick_back():
    notices = Notices(KEY, UNIX_S)
    notices.decide(Decisions().gated(GATE, 9), value_of)
    ahead = Bulletin.parse(notices.bulletins(5.0)[0]).gate.tick
    again = Bulletin.parse(notices.bulletins(3.0)[0]).gate.tick
    notices.decide(Decisions().gated(GATE, 10), value_of)
    assert (ahead, again) == (500, 500)
    assert Bulletin.parse(notices.bulletins(3.0)[0]).gate.tick == 500


def test_bulletins_count_where_announcements_get_half_the_rate(make_release, notices):
    release, settings = make_release(20_000, symbol_size=512), BroadcastSettings(20e3)
    without, within = FluteFormat(settings), FluteFormat(settings, notices)
    for each in (without, within):
        each.replace([release], 0.0)
        each.announcements(0.0)
    assert within.announce_interval_s > without.announce_interval_s


@pytest.mark.slow
def test_a_sidecar_carries_the_same_bytes(make_release, notices):
    notices.decide(Decisions().gated(GATE, 9).staged(RELEASE, 0.5, b"", 10), value_of)
    release = make_release(300_000, ssu_profile=SsuProfile.STANDARD)
    stream = SsuFormat(SsuSettings(8e6), notices)
    wire = SsuWire(TrustRing.of([KEY.public_key()]), frozenset([release.header.hardware.oui]), False)
    broadcaster, now, heard, announced = Broadcaster([release], BroadcastSettings(8e6), 0.0, stream), 0.0, [], 0
    while now < 2.0:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        pieces = [Piece(0, batch.stride, batch.stride * batch.count)]
        for arrival in wire.receive(batch.buffer, pieces, now):
            announced += isinstance(arrival, Announcement)
            if isinstance(arrival, HeardBulletin):
                heard.append(arrival.raw)
    assert announced
    bulletins = [raw for raw in heard if raw.startswith(b"BCBL")]
    ticks = [Tick.parse(raw) for raw in heard if raw.startswith(b"BCTK")]
    assert len(bulletins) >= 7
    assert all(is_signed_by(raw, OTHER_KEY.public_key()) for raw in bulletins)
    assert len(ticks) > 25
