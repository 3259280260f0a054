import numpy as np
import pytest

from bench.fleet.model.chains import (
    LossChain,
    binomial,
    binomial_beyond,
    chain_of_link,
    lost_of,
    lost_step_by_step,
    most_lost,
)
from bench.link.loss import GilbertElliott
from bench.link.spec import parse_link
from carousel.errors import OperatorError

BURSTS = LossChain(0.05 / 4 / 0.95, 0.25, 0.0, 1.0)
NETEM = LossChain(0.02, 0.3, 0.2, 0.99)


def simulated(chain, copies, symbols, links=20_000):
    rng = np.random.default_rng(5)
    lost = np.ones((symbols, links), dtype=bool)
    for _ in range(copies):
        lost &= GilbertElliott(chain.p, chain.r, chain.h, chain.k, links, rng).lost(symbols)
    return lost.sum(axis=0)


@pytest.mark.parametrize("chain", [BURSTS, NETEM], ids=["bursts", "netem"])
@pytest.mark.parametrize("copies", [1, 2])
def test_the_dynamic_programme_gives_what_the_link_model_does(chain, copies):
    found = list(lost_step_by_step(chain, copies, 60, 60))[-1]
    counts = np.bincount(simulated(chain, copies, 60), minlength=len(found))[: len(found)]
    assert found.sum() == pytest.approx(1)
    distance = np.abs(np.cumsum(found) - np.cumsum(counts) / counts.sum()).max()
    assert distance * counts.sum() ** 0.5 < 1.95


@pytest.mark.slow
def test_independent_loss_is_binomial_and_so_is_a_chain_without_memory():
    from scipy import stats

    plain = LossChain(0.0, 1.0, 0.0, 0.9)
    assert lost_of(plain, 2, 50, 50)[:3] == pytest.approx(stats.binom.pmf([0, 1, 2], 50, 0.01))
    memoryless = LossChain(0.1, 0.9, 0.0, 1.0)
    found = list(lost_step_by_step(memoryless, 1, 50, 50))[-1]
    assert found[:51] == pytest.approx(stats.binom.pmf(np.arange(51), 50, 0.1), abs=1e-12)


def test_seen_every_so_often_a_chain_keeps_its_mean_and_loses_memory():
    seen = BURSTS.seen_every(np.array([19]))
    assert seen.mean == pytest.approx(BURSTS.mean)
    assert seen.memory == pytest.approx(BURSTS.memory**19, rel=0.01)


def test_hardly_anything_is_beyond_what_counts_as_the_most():
    for chain in (BURSTS, NETEM, LossChain(0.01 / 20 / 0.99, 1 / 20, 0.0, 1.0)):
        *_, last = lost_step_by_step(chain, 1, 2000, most_lost(chain, 1, 2000))
        assert last[-1] < 1e-14


def test_links_become_chains_corruption_included():
    chain = chain_of_link(parse_link("loss=5%,burst=4,corrupt=1%"), "x")
    assert chain.mean == pytest.approx(1 - 0.95 * 0.99)
    assert chain_of_link(parse_link("p=0.01,r=0.2,1-h=50%"), "x") == LossChain(0.01, 0.2, 0.5, 1.0)
    with pytest.raises(OperatorError, match=r"class 'far': .* outages; use --fidelity packet"):
        chain_of_link(parse_link("outage=1s+2s"), "class 'far'")


def test_binomials_are_right_far_into_the_tail():
    from scipy import stats

    counts = np.arange(-2, 60)
    tries = np.full(len(counts), 50)
    for chance in (0.0, 0.01, 0.4):
        assert binomial_beyond(counts, tries, chance) == pytest.approx(stats.binom.sf(counts, 50, chance), rel=1e-9)
        assert binomial(counts[2:], 50, chance) == pytest.approx(stats.binom.pmf(counts[2:], 50, chance), rel=1e-9)
