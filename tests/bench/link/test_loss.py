"""Each loss model against its closed form, with fixed seeds; bounds are four to five standard errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link.loss import Bernoulli, FourState, GilbertElliott, LossTrace

N = 400_000
MODELS = {
    "bernoulli": lambda links, rng: Bernoulli(0.1, links, rng),
    "bursts": lambda links, rng: GilbertElliott.of_bursts(0.05, 4, links, rng),
    "gilbert-elliott": lambda links, rng: GilbertElliott(0.05, 0.3, 0.2, 0.99, links, rng),
    "turning": lambda links, rng: GilbertElliott(0.7, 0.9, 0.0, 1.0, links, rng),
    "four states": lambda links, rng: FourState(0.02, 0.3, 0.1, 0.2, 0.01, links, rng),
    "trace": lambda links, rng: LossTrace([(7, 2), (1, 1)], links, rng),
}


def rng(seed=1):
    return np.random.default_rng(seed)


def runs_of(lost):
    """Lengths of the runs of losses."""
    edges = np.diff(np.concatenate([[0], lost.astype(int), [0]]))
    return np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def runs_of_links(lost):
    return np.concatenate([runs_of(link) for link in lost.T])


def correlation(lost, lag=1):
    centred = lost - lost.mean()
    return float((centred[:-lag] * centred[lag:]).mean() / centred.var())


MEANS = {
    "bernoulli": 0.1,
    "bursts": 0.05,
    "gilbert-elliott": (0.3 * 0.01 + 0.05 * 0.8) / 0.35,
    "turning": 0.7 / 1.6,
    "four states": None,
    "trace": 3 / 11,
}
"""What the user asked for: not what the model says of itself."""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_mean_is_what_was_asked_for(name):
    model = MODELS[name](4, rng())
    lost = model.lost(N // 4)
    spread = 6 if "b" in name or name in ("turning", "four states") else 4
    asked = MEANS[name] or _share_of_a_walk(0.02, 0.3, 0.1, 0.2, 0.01)
    assert lost.mean() == pytest.approx(asked, abs=spread * np.sqrt(asked / N) + 1e-6)
    assert model.mean == pytest.approx(asked, abs=0.03 * asked if MEANS[name] is None else 1e-12)


def _share_of_a_walk(p13, p31, p32, p23, p14):
    """The four-state chain in plain Python: the share of steps that lead to a lossy state."""
    draws, state, lost = np.random.default_rng(9).random(N).tolist(), 1, 0
    for draw in draws:
        if state == 1:
            state = 3 if draw < p13 else 4 if draw < p13 + p14 else 1
        elif state == 2:
            state = 3 if draw < p23 else 2
        elif state == 3:
            state = 1 if draw < p31 else 2 if draw < p31 + p32 else 3
        else:
            state = 1
        lost += state > 2
    return lost / N


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 4), (0.3, 10), (0.6, 50)])
def test_bursts_lose_the_share_that_was_asked_for(loss, burst):
    """Counted, not asked of the model: p without the (1 - L) would lose L / (1 + L)."""
    lost = GilbertElliott.of_bursts(loss, burst, 800, rng()).lost(3000)
    deviation = np.sqrt(loss * (1 - loss) * 2 * burst / lost.size)
    assert lost.mean() == pytest.approx(loss, abs=5 * deviation)
    assert 5 * deviation < loss - loss / (1 + loss)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_batches_do_not_matter(name, cuts):
    """One seed gives the same losses, however the packets come in batches."""
    whole = MODELS[name](3, rng(5)).lost(sum(cuts))
    model = MODELS[name](3, rng(5))
    assert (np.vstack([model.lost(cut) for cut in cuts]) == whole).all()


@pytest.mark.parametrize("p", [0.01, 0.2])
def test_bernoulli_has_no_memory(p):
    lost = Bernoulli(p, 1, rng()).lost(N)[:, 0]
    assert abs(correlation(lost)) < 5 / np.sqrt(N)
    runs = runs_of(lost)
    assert runs.mean() == pytest.approx(1 / (1 - p), rel=0.02)


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 2), (0.05, 4), (0.2, 8), (0.3, 1.5)])
def test_bursts_are_geometric_with_the_mean_asked_for(loss, burst):
    lost = GilbertElliott.of_bursts(loss, burst, 1, rng()).lost(N)[:, 0]
    runs = runs_of(lost)
    deviation = np.sqrt(burst * (burst - 1)) / np.sqrt(len(runs))
    assert runs.mean() == pytest.approx(burst, abs=5 * deviation + 1e-9)
    for length in (1, 2, 3):
        share = (1 - 1 / burst) ** (length - 1) / burst
        assert (runs == length).mean() == pytest.approx(share, abs=5 * np.sqrt(share / len(runs)))


@pytest.mark.parametrize(("p", "r"), [(0.02, 0.25), (0.3, 0.3), (0.7, 0.9)])
def test_gilbert_elliott_forgets_at_the_rate_of_its_chain(p, r):
    """Autocorrelation of the states at lag n: (1 - p - r)^n."""
    lost = GilbertElliott(p, r, 0.0, 1.0, 1, rng()).lost(N)[:, 0]
    for lag in (1, 2, 3):
        assert correlation(lost, lag) == pytest.approx((1 - p - r) ** lag, abs=0.02)


def test_gilbert_elliott_is_the_chain_step_by_step():
    """Against a walk in plain Python over the same draws: judged in the state before the transition."""
    p, r, h, k = 0.4, 0.8, 0.3, 0.9
    model = GilbertElliott(p, r, h, k, 1, rng(3))
    replay = rng(3)
    bad = bool(replay.random(1)[0] < p / (p + r))
    draws = replay.random((5000, 1, 2))[:, 0]
    expected = []
    for turn, fall in draws:
        expected.append(fall < (1 - h if bad else 1 - k))
        bad = (turn < p) if not bad else not (turn >= 1 - r)
    assert (model.lost(5000)[:, 0] == expected).all()


def test_four_states_lose_alone_and_in_bursts():
    links, packets = 100, N // 100  # steps cost alike for one link and for many
    model = FourState(p13=0.0, p31=0.0, p32=0.0, p23=0.0, p14=0.05, links=links, rng=rng())
    assert set(runs_of_links(model.lost(packets))) == {1}
    model = FourState(p13=0.01, p31=0.2, p32=0.0, p23=0.0, p14=0.0, links=links, rng=rng())
    assert runs_of_links(model.lost(packets)).mean() == pytest.approx(5, rel=0.08)


def test_a_trace_is_played_and_begins_again():
    model = LossTrace([(3, 2), (1, 0)], 1, rng())
    assert model.lost(12)[:, 0].tolist() == [False, False, False, True, True, False] * 2
    assert model.mean == pytest.approx(1 / 3)


def test_links_of_a_class_are_independent():
    lost = GilbertElliott.of_bursts(0.1, 3, 50, rng()).lost(20_000)
    together = np.corrcoef(lost.T)
    off_diagonal = together[~np.eye(50, dtype=bool)]
    assert abs(off_diagonal.mean()) < 0.003
    assert abs(off_diagonal).max() < 0.06
