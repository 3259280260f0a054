"""What was typed wrong is a usage error (exit code 2) of every command of `bootbench`."""

import re

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.fleet import cli
from bench.fleet.run import FleetRun
from bench.fleet.scenario.reading import find_scenario, shipped
from carousel.errors import UsageError

LINK = ("link", "--from", "239.255.77.1:5077", "--to", "127.0.0.1:6001")
ON_LO = ("--group", "239.255.77.9:5", "--interface", "lo")
FLEET = ("fleet", "neighbourhood")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("link",), "which carousel?"),
        (("link", "--from", "here", "--to", "127.0.0.1:6001"), "is not of the form"),
        (("link", "--from", "239.255.77.1:5077", "--to", "there"), "is not of the form"),
        ((*LINK, "--down", "rate=fast"), "is not a rate"),
        ((*LINK, "--profile", "string"), "no profile"),
        ((*LINK, "--seconds", "long"), "is not a time"),
        (("sniff",), "say where to listen"),
        (("sniff", *ON_LO, "--seconds", "long"), "is not a time"),
        (("capture", "x.pcap", *ON_LO, "--seconds", "long"), "is not a time"),
        (("replay", "x.pcap", *ON_LO, "--speed", "fast"), "'--speed'"),
        (("peers", "--boxes", "many"), "no list of numbers"),
        (("peers", "--only", "pigeons"), "no tool"),
        (("peers", "--table", "round"), "no table"),
        (("codec", "--sizes", "large"), "is not a whole number"),
        (("siege", "--rate", "fast"), "is not a rate"),
        (("siege", "--only", "nothing"), "no attack has"),
        (("fleet",), "which scenario?"),
        ((*FLEET, "--boxes", "many"), "is not a whole number"),
        ((*FLEET, "--fidelity", "high"), "is neither"),
        ((*FLEET, "--strategy", "hope"), "has no strategy"),
        ((*FLEET, "--fail-if", "slow"), "is not such as"),
        ((*FLEET, "--fail-if", "never > 1s"), "is a share"),
        (("tornado", "neighbourhood", "--share", "all"), "is not a share"),
        (("tornado", "neighbourhood", "--share", "95%"), "up to 0.9"),
        (("plan", "--image-size", "huge", "--deadline", "60s"), "is not a size"),
        (("live", "neighbourhood"), "missing option"),
    ],
    ids=" ".join,
)
def test_what_was_typed_wrong_is_a_usage_error(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, list(words)).exception
    assert isinstance(found, UsageError), found
    assert sentence in str(found).lower()


@pytest.mark.parametrize(("seeds", "said"), [("1", "lab-shelf: seed 7\n"), ("2", "lab-shelf: seeds 7, 8\n")])
def test_a_fleet_that_is_ended_before_anything_is_done_leaves_no_report(seeds, said, tmp_path, monkeypatch):
    def ended(scenario, fidelity, numbers, *more):
        return FleetRun(scenario, fidelity, numbers, is_partial=True)

    monkeypatch.setattr(cli, "run_fleet", ended)
    result = CliRunner().invoke(app, ["fleet", "lab-shelf", "--seeds", seeds, "-o", str(tmp_path)])
    assert result.exit_code == 130
    assert said in result.output
    assert "ended before anything was done: there is no report" in result.output
    assert list(tmp_path.iterdir()) == []


def test_no_title_states_a_number_of_boxes_which_may_be_chosen():
    titles = [find_scenario(name).title for name in shipped()]
    assert not [title for title in titles if "million" in title or re.search(r"\d+ (boards|boxes)", title)]
