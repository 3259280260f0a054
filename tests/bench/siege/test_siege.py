"""Small sieges in virtual time, one seed: the image comes, the right one, and as soon as promised."""

import pytest

from bench.siege.scenarios import SCENARIOS, field_of
from bench.siege.siege import besiege

SEED, RATE_BPS = 11, 40e6
QUICK = [each for each in SCENARIOS if "forged symbols at" not in each.name and "34,000" not in each.name]


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


def test_forged_symbols_at_the_carousels_rate_stop_nothing(field):
    """What they cost stands in docs/security.md."""
    scenario = next(each for each in SCENARIOS if each.name == "forged symbols at the carousel's rate")
    ended = besiege(field.release, field.profile, RATE_BPS, scenario.attacker(field), 900)
    assert ended.is_right
