import numpy as np
import pytest

from bench.fleet.model.chains import LossChain
from bench.fleet.model.unions import BLOCK_SYMBOLS, dependence
from bench.link.loss import GilbertElliott


@pytest.mark.slow
@pytest.mark.parametrize(("burst", "blocks"), [(4, 2), (4, 19), (20, 19)])
def test_the_chance_that_any_block_is_late_is_that_of_real_chains(burst, blocks):
    """Against brute force, as deep as that reaches; independent blocks would be far off."""
    chain = LossChain(0.05 / burst / 0.95, 1 / burst, 0.0, 1.0)
    links, checked, sizes = 3000, 0, (BLOCK_SYMBOLS + 28, BLOCK_SYMBOLS + 34, BLOCK_SYMBOLS + 40)
    lost = GilbertElliott(chain.p, chain.r, 0, 1, links, np.random.default_rng(5)).lost(max(sizes) * blocks)
    for symbols in sizes:
        late = lost[: symbols * blocks].reshape(symbols, blocks, links).sum(axis=0) > symbols - BLOCK_SYMBOLS
        real = late.any(axis=0).mean()
        independent = 1 - (1 - late.mean()) ** blocks
        found = float(dependence(chain, blocks, 1.0)(np.array([independent]))[0])
        if 0.01 < real < 0.95:
            checked += 1
            assert found == pytest.approx(real, rel=0.12, abs=4 * (real * (1 - real) / links) ** 0.5)
    assert checked


@pytest.mark.slow
def test_far_out_it_stays_between_one_late_block_and_all_of_them():
    late = np.geomspace(1e-14, 0.5, 40)
    found = dependence(LossChain(0.05 / 4 / 0.95, 0.25, 0.0, 1.0), 19, 1.0)(late)
    assert (np.diff(found) > 0).all()
    assert (found <= late * 1.05).all()
    assert (found >= late / 19).all()


def test_independent_losses_leave_blocks_independent():
    late = np.array([0.0, 1e-9, 0.3])
    assert (dependence(LossChain(0.0, 1.0, 0.0, 0.95), 19, 1.0)(late) == late).all()
