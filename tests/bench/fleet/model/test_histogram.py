import numpy as np
import pytest

from bench.fleet.model.histogram import Histogram


def test_quantiles_are_those_of_the_times_to_a_bin():
    times_s = np.random.default_rng(1).lognormal(2, 1, 20_000)
    found = Histogram.of_times(times_s)
    for share in (0.001, 0.5, 0.99, 1 - 1 / 20_000, 1.0):
        expected = np.sort(times_s)[max(1, int(np.ceil(share * 20_000))) - 1]
        assert found.quantile(share) == pytest.approx(expected, rel=0.003)
    assert found.mean_s == pytest.approx(times_s.mean(), rel=0.001)


def test_boxes_that_never_finish_count_as_boxes():
    found = Histogram.of_times(np.array([1.0, 2.0]), unfinished=2)
    assert found.quantile(0.5) == pytest.approx(2.0, rel=0.003)
    assert found.quantile(0.51) is None
    assert Histogram().quantile(0.5) is None


def test_adding_up_is_counting_all():
    rng = np.random.default_rng(2)
    first, second = rng.exponential(3, 1000), rng.exponential(5, 500)
    both = Histogram.of_times(first, 1)
    both.add(Histogram.of_times(second, 2))
    assert (both.counts == Histogram.of_times(np.concatenate([first, second])).counts).all()
    assert (both.total, both.unfinished) == (1503, 3)
