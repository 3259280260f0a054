"""Roll-outs by rule over whole fleets: who is in a cohort, when it halts, how fast a halt is heard, how many report."""

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.scenario.values import Rollout
from bench.fleet.storm.stages import RuledRollout, run_ruled_rollout
from carousel.bulletin import ALL
from carousel.flute.alc import parse_packet
from carousel.flute.toi import BULLETIN_TOI
from carousel.release.identity import ReleaseId
from headend.cast.broadcaster import Broadcaster
from headend.cast.flute import FluteFormat
from headend.cast.notices import Notices
from headend.cast.settings import BroadcastSettings
from headend.cast.turning import ROLLOUT_CHECK_S
from headend.rollout.decisions import Decisions
from settop.rollout.board import Board, Standing
from tests.bench.fleet.fleets import scenario
from tests.settop.rollout.signed import ONLINE_KEY, TRUST

RULE = "1 % 10 min, 10 % 1 h, 100 %"
GOOD = Rollout(stage_over_s=3600.0, failing_share=0.0, recovering_share=0.9, report_delay_s=300.0, rules=(RULE,))
BRICKS = replace(GOOD, failing_share=1.0, recovering_share=0.0)
RELEASE = ReleaseId(b"r" * 16)


def run(rollout, boxes, seed=1, horizon_s=6 * 3600.0):
    story = run_ruled_rollout(scenario(boxes, horizon_s=horizon_s, rollout=rollout), seed, RULE)
    assert (sum(story.phases.values()) == boxes).all()
    assert story.tally.all_boot().total == boxes
    return story


@pytest.mark.parametrize("boxes", [10**5, 10**7, 220_000_000])
def test_a_good_image_reaches_all_by_its_stages(boxes):
    story = run(GOOD, boxes)
    assert int(story.phases["on the new image"][-1]) == boxes
    shares = story.loads[0].values
    assert set(shares) == {0.01, 0.1, 1.0}
    assert (np.diff(shares) >= 0).all()


@pytest.mark.parametrize("boxes", [10**5, 10**7, 220_000_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_cohort_that_bricks_silently_is_halted_at_one_percent(boxes, seed):
    story = run(BRICKS, boxes, seed)
    assert "halted at 1 %" in story.notes[0]
    assert int(story.phases["lost"][-1]) <= 0.01 * boxes + 5 * (0.01 * boxes) ** 0.5


def test_lost_reports_alone_halt_nothing():
    assert "never halted" in run(replace(GOOD, report_loss=0.01), 10**6).notes[0]


@pytest.mark.parametrize("boxes", [1000, 10**6, 220_000_000])
def test_cohorts_are_binomial_and_only_grow(boxes):
    for seed in range(20):
        model, before = RuledRollout(GOOD, boxes, RULE, np.random.default_rng(seed)), 0
        for share in (0.01, 0.1, 1.0):
            model._go_to(share, 0.0)
            deviation = (boxes * share * (1 - share)) ** 0.5
            assert abs(model.cohort - boxes * share) <= 5 * deviation
            assert model.cohort >= before
            before = model.cohort
        assert model.cohort == boxes


def bulletin_times(make_release, halted_at_s, until_s):
    """Send in virtual time; return when the air carried the halt."""
    release, settings = make_release(200_000, symbol_size=512), BroadcastSettings(20e6)
    notices = Notices(ONLINE_KEY, 1_750_000_000.0)
    notices.decide(Decisions().staged(RELEASE, 1.0, b"", 1), lambda gate, tick: b"")
    broadcaster, now, packets = Broadcaster([release], settings, 0.0, FluteFormat(settings, notices)), 0.0, []
    is_halted = False
    while now < until_s:
        now = max(now, broadcaster.due(now))
        if now >= halted_at_s + ROLLOUT_CHECK_S and not is_halted:
            notices.decide(Decisions().halted(RELEASE, "it bricks", 2), lambda gate, tick: b"")
            is_halted = True
        batch = broadcaster.next_batch(now)
        for index in range(batch.count):
            raw = batch.packet(index)
            if is_halted and raw[12:16] == BULLETIN_TOI.to_bytes(4, "big"):
                packets.append((now, bytes(parse_packet(raw).symbol)))
    return packets


@pytest.mark.parametrize("halted_at_s", [3.0, 3.01, 3.1, 3.249])
def test_a_halt_reaches_9999_of_10000_within_two_seconds_at_a_fifth_of_losses(make_release, halted_at_s):
    packets = bulletin_times(make_release, halted_at_s, halted_at_s + 2.0)
    boxes, loss = 220_000_000, 0.2
    deaf = np.random.default_rng(1).binomial(boxes, loss ** len(packets))
    assert deaf <= 1e-4 * boxes
    rng, heard = np.random.default_rng(2), 0
    for number in range(1000):
        board = Board(TRUST, f"box-{number}")
        for now, raw in packets:
            if rng.random() >= loss:
                board.hear(raw, now)
                board.judge(now)
        heard += board.verdict(RELEASE, 0.0).standing is Standing.HALTED
    assert heard >= 1000 - 1


@pytest.mark.parametrize("boxes", [10**5, 10**7, 220_000_000])
def test_the_rate_of_reports_comes_within_twice_its_target(boxes):
    rollout = replace(GOOD, reports_per_s=1.0, stage_over_s=7200.0)
    model, came, step_s = RuledRollout(rollout, boxes, "10 % 2 h, 100 %", np.random.default_rng(3)), [], 5.0
    for step in range(1400):
        model.step((step + 1) * step_s, step_s)
        came.append(model.reports)
    settled = np.array(came[200:1200]).reshape(-1, 100).mean(axis=1) / step_s
    assert (settled >= 0.5).all()
    assert (settled <= 2.0).all()
    assert model._rate.threshold <= ALL
