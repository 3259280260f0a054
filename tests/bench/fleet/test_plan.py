import math
import re

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.fleet.model.chains import LossChain
from bench.fleet.plan import Plan, Question, smallest_rate_bps, time_to_image_s
from bench.link.spec import parse_link
from carousel.console.quantities import parse_duration_s
from carousel.errors import OperatorError

LINK = parse_link("rate=100M,loss=5%")
QUESTION = Question(1_000_000, 1440, LINK, LossChain(0.0, 1.0, 0.0, 0.95), 10.0, 0.9999)


@pytest.mark.slow
def test_the_smallest_rate_meets_the_deadline_and_a_smaller_one_does_not():
    rate_bps = smallest_rate_bps(QUESTION, 1.0, 0.25)
    assert time_to_image_s(QUESTION, Plan(rate_bps, 1.0, 0.25), 1e-4) <= 10.0
    assert time_to_image_s(QUESTION, Plan(rate_bps * 0.97, 1.0, 0.25), 1e-4) > 10.0
    ideal_bps = 8e6 * 1468 / 1440 / 10 / 0.95
    assert ideal_bps < rate_bps < 1.2 * ideal_bps


@pytest.mark.slow
def test_without_repair_symbols_it_takes_a_multiple():
    assert smallest_rate_bps(QUESTION, 0.0, 0.25) > 3 * smallest_rate_bps(QUESTION, 0.5, 0.25)


def test_announcements_that_leave_no_room_are_no_plan():
    assert time_to_image_s(QUESTION, Plan(2e5, 1.0, 0.01), 1e-4) == math.inf


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *arguments])


@pytest.mark.slow
def test_the_command_prints_the_table_and_what_more_loss_costs():
    result = run("--image-size", "1M", "--deadline", "5s", "--down", "rate=50M,loss=2%", "--rate", "5M")
    assert result.exit_code == 0
    assert "best" in result.output
    assert "1 % more loss" in result.output
    assert "in time" in result.output
    found = re.search(r"--announce-interval (\d+m?s)$", result.output.strip())
    assert 0.05 <= parse_duration_s(found[1]) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image-size", "8M", "--deadline", "1s", "--down", "rate=10M"), "no rate boots 0.9999 of the boxes"),
        (("--image-size", "1M", "--deadline", "1s", "--rate", "2M"), "at best; allow that, or a higher rate"),
        (("--image-size", "1M", "--deadline", "9s", "--rate", "20M", "--down", "rate=10M"), "does not fit through"),
        (("--image-size", "1M", "--deadline", "0s"), "is met by nobody"),
        (("--image-size", "1M", "--deadline", "9s", "--down", "dead"), "loses everything"),
        (("--image-size", "1M", "--deadline", "9s", "--quantile", "1"), "not between 0 and 1"),
        (("--image-size", "big", "--deadline", "9s"), "'big' is not a size in bytes"),
        (("--image-size", "64X"), "'64X' is not a size in bytes"),
    ],
)
def test_what_nobody_can_meet_is_said_in_a_sentence(arguments, message):
    result = run(*arguments)
    assert isinstance(result.exception, OperatorError)
    assert message in str(result.exception)
