"""Small sieges in virtual time, one seed: the image comes, the right one, and as soon as promised."""

from functools import cache

import pytest

from bench.siege.scenarios import SCENARIOS, field_of
from bench.siege.siege import besiege

SEED, RATE_BPS = 11, 40e6
QUICK = [each for each in SCENARIOS if each.most and "10 times" not in each.name and "34,000" not in each.name]


@pytest.fixture(scope="module")
def fields():
    return cache(lambda ratio: field_of(1_500_000, RATE_BPS, SEED, ratio))


@pytest.fixture(scope="module")
def calm_s(fields):
    def verified_s(ratio, loss):
        field = fields(ratio)
        return besiege(field.release, field.profile, RATE_BPS, None, 900, loss).verified_s

    return cache(verified_s)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", QUICK, ids=lambda each: each.name)
def test_an_attack_costs_no_more_than_promised(fields, calm_s, scenario):
    field, calm_s = fields(scenario.repair_ratio), calm_s(scenario.repair_ratio, scenario.loss)
    attacker, rollout = scenario.attacker(field), field.rollout if scenario.obeys else None
    ended = besiege(field.release, field.profile, RATE_BPS, attacker, 900, scenario.loss, rollout)
    print(f"{scenario.name}: {ended.verified_s / calm_s:.2f} x, {ended.forged_packets} packets, seed {SEED}")
    assert ended.is_right
    assert ended.forged_packets > 0
    assert ended.verified_s <= max(scenario.most * calm_s, ended.heard_s or 0.0), "it waits for nothing else"
    assert (ended.heard_s or 0.0) <= 1.0
