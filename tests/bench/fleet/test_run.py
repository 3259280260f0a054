import json
import re
from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.executor import run_on_processes
from bench.fleet.model.sampled import sampled_shards
from bench.fleet.report.data import report_of, write_json
from bench.fleet.report.page import write_page
from bench.fleet.run import run_fleet
from bench.fleet.scenario.values import Login, Peers, Region, Retry, RetryKind, Server, Spread, SpreadKind
from bench.fleet.storm.crowd import LOGIN_START
from carousel.errors import OperatorError
from tests.bench.fleet.fleets import scenario

SPREAD = Spread(SpreadKind.UNIFORM, 3.0)
FLEET = scenario(
    20_000,
    down="loss=5%,rate=50M",
    horizon_s=120.0,
    regions=(Region("north", 0.6, 0.0, SPREAD), Region("south", 0.4, 20.0, SPREAD)),
    strategies=("carousel", "carousel-plain", "unicast", "p2p"),
    retries=(Retry(RetryKind.BACKOFF),),
    server=Server(),
    peers=Peers(),
    login=Login(),
)


def silent(done, total):
    pass


def same(run):
    """A report without how long it took."""
    report = report_of(run, 1.0, "x")
    del report["simulator"]
    return json.dumps(report)


@pytest.fixture(scope="module")
def run():
    """The whole fleet, once for all tests that only look."""
    return run_fleet(FLEET, "sampled", [3, 4], run_on_processes(1), silent)


@pytest.mark.slow
def test_any_number_of_workers_gives_one_report(run):
    assert same(run) == same(run_fleet(FLEET, "sampled", [3, 4], run_on_processes(2), silent))


@pytest.mark.slow
def test_a_report_has_all_strategies_regions_and_seeds(run, tmp_path):
    write_json(report_of(run, 2.0, "1 process"), tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    labels = [(story["label"], story["seed"]) for story in report["stories"]]
    assert len(labels) == len(set(labels)) == 2 * (2 + 1 + 2 + 2)
    assert report["scenario"]["boxes"] == 20_000
    carousel = report["stories"][0]
    assert set(carousel["regions"]) == {"north", "south"}
    assert carousel["regions"]["north"]["boxes"] == 12_000
    assert carousel["time"]["p50_s"] < carousel["time"]["p99.99_s"] <= carousel["time"]["last_s"]
    assert {len(values) for values in carousel["phases"].values()} == {1000}
    assert set(carousel["loads"][0]["values"]) == {5e6}  # the carousel's load is flat
    assert 0.05 < carousel["efficiency"]["worst"] <= carousel["efficiency"]["mean"] <= 1


@pytest.mark.slow
def test_a_page_that_stands_alone(run, tmp_path):
    write_page(replace(run, scenario=replace(run.scenario, title="<b>&")), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;&amp;" in page
    assert re.findall(r"(?:src|href)=|url\(|https?://", page) == []  # nothing is fetched from elsewhere
    charts = [set(re.findall(r"data-label='([^']+)'", part)) for part in page.split("<div class='read'>")[1:]]
    for chart, counts_from in zip(charts, ("power-on", LOGIN_START), strict=True):
        assert chart == {story.label for story in run.stories if story.counts_from == counts_from}
    assert "By carousel all 20,000 boxes run within" in page
    assert page.index("in time") < page.index("never") < page.index("p50")
    assert "one by one" in page  # each approximation, with its measured error


@pytest.mark.slow
def test_a_tail_alone_is_behind_its_carousel():
    late = replace(FLEET, deadline_s=0.3, strategies=("carousel-tail",), login=None)
    run = run_fleet(late, "sampled", [3], run_on_processes(1), silent)
    assert [(story.label, story.tally.boxes) for story in run.stories] == [("carousel-tail, backoff retry", 20_000)]


@pytest.mark.slow
def test_packet_fidelity_makes_the_same_report():
    fleet = replace(FLEET, boxes=6, strategies=("carousel",), login=None)
    report = report_of(run_fleet(fleet, "packet", [3], run_on_processes(1), silent), 1.0, "x")
    assert report["stories"][0]["time"]["boxes"] == 6
    assert report["simulator"]["receiver_packets_per_s"] > 1000


def test_packet_fidelity_has_its_limit():
    with pytest.raises(OperatorError, match="200000 at the most, not 220000000"):
        run_fleet(replace(FLEET, boxes=220_000_000), "packet", [1], run_on_processes(1), silent)


@pytest.mark.slow
def test_an_interruption_leaves_what_is_done_and_says_so(tmp_path):
    plain = replace(FLEET, login=None)
    calls, shards_each = [], len(sampled_shards(plain, 3))

    def interrupted(function, shards, done):
        for index, shard in enumerate(shards):
            calls.append(shard)
            if len(calls) == 2 * shards_each + 1:
                raise KeyboardInterrupt
            done(index, function(shard))

    # The interruption comes within the third of four carousels.
    run = run_fleet(plain, "sampled", [3, 4], interrupted, silent)
    assert run.is_partial
    finished = [(story.label, story.seed) for story in run.stories]
    assert finished == [("carousel", 3), ("carousel", 4)]
    assert all(story.tally.boxes == 20_000 for story in run.stories)
    write_page(run, tmp_path / "index.html")
    assert "Partial" in (tmp_path / "index.html").read_text()
    assert report_of(run, 1.0, "x")["is_partial"]


@pytest.mark.slow
def test_the_login_follows_on_the_first_strategy(run):
    logins = [story for story in run.stories if story.label.startswith("login after carousel,") and story.seed == 3]
    assert len(logins) == 2
    up = int(np.sum(run.stories[0].tally.events["up"][:-1]))
    for story in logins:
        assert story.tally.all_boot().total == up
