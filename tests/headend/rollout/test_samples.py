"""Reports are counted once, by whom they are from; and so many are asked for that a target is met."""

import numpy as np
import pytest

from carousel.bulletin import ALL
from carousel.release.identity import ReleaseId
from carousel.report import REPORT_BYTES, Report, ReportKind, box_key
from headend.rollout import samples as module
from headend.rollout.samples import SampleRate, Samples
from headend.rollout.stages import Counts

SECRET = bytes(range(32))
RELEASE = ReleaseId(b"r" * 16)


def report(kind, box="box-1", secret=SECRET, key_of=None):
    raw = Report(kind, RELEASE, box).build(box_key(secret, key_of or box))
    assert len(raw) == REPORT_BYTES
    return Report.parse(raw)


def test_a_box_counts_once_however_often_its_packet_comes():
    samples = Samples(SECRET)
    assert samples.take(report(ReportKind.STARTING), 0.0)
    assert not samples.take(report(ReportKind.STARTING), 1.0)
    assert samples.counts(RELEASE, 600, 599.0) == Counts(0, 0)
    assert samples.counts(RELEASE, 600, 600.0) == Counts(0, 1), "silence after starting is failure"
    assert samples.take(report(ReportKind.CONFIRMED), 700.0)
    assert not samples.take(report(ReportKind.CONFIRMED), 700.0)
    assert samples.counts(RELEASE, 600, 1e9) == Counts(1, 0), "late is better than never"


def test_what_nobody_vouches_for_does_not_count():
    samples = Samples(SECRET)
    assert not samples.take(Report.parse(Report(ReportKind.STARTING, RELEASE, "box-1").build(None)), 0.0)
    assert not samples.take(report(ReportKind.STARTING, secret=bytes(32)), 0.0)
    assert not samples.take(report(ReportKind.STARTING, key_of="another box"), 0.0)
    assert samples.unproven == 3
    assert samples.counts(RELEASE, 0, 1e9) == Counts()


def test_confirmed_without_starting_is_nothing():
    samples = Samples(SECRET)
    assert not samples.take(report(ReportKind.CONFIRMED), 0.0)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_BOXES", 10)
    samples = Samples(SECRET)
    taken = [samples.take(report(ReportKind.STARTING, f"box-{number}"), 0.0) for number in range(20)]
    assert sum(taken) == 10
    for number in range(100):
        release = ReleaseId(number.to_bytes(16, "big"))
        samples.take(Report.parse(Report(ReportKind.STARTING, release, "b").build(box_key(SECRET, "b"))), 0.0)
    assert len(samples._trials) == module.MAX_RELEASES


@pytest.mark.parametrize("boxes", [10**3, 10**5, 10**7, 220_000_000])
@pytest.mark.parametrize("seed", range(3))
def test_the_rate_of_reports_is_within_twice_its_target_for_any_number_of_boxes(boxes, seed):
    """Boxes come evenly over a while, and report up to two seconds late; nobody tells how many they are."""
    rng, target_per_s, spread_s, over_s = np.random.default_rng(seed), 5.0, 2.0, 120
    rate, received, late, rates = SampleRate(target_per_s, spread_s), 0, np.zeros(over_s + 10), []
    per_s = max(12, boxes // over_s)
    for second in range(over_s):
        asked = rate.threshold / ALL
        late[second : second + 3] += rng.multinomial(rng.binomial(per_s, asked), [1 / 3] * 3)
        received += int(late[second])
        rates.append(int(late[second]))
        rate.look(received, float(second))
    expected = per_s * rate.threshold / ALL
    assert target_per_s / 2 <= expected <= 2 * target_per_s
    assert max(rates) <= 8 * target_per_s, "it climbs by doubling, so it never floods"
