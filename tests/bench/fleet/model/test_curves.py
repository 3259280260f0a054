"""What a law is judged by: single boxes, closely enough that with their scatter it is within a percent."""

import numpy as np
import pytest
from scipy import special

from bench.fleet.model.curves import AGREES, JUDGED_WITHIN, _distance, shown_by
from bench.fleet.model.histogram import EDGES_S
from bench.fleet.model.walks import Walks

MEAN_S, SPREAD_S = 0.17, 0.02


def walks(boxes, seed):
    return Walks(np.sort(np.random.default_rng(seed).normal(MEAN_S, SPREAD_S, boxes)))


@pytest.mark.parametrize("seed", range(5))
def test_a_law_that_is_right_passes_and_one_that_is_one_and_a_half_percent_late_does_not(seed):
    right, late = (1 - special.ndtr((EDGES_S - MEAN_S * by) / SPREAD_S) for by in (1.0, 1.015))
    assert _distance(right, walks(4000, seed)) <= JUDGED_WITHIN < _distance(late, walks(4000, seed)) <= 0.02


def test_a_law_whose_lower_tail_alone_is_wrong_does_not_pass():
    cut = 1 - np.where(EDGES_S < MEAN_S - SPREAD_S, 0.0, special.ndtr((EDGES_S - MEAN_S) / SPREAD_S))
    assert _distance(cut, walks(4000, 1)) > JUDGED_WITHIN


def test_single_boxes_show_what_they_know_to_a_percent():
    few, many = (shown_by(walks(boxes, 3).times_s) for boxes in (30, 12_000))
    assert few > many == 1e-2
    assert AGREES == 0.01
