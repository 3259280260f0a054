"""Fates: times that follow from who asked and who was let in, step by step."""

import numpy as np
import pytest

from bench.fleet.scenario.values import Group, Region
from bench.fleet.storm.crowd import Clock
from bench.fleet.storm.fates import Fates
from bench.fleet.storm.login import NOBODYS_LINK

TOOK_S = 10.0


@pytest.mark.parametrize("each", [1, 2, 5])
def test_nobody_is_done_sooner_than_it_takes_where_some_steps_let_nobody_in(each):
    """A hundred a second come, and in each `each`th second as many as that are let in: few wait, for seconds."""
    clock = Clock(6000.0, 6000)
    came = np.full((6000, 1), 100)
    came[3000:] = 0
    group = Group(0, Region("here", 1.0), NOBODYS_LINK, 300_000)
    fates, waiting = Fates(clock, (group,), came, ["here"]), 0
    for index in range(3000):
        waiting += 100
        fates.ask(np.array([waiting]), index)
        if index % each == each - 1:
            fates.finish(np.array([waiting]), index, TOOK_S, index + 0.5 + TOOK_S)
            waiting = 0
    times = fates.tally(np.inf, np.zeros(1)).all_boot()
    assert times.unfinished == 0
    assert times.quantile(1e-5) == pytest.approx(TOOK_S, rel=0.002)
    assert times.quantile(0.999999) <= TOOK_S + each
