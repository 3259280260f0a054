import pytest

from bench.fleet.model.law import law_of_class
from bench.fleet.scenario.reading import find_scenario, parse_scenario, shipped
from bench.fleet.scenario.values import SpreadKind, apportion
from carousel.errors import OperatorError

GOOD = """
title = "a test"
boxes = "1k"
horizon = "10m"
deadline = "60s"
[carousel]
rate = "50M"
[[release]]
name = "a"
image_size = "4Mi"
[[class]]
name = "cable"
share = 1.0
profile = "docsis31"
"""


def test_a_scenario_says_what_its_file_says():
    scenario = parse_scenario(GOOD, "x")
    assert (scenario.boxes, scenario.horizon_s, scenario.carousel.rate_bps) == (1000, 600.0, 50e6)
    assert scenario.releases[0].image_bytes == 4 << 20
    assert scenario.classes[0].down.rate_bps == 1e9
    assert scenario.regions[0].spread.kind is SpreadKind.AT_ONCE


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        ("title", "titel", "there is no key 'titel'"),
        ('rate = "50M"', "rat = 5", "carousel: there is no key 'rat'; there are announce_interval, rate, takeover"),
        ("share = 1.0", "share = 1.5", "class 1: share = 1.5 is not a share from 0 to 1"),
        ("share = 1.0", "share = -1", "class 1: share = -1 is not a share from 0 to 1"),
        ("share = 1.0", "share = 0", "the shares of all classes add up to 0"),
        ('boxes = "1k"', "boxes = 0", "boxes = 0 is not a whole number such as"),
        ('boxes = "1k"', "boxes = true", "boxes = True is not text"),
        ('deadline = "60s"', 'deadline = "0s"', "is not a time above 0"),
        ('deadline = "60s"', "", "'deadline' is missing"),
        ('deadline = "60s"', 'deadline = "500ms"', "nobody can meet a deadline of 500 ms: .* 'cable' takes 671 ms"),
        ("[[release]]", "[release]", r"\[release\] stands for one of several"),
        ('profile = "docsis31"', 'profile = "dial-up"', "there is no profile 'dial-up'"),
        ('profile = "docsis31"', 'down = "loss=150%"', "loss=150% is not a share"),
        ('profile = "docsis31"', 'release = "b"', "class 'cable': there is no release 'b'; there are a"),
        ('profile = "docsis31"', 'trunk = "t"', "class 'cable': there is no trunk 't'; there are none"),
        ('title = "a test"', 'title = "t"\nstrategies = ["smoke"]', "is not of carousel, carousel-plain"),
        ('title = "a test"', 'title = "t"\nstrategies = ["unicast"]', r"'unicast' needs a table \[unicast\]"),
        ("[carousel]", '[spread]\nkind = "uniform"\n[carousel]', "kind = 'uniform' needs `over`"),
        ("[carousel]", '[[silence]]\nat = "1s"\n[carousel]', "silence 1: 'for' is missing"),
        ("title =", "title", "x is no TOML"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(find, replace, message):
    with pytest.raises(OperatorError, match=message) as caught:
        parse_scenario(GOOD.replace(find, replace, 1), "x")
    assert "\n" not in str(caught.value)


def test_what_is_no_scenario_is_said_so():
    with pytest.raises(OperatorError, match=r"there is no file nothing\.toml, nor ships a scenario of that name"):
        find_scenario("nothing.toml")
    with pytest.raises(OperatorError, match="did you mean neighbourhood"):
        find_scenario("neighborhood")


def test_a_mistake_names_its_file(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(GOOD.replace("boxes = ", "boxen = "))
    with pytest.raises(OperatorError, match=r"mine\.toml: the scenario: there is no key 'boxen'"):
        find_scenario(str(mine))
    mine.write_text(GOOD)
    assert find_scenario(str(mine)).name == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_scenarios_that_ship_fit_together(name):
    scenario = find_scenario(name)
    assert sum(group.boxes for group in scenario.groups()) == scenario.boxes
    for box_class in scenario.classes:
        assert 0 <= law_of_class(scenario, box_class).chain.mean < 1


def test_the_scenarios_that_ship():
    everyday = {"neighbourhood", "one-way-satellite", "lab-shelf", "mixed-vendors"}
    assert set(shipped()) == everyday | {
        "patch-day",
        "gradual-rollout",
        "accept-fast",
        "same-problem",
        "dying-head-end",
        "flapping-power",
        "patch-tuesday",
    }


def test_every_box_is_apportioned():
    assert apportion(10, [0.5, 0.25, 0.25]) == [5, 3, 2]
    assert sum(apportion(220_000_001, [0.3, 0.3, 0.4])) == 220_000_001
