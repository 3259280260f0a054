"""Boxes one by one against what can be worked out by hand, into the tail; so is the oracle of all (montecarlo.py)."""

import numpy as np
import pytest

from bench.fleet.model import walks
from bench.fleet.model.chains import LossChain
from bench.fleet.model.timeline import timeline_of
from bench.fleet.model.walks import walk
from bench.fleet.scenario.values import Carousel, ReleaseSpec
from tests.bench.fleet import montecarlo
from tests.bench.fleet.montecarlo import Loss, Setting, times_s

BOXES, IMAGE_BYTES, RATE_BPS, LOSS = 40_000, 64_000, 4e6, 0.1
TIMES_S = (0.5, 1.5, 1.95, 2.95)


def times_of_walks():
    timeline = timeline_of(Carousel(RATE_BPS, 1.0), (ReleaseSpec("a", IMAGE_BYTES, 1.0),), "a")
    return walk(timeline, LossChain(0.0, 1.0, 0.0, 1 - LOSS), BOXES, (3,)).times_s


def times_of_the_oracle():
    return times_s(Setting(IMAGE_BYTES, RATE_BPS, 1.0, announce_s=1.0), Loss(LOSS), BOXES, 3)


@pytest.mark.slow
@pytest.mark.parametrize("find", [times_of_walks, times_of_the_oracle])
def test_a_small_image_is_as_late_as_its_announcement(find, monkeypatch):
    """An announcement goes each second, at no box's moment: the n-th after power-on is heard if those before are lost.

    Few boxes are followed at once: that all of some are done soon must not be why they count.
    """
    for module in (walks, montecarlo):
        monkeypatch.setattr(module, "CELLS_AT_ONCE", 40_000)
    found_s = find()
    for time_s in TIMES_S:
        went_by, more = divmod(time_s, 1.0)
        late = LOSS**went_by * (1 - more * (1 - LOSS))
        scatter = 3.3 * (late * (1 - late) / BOXES) ** 0.5
        assert np.mean(found_s > time_s) == pytest.approx(late, abs=scatter), time_s
