import numpy as np
import pytest

from bench.fleet.model.timeline import timeline_of
from bench.fleet.scenario.values import Carousel, ReleaseSpec
from carousel.errors import OperatorError

CAROUSEL = Carousel(20e6)
SPECS = (ReleaseSpec("a", 4_000_000), ReleaseSpec("b", 1_000_000, repair_ratio=0.25))


def counted(timeline, start_s, duration_s):
    """Count symbols of each block that were on air once, twice, ... slowly."""
    slots = np.concatenate([timeline.slot_s + turn * timeline.period_s for turn in range(4)])
    places = np.tile(timeline.place, 4)
    window = places[(slots > start_s) & (slots <= start_s + duration_s)]
    times = np.bincount(window, minlength=len(timeline.block_of_place))
    blocks = timeline.layout.objects[0].blocks
    return np.array([np.bincount(timeline.block_of_place[times >= passes], minlength=blocks) for passes in range(1, 7)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "b"])
def test_what_was_on_air_is_what_the_broadcaster_sent(name):
    timeline = timeline_of(CAROUSEL, SPECS, name)
    durations_s = np.array([0.1, 0.5, 1.0, 1.7])
    for start_s in (0.0, 0.3, timeline.period_s * 0.9):
        heard = timeline.heard(start_s, durations_s)
        for index, duration_s in enumerate(durations_s.tolist()):
            assert (heard[:6, index] == counted(timeline, start_s, duration_s)).all()


@pytest.mark.slow
def test_beyond_four_cycles_each_cycle_adds_a_pass():
    timeline = timeline_of(CAROUSEL, SPECS, "b")
    cycle_s = timeline.period_s / timeline.cycles
    image = timeline.layout.objects[0]
    heard = timeline.heard(0.0, np.array([7.5, 12.0]) * cycle_s)
    assert heard[:6, 0].sum() == 6 * image.rows
    assert heard[:, 1].sum() == pytest.approx(12 * image.rows, rel=0.01)


@pytest.mark.slow
def test_releases_share_the_carousel_and_announcements_come_by_time():
    timeline = timeline_of(CAROUSEL, SPECS, "a")
    share = len(timeline.place) * 1468 * 8 / timeline.period_s / CAROUSEL.rate_bps
    # Of four times the size, by the square-root rule (headend/cast/shares.py); digests take a little of it.
    assert share == pytest.approx(2 / 3, abs=0.02)
    assert timeline.announced(0.1, np.array([0.2, 1.0, 10.0])).tolist() == [1, 4, 40]
    assert 0 < timeline.next_announcement_s(0.1) < 0.2
    assert all(times[0] > 0 for times in timeline.urgent_s)


def test_a_carousel_of_announcements_alone_is_refused():
    with pytest.raises(OperatorError, match="announcements every 10 ms would take more than half"):
        timeline_of(Carousel(2e5, 0.01), SPECS[1:], "b")
