"""Small sieges in virtual time, one seed: the image comes, the right one, and as soon as promised."""

import pytest

from bench.siege.scenarios import SCENARIOS, field_of
from bench.siege.siege import besiege

SEED, RATE_BPS = 11, 40e6
QUICK = [each for each in SCENARIOS if "10 times" not in each.name and "34,000" not in each.name]


@pytest.fixture(scope="module")
def field():
    return field_of(1_500_000, RATE_BPS, SEED)


@pytest.fixture(scope="module")
def calm_s(field):
    return besiege(field.release, field.profile, RATE_BPS, None, 900).verified_s


@pytest.mark.parametrize("scenario", QUICK, ids=lambda each: each.name)
def test_an_attack_costs_no_more_than_promised(field, calm_s, scenario):
    ended = besiege(field.release, field.profile, RATE_BPS, scenario.attacker(field), 900)
    print(f"{scenario.name}: {ended.verified_s / calm_s:.2f} x, {ended.forged_packets} packets, seed {SEED}")
    assert ended.is_right
    assert ended.forged_packets > 0
    assert ended.verified_s <= scenario.most * calm_s
